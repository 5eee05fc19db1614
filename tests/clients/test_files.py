"""DataFrames are sent as files whose values are exactly theirs."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from nmtune_client import Client
from nmtune_client._files import is_frame, write_frame

X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
COLUMNS = {f"dim_{column}": X[:, column] for column in range(3)} | {"label": ["a", "b"] * 2}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_becomes_parquet(tmp_path: Path, library: str) -> None:
    frame = pytest.importorskip(library).DataFrame(COLUMNS)
    assert is_frame(frame)
    table = pq.read_table(write_frame(frame, tmp_path))
    assert table.column_names == list(COLUMNS)
    np.testing.assert_array_equal(table["dim_1"].to_numpy(), X[:, 1])


def test_what_is_no_dataset_is_refused() -> None:
    with Client("http://127.0.0.1:1") as client:
        source: Any = 3
        with pytest.raises(ValueError, match="a path, a DataFrame or a mapping"):
            client.datasets.upload(source)
        with pytest.raises(ValueError, match="those of a table"):
            client.datasets.upload({"train_x": X, "train_y": [0, 1, 0, 1]}, label="y")
