"""What goes in: which arrays are taken, and what is said about those that cannot be right."""

import base64
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from nmtune_client._datasets import arrays as _arrays


class Frame:
    """Like a pandas DataFrame of mixed columns: an `__array__` of objects."""

    def __init__(self, rows: list[list[object]]) -> None:
        self._rows = rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._rows, dtype=object)


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2], [3, 4]],
        ((1.0, 2.0), (3.0, 4.0)),
        np.array([[1, 2], [3, 4]], dtype=np.uint8),
        np.array([[1, 2], [3, 4]], dtype=np.float16),
        np.array([[1, 2], [3, 4]], dtype=">f8"),
        np.asfortranarray(np.array([[1, 2], [3, 4]], dtype=np.float32)),
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True),
        torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.bfloat16),
        pd.Series([[1.0, 2.0], np.array([3.0, 4.0])]),
        np.array([[1, 2], [3, 4]], dtype=np.int64),
        Frame([[1, 2.0], [np.float32(3), 4]]),
    ],
)
def test_whatever_holds_numbers_in_rows_is_taken(values: object) -> None:
    array = _arrays.embeddings_array(values)
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, [[1, 2], [3, 4]])


def test_what_is_right_already_is_not_copied() -> None:
    x = np.ones((3, 2), dtype=np.float32)
    assert np.shares_memory(_arrays.embeddings_array(x), x)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], r"two dimensions .*reshape\(1, -1\)"),
        (np.ones((2, 2, 2)), r"got shape \(2, 2, 2\)"),
        (3.0, r"got shape \(\)"),
        ([], r"got shape \(0,\)"),
        (np.ones((0, 4)), r"are empty: their shape is \(0, 4\)"),
        ([[1, 2], [3]], r"row 1: has 1 values where row 0 has 2"),
        ([["a", "b"]], "row 0, column 0: 'a' is not a number"),
        ([[1 + 2j]], "must be numbers, got an array of complex128"),
        ([[True]], "must be numbers, got an array of bool"),
        (Frame([[1.0, 2.0], [3.0, None]]), "row 1, column 1: None is not a number"),
        (Frame([[1.0, "2"]]), "row 0, column 1: '2' is not a number"),
        ([[0.0, 1.0], [float("nan"), 1.0]], "row 1, column 0: it is nan"),
        ([[0.0, float("-inf")]], "row 0, column 1: it is -inf"),
        ([[0.0, 1e300]], r"row 0, column 1: 1e\+300 does not fit into float32"),
        (np.ones((2, 1, 2)), r"got shape \(2, 1, 2\); pass it .squeeze\(1\)"),
        (np.array([[1, 2**24 + 1]]), "row 0, column 1: float32 cannot hold the integer 16777217"),
        (np.array([[2**53 + 1]]), "row 0, column 0: float32 cannot hold the integer"),
        (np.array([[1], [-(2**63)], [2**63 - 1]]), "row 2, column 0: float32 cannot hold"),
        (np.array([[2**64 - 1]], np.uint64), "row 0, column 0: float32 cannot hold"),
        (pd.Series([[1.0], [2.0], [3.0, 4.0]]), "row 2: has 2 values where row 0 has 1"),
        (pd.Series([[1.0], None]), "row 1: None is no vector"),
    ],
)
def test_what_cannot_be_right_is_named(values: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _arrays.embeddings_array(values)


def test_the_first_bad_row_of_many_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrays, "_VALUES_AT_ONCE", 10)
    x = np.zeros((100, 3), dtype=np.float16)
    x[57, 2] = x[80, 0] = np.nan
    with pytest.raises(ValueError, match="row 57, column 2"):
        _arrays.embeddings_array(x)


def test_inline_is_little_endian_float32_in_base64() -> None:
    body = _arrays.inline(np.array([[1.0, -2.5]], dtype=np.float32))
    assert (body["shape"], body["dtype"]) == ([1, 2], "float32")
    assert base64.b64decode(body["base64"]) == np.array([1.0, -2.5], "<f4").tobytes()


def loaded(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    file = io.BytesIO()
    _arrays.write_npz(file, arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_rows_in_npz_layout_keep_values_labels_and_splits() -> None:
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    labels = ["10", "9", "10", "9", "10", "9"]
    splits = ["train", "train", "ood/sketch", "train", "test", "ood/sketch"]
    arrays = loaded(_arrays.npz_arrays(x, labels, splits))
    assert arrays["class_names"].tolist() == ["9", "10"]  # integers in numeric order
    assert arrays["ood_sketch_y"].tolist() == [1, 0]
    np.testing.assert_array_equal(arrays["ood_sketch_x"], x[[2, 5]])
    np.testing.assert_array_equal(arrays["train_x"], x[[0, 1, 3]])
    assert set(arrays) == {
        "class_names",
        *(f"{name}_{part}" for name in ("train", "test", "ood_sketch") for part in "xy"),
    }


def test_without_splits_a_fifth_of_each_class_is_held_out_the_same_each_time() -> None:
    x = np.arange(62, dtype=np.float32).reshape(31, 2)
    labels = ["a"] * 20 + ["b"] * 10 + ["c"]
    arrays = _arrays.npz_arrays(x, labels, None)
    assert np.bincount(arrays["test_y"]).tolist() == [4, 2]
    assert np.bincount(arrays["train_y"]).tolist() == [16, 8, 1]
    again = _arrays.npz_arrays(x, labels, None)
    np.testing.assert_array_equal(arrays["test_x"], again["test_x"])


def test_the_same_arrays_make_the_same_bytes() -> None:
    def written() -> bytes:
        file = io.BytesIO()
        _arrays.write_npz(file, {"train_x": np.ones((2, 2)), "train_y": np.array(["a", "b"])})
        return file.getvalue()

    assert written() == written()


def test_arrays_in_npz_layout_keep_float16_and_take_lists() -> None:
    arrays = _arrays.check_npz_arrays(
        {
            "train_x": np.ones((2, 3), dtype=np.float16),
            "train_y": [0, 1],
            "ood_books_x": [[1, 2, 3]],
            "ood_books_y": np.array(["b"], dtype=object),
            "class_names": ["a", "b"],
        }
    )
    assert arrays["train_x"].dtype == np.float16
    assert arrays["ood_books_x"].dtype == np.float32
    assert loaded(arrays)["ood_books_y"].tolist() == ["b"]


X = np.ones((2, 3))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"test_x": X, "test_y": [0, 1]}, "lack train_x; they are test_x, test_y"),
        ({}, "they are none"),
        ({"train_x": X}, "have train_x but lack train_y"),
        ({"train_x": X, "train_y": [0]}, r"train_y has shape \(1,\) for 2 rows of train_x"),
        (
            {"train_x": X, "train_y": [0, 1], "test_x": [[1.0]], "test_y": [0]},
            "test_x has 1 columns where train_x has 3",
        ),
        ({"train_x": [[1.0, np.inf]], "train_y": [0]}, "train_x, row 0, column 1: it is inf"),
        (
            {"train_x": np.array([[np.nan]], dtype=np.float16), "train_y": [0]},
            "train_x, row 0, column 0",
        ),
        ({"train_x": X, "train_y": [{}, {}]}, "train_y, row 0: {} is neither a string nor"),
    ],
)
def test_arrays_that_cannot_be_a_dataset_are_named(arrays: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _arrays.check_npz_arrays(arrays)
