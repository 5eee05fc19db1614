"""A revision copies a dataset of any size with the memory of a few blocks."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from service.ingest.dataset.prepared import PreparedDataset
from service.ingest.dataset.revision import Taken, revise
from store.files.dataset import DatasetFile, DatasetWriter
from store.files.row_names import RowNames
from store.files.rows import Ids

N_ROWS, N_COLUMNS = 40_000, 512


@pytest.fixture
def large(tmp_path: Path) -> DatasetFile:
    """80 MB of rows, with ids."""
    path = tmp_path / "parent.safetensors"
    names = RowNames(
        rows=np.arange(N_ROWS, dtype=np.int64), ids=Ids.of([f"{row}" for row in range(N_ROWS)])
    )
    with DatasetWriter(
        path,
        classes=["cat", "dog"],
        n_columns=N_COLUMNS,
        dtype=np.float32,
        splits=[("train", N_ROWS)],
        row_names={"train": names},
    ) as writer:
        writer.y("train")[:] = np.arange(N_ROWS) % 2
        random = np.random.default_rng(0)
        for start in range(0, N_ROWS, 4000):
            writer.write("train", start, random.random((4000, N_COLUMNS), np.float32))
    return DatasetFile.open(path)


def test_a_large_dataset_is_copied_in_blocks(large: DatasetFile, tmp_path: Path) -> None:
    split = large.splits["train"]
    kept = np.arange(N_ROWS) % 10 != 0
    names = split.names.only(kept)
    taken = Taken(
        split="train",
        rows=split.x,
        kept=kept,
        labels=np.array(split.y[kept]),
        names=names,
        map=large,
    )
    tracemalloc.start()
    try:
        ready = revise(
            [taken],
            label_names=large.classes,
            declared={"cat": N_ROWS // 2, "dog": N_ROWS // 2},
            workdir=tmp_path,
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(ready, PreparedDataset)
    assert peak < 48 << 20  # blocks of 4 MiB, and what the profile works with; the rows take 80 MB
    made = DatasetFile.open(ready.path).splits["train"]
    np.testing.assert_array_equal(made.x, split.x[kept])
    np.testing.assert_array_equal(made.y, split.y[kept])
    at = len(made.y) - 1
    assert (made.names.row(at), made.names.id(at)) == (N_ROWS - 1, str(N_ROWS - 1))


def test_unknown_places_stay_unknown(tmp_path: Path) -> None:
    path = tmp_path / "parent.safetensors"
    with DatasetWriter(
        path, classes=["a", "b"], n_columns=1, dtype=np.float32, splits=[("train", 4)]
    ) as writer:
        writer.y("train")[:] = [0, 1, 0, 1]
    old = DatasetFile.open(path)
    split, kept = old.splits["train"], np.ones(4, np.bool_)
    names = split.names.only(kept)
    with_more = RowNames.concatenated([names, RowNames(rows=np.array([7]), ids=Ids.of(["new"]))])
    assert names.tensors() == {}
    assert with_more.tensors()["rows"].tolist() == [-1, -1, -1, -1, 7]
    taken = Taken(
        split="train",
        rows=split.x,
        kept=kept,
        labels=np.array(split.y),
        names=names,
        map=old,
    )
    ready = revise([taken], label_names=("a", "b"), declared={"a": 2, "b": 2}, workdir=tmp_path)
    assert isinstance(ready, PreparedDataset)
    made = DatasetFile.open(ready.path).splits["train"]
    assert (made.names.row(0), made.names.id(0)) == (None, None)
