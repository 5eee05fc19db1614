"""The file of a job's rows: there and back, and what happens to damaged ones."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from store.errors import ArtifactCorrupt, InvalidDatasetFile
from store.files.columns import ColumnsFile, to_bytes
from store.files.job_rows import (
    FORMAT,
    VERSION,
    JobRows,
    Predictions,
    SplitRows,
    Suspects,
    quantised,
)


def made(n_classes: int = 3) -> JobRows:
    """Rows of two splits, one of which one candidate says nothing of."""

    def said(n_rows: int) -> Predictions:
        return Predictions(
            predicted=np.arange(n_rows) % n_classes,
            label_probability=quantised(np.linspace(0, 1, n_rows)),
        )

    return JobRows(
        classes=[f"class {index}" for index in range(n_classes)],
        published="auto",
        candidates=["linear_probe", "auto"],
        dataset_sha256="d" * 64,
        splits={
            "train": SplitRows(label=np.arange(7) % n_classes, predictions={"auto": said(7)}),
            "ood/a": SplitRows(
                label=np.arange(5) % n_classes,
                predictions={"linear_probe": said(5), "auto": said(5)},
                predicted_probability=quantised(np.full(5, 0.5)),
                ood_score=np.linspace(0, 9, 5, dtype=np.float32),
                set_size=np.ones(5, np.uint16),
            ),
        },
        suspects=Suspects(
            rows=np.array([4, 2], np.uint32),
            suggested=np.array([1, 0]),
            neighbours=np.array([[0, 1, 2, 3, 5]], np.uint32),
            similarities=np.ones((1, 5), np.float32),
        ),
        level=0.9,
        ood_threshold=1.5,
    )


@pytest.mark.parametrize("n_classes", [3, 1_000, 70_000])
def test_rows_come_back_as_they_were(tmp_path: Path, n_classes: int) -> None:
    rows = made(n_classes)
    path = tmp_path / "rows"
    path.write_bytes(rows.to_bytes())
    found = JobRows.open(path)
    for name in ("classes", "published", "candidates", "dataset_sha256", "level", "ood_threshold"):
        assert getattr(found, name) == getattr(rows, name)
    assert found.to_bytes() == rows.to_bytes()
    assert list(found.splits) == ["train", "ood/a"]
    assert "linear_probe" not in found.splits["train"].predictions
    assert found.splits["train"].ood_score is None
    ood = found.splits["ood/a"]
    np.testing.assert_array_equal(ood.label, np.arange(5) % n_classes)
    np.testing.assert_array_equal(
        ood.predictions["linear_probe"].label_probability, [0, 16384, 32768, 49151, 65535]
    )
    np.testing.assert_array_equal(found.suspects.rows, [4, 2])
    assert not ood.label.flags.writeable


def test_the_safetensors_library_reads_the_file() -> None:
    tensors = load(made().to_bytes())
    np.testing.assert_array_equal(tensors["label/train"], np.arange(7) % 3)
    assert tensors["suspects/neighbours"].shape == (1, 5)


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_refused_or_fails_its_check(at: int, byte: int, cut: bool) -> None:
    """Never another error, and never wrong values that pass."""
    data = made().to_bytes()
    at %= len(data)
    damaged = data[:at] if cut else data[:at] + bytes([byte]) + data[at + 1 :]
    if damaged == data:
        return
    try:
        rows = JobRows.of(ColumnsFile.from_bytes(damaged, kind=FORMAT, version=VERSION))
    except InvalidDatasetFile:
        return
    assert rows.file is not None
    with pytest.raises(ArtifactCorrupt):
        rows.file.check(hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize(
    "change",
    [
        {"splits": json.dumps(["train", "gone"])},
        {"splits": "7"},
        {"candidates": "null"},
        {"version": "2"},
        {"format": "nmtune-dataset"},
    ],
    ids=lambda change: next(iter(change)) + next(iter(change.values()))[:5],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    data = made().to_bytes()
    file = ColumnsFile.from_bytes(data, kind=FORMAT, version=VERSION)
    path = tmp_path / "rows"
    path.write_bytes(to_bytes({**file.metadata, **change}, file.columns))
    with pytest.raises(InvalidDatasetFile):
        JobRows.open(path)


def test_columns_of_unequal_length_are_refused() -> None:
    file = ColumnsFile.from_bytes(made().to_bytes(), kind=FORMAT, version=VERSION)
    columns = {**file.columns, "predicted/auto/train": np.zeros(3, np.uint16)}
    data = to_bytes(file.metadata, columns)
    with pytest.raises(InvalidDatasetFile, match="differ in their rows"):
        JobRows.of(ColumnsFile.from_bytes(data, kind=FORMAT, version=VERSION))


def test_no_file_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", "absent"):
        with pytest.raises(InvalidDatasetFile):
            JobRows.open(tmp_path / name)
