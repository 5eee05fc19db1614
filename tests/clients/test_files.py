"""DataFrames are sent as files whose values are exactly theirs."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from nmtune_client import Client
from nmtune_client._datasets.files import Reading, is_frame, media_type, names_in, write_frame

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
        with pytest.raises(ValueError, match="can be named for a table"):
            client.datasets.upload({"train_x": X, "train_y": [0, 1, 0, 1]}, label="y")


@pytest.mark.parametrize("name", ["a.json", "a.JSON", "a.json.gz", "a.jsonl", "a.ndjson.zst"])
def test_json_is_sent_as_what_the_server_reads_row_by_row(name: str) -> None:
    assert media_type(Path(name)) == "application/x-ndjson"


@pytest.mark.parametrize(
    ("domains", "text"),
    [
        (["東京", "大阪"], "東京,大阪"),
        (["New York, NY", 'the "old"'], '"New York, NY","the ""old"""'),
        ([], "none"),
        ("sketch", "sketch"),
    ],
)
def test_domains_are_listed_so_that_commas_part_none(domains: Any, text: str) -> None:
    assert Reading(ood_domains=domains).params() == {"ood_domains": text}
    if isinstance(domains, list) and domains:
        assert names_in(text) == domains


def test_a_list_with_an_open_quote_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a comma-separated list"):
        names_in('a,"b')


def test_the_wish_to_merge_is_a_parameter() -> None:
    assert Reading(merge_similar=True).params() == {"merge_similar": "true"}
    assert Reading().params() == {}
