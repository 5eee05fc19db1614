"""The .npz reader: what numpy.savez wrote, by split; BadInput and nothing else for the rest."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.ingest.dataset.npz import read
from service.ingest.dataset.prepared import PreparedDataset
from service.ingest.formats import npy as npy_reader
from store.files.dataset import DatasetFile
from tests.service.ingest.npz_reading import prepared, refused
from tests.support.files.arrays import clouds
from tests.support.places import ROOT


def without(*names: str) -> dict[str, Any]:
    return {name: array for name, array in clouds().items() if name not in names}


def codes(dataset: PreparedDataset) -> list[str]:
    return [warning["code"] for warning in dataset.warnings]


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_what_numpy_saved(tmp_path: Path, compressed: bool) -> None:
    arrays = clouds() | {"validation_x": clouds()["test_x"] * 2, "validation_y": clouds()["test_y"]}
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    dataset = read(file, workdir=tmp_path)
    opened = DatasetFile.open(dataset.path)
    assert dataset.classes == opened.classes == ("cat", "dog")
    assert (dataset.n_rows, dataset.n_columns, opened.dtype) == (80, 3, np.float16)
    assert list(opened.splits) == ["train", "validation", "test", "ood/sketch"]
    for name, split in opened.splits.items():
        field = name.replace("/", "_")
        np.testing.assert_array_equal(split.x, arrays[f"{field}_x"])
        np.testing.assert_array_equal(split.y, arrays[f"{field}_y"])
    assert dataset.splits[3] == {"name": "ood/sketch", "n_rows": 20, "class_counts": [10, 10]}
    assert dataset.profile["splits"]["train"]["n_rows"] == 20


@pytest.mark.skipif(not (ROOT / "examples/data/intents.npz").exists(), reason="needs a checkout")
def test_reads_the_example_data(tmp_path: Path) -> None:
    path = ROOT / "examples/data/intents.npz"
    with path.open("rb") as file:
        dataset = read(file, workdir=tmp_path)
    opened = DatasetFile.open(dataset.path)
    assert list(opened.splits) == ["train", "test", "ood/hwu", "ood/snips"]
    with np.load(path, allow_pickle=False) as arrays:
        assert list(dataset.classes) == arrays["class_names"].tolist()
        for name, split in opened.splits.items():
            np.testing.assert_array_equal(split.x, arrays[f"{name.replace('/', '_')}_x"])
            np.testing.assert_array_equal(split.y, arrays[f"{name.replace('/', '_')}_y"])


@pytest.mark.parametrize("block_bytes", [1, 50, 1 << 20])
def test_the_size_of_blocks_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(npy_reader, "BLOCK_BYTES", block_bytes)
    arrays = clouds()
    arrays["train_x"] = np.asfortranarray(arrays["train_x"])
    arrays["train_y"] = np.array(["dog", "cat"] * 10)
    arrays["test_y"] = arrays["ood_sketch_y"] = np.array(["cat"] * 20)
    del arrays["class_names"]
    dataset = prepared(tmp_path, arrays)
    opened = DatasetFile.open(dataset.path)
    np.testing.assert_array_equal(opened.splits["train"].x, arrays["train_x"])
    assert opened.splits["train"].y.tolist() == [1, 0] * 10
    assert dataset.profile["splits"]["train"]["n_rows"] == 20


@pytest.mark.parametrize(
    ("dtypes", "stored"),
    [
        (("<f2", "<f2"), np.float16),
        ((">f2", "<f2"), np.float16),
        (("<f2", "<f4"), np.float32),
        ((">f4", ">f8"), np.float32),
        (("<f8", "<f8"), np.float32),
    ],
)
def test_half_floats_stay_and_the_rest_becomes_float32(
    tmp_path: Path, dtypes: tuple[str, str], stored: type
) -> None:
    arrays = without("ood_sketch_x", "ood_sketch_y")
    for name, dtype in zip(("train_x", "test_x"), dtypes, strict=True):
        arrays[name] = arrays[name].astype(dtype)
    opened = DatasetFile.open(prepared(tmp_path, arrays).path)
    assert opened.dtype == stored
    for name in ("train", "test"):
        np.testing.assert_array_equal(opened.splits[name].x, arrays[f"{name}_x"].astype(stored))


@pytest.mark.parametrize(
    ("labels", "classes", "y"),
    [
        (np.array(["dog", "cat", "dog", "äh"]), ("cat", "dog", "äh"), [1, 0, 1, 2]),
        (np.array([10, 9, 10, -1]), ("-1", "9", "10"), [2, 1, 2, 0]),
        (np.array(["10", "9", "10", "-1"]), ("-1", "9", "10"), [2, 1, 2, 0]),
        (np.array(["10", "9", "x", "09"]), ("09", "10", "9", "x"), [1, 2, 3, 0]),
        (np.array([0, 1, 1, 0], ">u2"), ("0", "1"), [0, 1, 1, 0]),
        (np.array([2**64 - 1, 0, 1, 0], "u8"), ("0", "1", str(2**64 - 1)), [2, 0, 1, 0]),
        (np.array(["b", "a", "b", "a"], ">U1"), ("a", "b"), [1, 0, 1, 0]),
    ],
)
def test_labels_without_class_names_name_themselves(
    tmp_path: Path, labels: Any, classes: tuple[str, ...], y: list[int]
) -> None:
    dataset = prepared(tmp_path, {"train_x": np.ones((4, 2)), "train_y": labels})
    assert dataset.classes == classes
    assert DatasetFile.open(dataset.path).splits["train"].y.tolist() == y


def test_string_labels_take_the_order_of_class_names(tmp_path: Path) -> None:
    arrays = {
        "train_x": np.ones((3, 2)),
        "train_y": np.array(["b", "a", "b"]),
        "class_names": np.array(["c", "b", "a"]),
    }
    dataset = prepared(tmp_path, arrays)
    assert dataset.classes == ("c", "b", "a")
    assert DatasetFile.open(dataset.path).splits["train"].y.tolist() == [1, 2, 1]
    assert "classes_missing" in codes(dataset)


def test_classes_of_all_splits_count(tmp_path: Path) -> None:
    arrays = {
        "train_x": np.ones((2, 2)),
        "train_y": np.array(["b", "c"]),
        "ood_new_x": np.ones((1, 2)),
        "ood_new_y": np.array(["a"]),
    }
    assert prepared(tmp_path, arrays).classes == ("a", "b", "c")


def test_missing_splits_are_warned_of(tmp_path: Path) -> None:
    arrays = {"train_x": np.ones((2, 2)), "train_y": np.array([0, 1])}
    assert {"no_test_split", "no_ood_split"} <= set(codes(prepared(tmp_path, arrays)))


def test_the_order_of_members_makes_no_difference(tmp_path: Path) -> None:
    arrays = clouds()
    contents = []
    for number, names in enumerate((list(arrays), list(reversed(arrays)))):
        workdir = tmp_path / str(number)
        workdir.mkdir()
        contents.append(prepared(workdir, {n: arrays[n] for n in names}).path.read_bytes())
    assert contents[0] == contents[1]


def changed(**arrays: Any) -> dict[str, Any]:
    return clouds() | arrays


def nan_at(n_rows: int, *places: tuple[int, int]) -> np.ndarray:
    x = np.ones((n_rows, 3), np.float32)
    for row, column in places:
        x[row, column] = np.nan
    return x


WRONG: dict[str, tuple[dict[str, Any], str, str, int | None, int | None]] = {
    "no arrays": ({}, "missing_array", "train_x", None, None),
    "no train": (without("train_x", "train_y"), "missing_array", "train_x", None, None),
    "x alone": (without("train_y"), "missing_array", "train_y", None, None),
    "y alone": (without("ood_sketch_x"), "missing_array", "ood_sketch_x", None, None),
    "unknown array": (changed(texts=np.array(["a"])), "unknown_array", "texts", None, None),
    "misspelt split": (changed(vaild_x=np.ones((2, 3))), "unknown_array", "vaild_x", None, None),
    "a split twice": (
        changed(
            val_x=np.ones((2, 3)), val_y=np.arange(2), dev_x=np.ones((2, 3)), dev_y=np.arange(2)
        ),
        "duplicate_array",
        "dev_x",
        None,
        None,
    ),
    "domain without name": (changed(ood_x=np.ones((2, 3))), "unknown_array", "ood_x", None, None),
    "bad domain": (
        changed(**{"ood_a\u202eb_x": np.ones((2, 3))}),
        "invalid_domain",
        "ood_a\u202eb_x",
        None,
        None,
    ),
    "x of integers": (
        changed(train_x=np.ones((20, 3), int)),
        "npy_dtype",
        "train_x",
        None,
        None,
    ),
    "x of one dimension": (changed(train_x=np.ones(20)), "npy_shape", "train_x", None, None),
    "y one-hot": (changed(train_y=np.ones((20, 2), int)), "npy_shape", "train_y", None, None),
    "y of fractions": (
        changed(train_y=np.r_[0, 1, 0.5, np.ones(17)]),
        "invalid_label",
        "train_y",
        2,
        None,
    ),
    "y of bytes": (changed(train_y=np.array([b"a"] * 20)), "npy_dtype", "train_y", None, None),
    "lengths differ": (changed(test_y=np.ones(19, int)), "length_mismatch", "test_y", None, None),
    "widths differ": (changed(test_x=np.ones((20, 4))), "width_mismatch", "test_x", None, None),
    "label too large": (
        changed(test_y=np.r_[np.zeros(18, int), 2, 3]),
        "label_out_of_range",
        "test_y",
        18,
        None,
    ),
    "label negative": (
        changed(train_y=np.r_[-1, np.zeros(19, int)]),
        "label_out_of_range",
        "train_y",
        0,
        None,
    ),
    "label unknown": (
        {name: np.array(["cat", "cow"] * 10) if name.endswith("_y") else array
         for name, array in clouds().items()},
        "unknown_label",
        "train_y",
        1,
        None,
    ),
    "label empty": (
        {"train_x": np.ones((2, 1)), "train_y": np.array(["a", ""])},
        "invalid_label",
        "train_y",
        1,
        None,
    ),
    "label too long": (
        {"train_x": np.ones((2, 1)), "train_y": np.array(["a", "b" * 201])},
        "invalid_label",
        "train_y",
        1,
        None,
    ),
    "mixed kinds of labels": (
        changed(test_y=np.array(["cat"] * 20)),
        "mixed_labels",
        "train_y",
        None,
        None,
    ),
    "one class": (
        {"train_x": np.ones((2, 1)), "train_y": np.array(["a", "a"])},
        "too_few_classes",
        "train_y",
        None,
        None,
    ),
    "one class in train": (
        changed(train_y=np.ones(20, int)),
        "too_few_classes",
        "train_y",
        None,
        None,
    ),
    "one class name": (
        changed(class_names=np.array(["cat"])),
        "too_few_classes",
        "class_names",
        None,
        None,
    ),
    "class names twice": (
        changed(class_names=np.array(["cat", "dog", "cat"])),
        "duplicate_class",
        "class_names",
        2,
        None,
    ),
    "class name empty": (
        changed(class_names=np.array(["cat", " "])),
        "invalid_label",
        "class_names",
        1,
        None,
    ),
    "class name with NUL": (
        changed(class_names=np.array(["c\0t", "dog"])),
        "invalid_label",
        "class_names",
        0,
        None,
    ),
    "class name too long": (
        changed(class_names=np.array(["cat", "d" * 201])),
        "invalid_label",
        "class_names",
        1,
        None,
    ),
    "class name with half a character": (
        changed(class_names=np.array(["cat", "\ud800"])),
        "invalid_label",
        "class_names",
        1,
        None,
    ),
    "class name beyond Unicode": (
        changed(class_names=np.array([65, 0x110000], np.uint32).view("<U1")),
        "invalid_label",
        "class_names",
        1,
        None,
    ),
    "class names are numbers": (
        changed(class_names=np.arange(2)),
        "npy_dtype",
        "class_names",
        None,
        None,
    ),
    "too many classes": (
        {"train_x": np.ones((10_001, 1)), "train_y": np.arange(10_001)},
        "too_many_classes",
        "train_y",
        None,
        None,
    ),
    "too many class names": (
        changed(class_names=np.arange(10_001).astype(str)),
        "too_many_classes",
        "class_names",
        None,
        None,
    ),
    "not finite": (
        changed(test_x=nan_at(20, (7, 2), (9, 0))),
        "not_finite",
        "test_x",
        7,
        2,
    ),
    "too large for float32": (
        changed(train_x=np.full((20, 3), 1e300)),
        "not_finite",
        "train_x",
        0,
        0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arrays_are_named_with_row_and_column(tmp_path: Path, name: str) -> None:
    arrays, code, field, row, column = WRONG[name]
    error = refused(tmp_path, arrays)
    assert (error.code, error.field, error.row, error.column) == (code, field, row, column)
    assert not error.malformed
    assert len(error.message) < 400


def test_a_misspelt_array_gets_a_suggestion(tmp_path: Path) -> None:
    error = refused(tmp_path, changed(validaton_x=np.ones((2, 3))))
    assert "did you mean validation_x?" in error.message


def test_bad_rows_of_later_blocks_are_named_by_their_row_in_the_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npy_reader, "BLOCK_BYTES", 30)
    places = [(3, 0), (8, 1), (9, 2), (15, 0), (16, 1), (17, 2)]
    error = refused(tmp_path, changed(train_x=nan_at(20, *places)))
    assert [(place.row, place.column) for place in error.places] == places[:5]
    assert {place.field for place in error.places} == {"train_x"}
