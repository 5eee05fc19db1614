"""Embeddings and labels in a JSON body: prepared like a file, or refused with row and column."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nmtune.rows.split import stratified_split
from service.ingest.dataset.inline import prepare, read_embeddings
from service.ingest.errors import BadInput
from store.files.dataset import DatasetFile


def in_base64(values: np.ndarray, **changes: Any) -> dict[str, Any]:
    text = base64.b64encode(values.tobytes()).decode()
    return {"base64": text, "shape": list(values.shape), "dtype": values.dtype.name} | changes


def rows(n_rows: int = 10, n_columns: int = 3, dtype: str = "f4") -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n_rows, n_columns)).astype(dtype)


def refused(tmp_path: Path, embeddings: Any, labels: Any, splits: Any = None) -> BadInput:
    with pytest.raises(BadInput) as caught:
        prepare(embeddings, labels, splits, workdir=tmp_path)
    assert not list(tmp_path.iterdir())
    return caught.value


@pytest.mark.parametrize("dtype", ["f2", "f4"])
@pytest.mark.parametrize("form", ["lists", "base64"])
def test_prepares_rows_by_split(tmp_path: Path, form: str, dtype: str) -> None:
    x = rows(6, dtype=dtype)
    splits = ["ood/web", "train", "test", "train", "validation", "test"]
    dataset = prepare(
        x.tolist() if form == "lists" else in_base64(x),
        ["b", "a", "b", "b", "a", "a"],
        splits,
        workdir=tmp_path,
    )
    opened = DatasetFile.open(dataset.path)
    assert dataset.classes == ("a", "b")
    assert opened.dtype == (dtype if form == "base64" else "f4")
    assert list(opened.splits) == ["train", "validation", "test", "ood/web"]
    for name, at in [("train", [1, 3]), ("test", [2, 5]), ("ood/web", [0])]:
        np.testing.assert_array_equal(opened.splits[name].x, x[at].astype(opened.dtype))
    assert opened.splits["train"].y.tolist() == [0, 1]
    assert (dataset.n_rows, dataset.n_columns) == (6, 3)


def test_lists_and_base64_make_the_same_dataset(tmp_path: Path) -> None:
    x, contents = rows(), []
    for number, value in enumerate([x.tolist(), in_base64(x)]):
        workdir = tmp_path / str(number)
        workdir.mkdir()
        path = prepare(value, list("ababababab"), workdir=workdir).path
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_without_splits_a_stratified_fifth_becomes_test_and_is_said(tmp_path: Path) -> None:
    x, y = rows(20), np.arange(20) % 2
    dataset = prepare(x.tolist(), y.tolist(), workdir=tmp_path)
    opened = DatasetFile.open(dataset.path)
    kept, held_out = stratified_split(y, fraction=0.2, seed=0)
    np.testing.assert_array_equal(opened.splits["train"].x, x[kept])
    np.testing.assert_array_equal(opened.splits["test"].x, x[held_out])
    assert opened.splits["test"].y.tolist().count(0) == 2
    assert dataset.warnings[0]["code"] == "split_made"


def test_rows_too_few_to_hold_any_out_all_become_train(tmp_path: Path) -> None:
    dataset = prepare([[1.0], [2.0]], ["a", "b"], workdir=tmp_path)
    assert [split["name"] for split in dataset.splits] == ["train"]
    assert {"no_test_split"} <= {warning["code"] for warning in dataset.warnings}


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10, 9, -1, 9], ("-1", "9", "10")),
        (["10", "9", "-1", "9"], ("-1", "9", "10")),
        (["10", 9, "-1", "9"], ("-1", "9", "10")),
        (["10", "9", "b", "9"], ("10", "9", "b")),
        (["1", "01", "1", "1"], ("01", "1")),
        ([2**64 - 1, 0, 0, 1], ("0", "1", str(2**64 - 1))),
        (["B", "a", "ä", "Z"], ("B", "Z", "a", "ä")),
    ],
)
def test_class_order_is_numeric_for_integers_and_by_character_else(
    tmp_path: Path, labels: list[Any], classes: tuple[str, ...]
) -> None:
    splits = ["train"] * 4
    assert prepare([[1], [2], [3], [4]], labels, splits, workdir=tmp_path).classes == classes


X = [[1.0, 2.0], [3.0, 4.0], [5, 6]]
L = ["a", "b", "a"]
BIG = rows(2, 2)
INVALID = "invalid_embeddings"
WRONG_EMBEDDINGS: dict[str, tuple[Any, str, int | None, int | None]] = {
    "no list": ("x", INVALID, None, None),
    "null": (None, INVALID, None, None),
    "no rows": ([], INVALID, None, None),
    "flat": ([1.0, 2.0], INVALID, 0, None),
    "no columns": ([[], []], INVALID, 0, None),
    "row null": ([[1.0], None], INVALID, 1, None),
    "row empty": ([[1.0], []], INVALID, 1, None),
    "row shorter": ([*X, [1.0]], INVALID, 3, None),
    "row longer": ([*X, [1.0] * 3], INVALID, 3, None),
    "three levels": ([[[1.0]], [[2.0]]], INVALID, 0, 0),
    "boolean": ([[1.0, 2.0], [1.0, True]], INVALID, 1, 1),
    "string": ([[1.0, 2.0], ["1.5", 2.0]], INVALID, 1, 0),
    "missing number": ([[1.0, None]], INVALID, 0, 1),
    "NaN": ([[1.0, 2.0], [1.0, float("nan")]], "not_finite", 1, 1),
    "beyond float32": ([[1.0, 2.0], [1e300, 1.0]], "not_finite", 1, 0),
    "beyond float64": ([[10**400, 1]], "not_finite", None, None),
    "too wide": ([[0.0] * 16_385], "too_large", None, None),
    "base64 alone": ({"base64": ""}, INVALID, None, None),
    "a key too many": (in_base64(BIG, x=1), INVALID, None, None),
    "dtype float64": (in_base64(BIG, dtype="float64"), INVALID, None, None),
    "dtype a list": (in_base64(BIG, dtype=["float32"]), INVALID, None, None),
    "shape short": (in_base64(BIG, shape=[4]), INVALID, None, None),
    "shape of booleans": (in_base64(BIG, shape=[True, 4]), INVALID, None, None),
    "shape zero": (in_base64(BIG, shape=[0, 4]), INVALID, None, None),
    "shape lies": (in_base64(BIG, shape=[2, 3]), INVALID, None, None),
    "shape huge": (in_base64(BIG, shape=[2**62, 4]), "too_large", None, None),
    "text no base64": (in_base64(BIG, base64="!" * 24), INVALID, None, None),
    "text not ASCII": (in_base64(BIG, base64="ä" * 24), INVALID, None, None),
    "padding inside": (in_base64(BIG, base64="AA==" * 6), INVALID, None, None),
    "bytes too many": (in_base64(BIG, base64="A" * 24), INVALID, None, None),
    "url alphabet": (in_base64(BIG, base64="-_" * 12), INVALID, None, None),
    "infinity in base64": (in_base64(np.array([[1, 2], [3, np.inf]], "f4")), "not_finite", 1, 1),
}
WRONG_LABELS: dict[str, tuple[Any, str, int | None]] = {
    "labels null": (None, "invalid_labels", None),
    "labels an object": ({"0": "a"}, "invalid_labels", None),
    "labels too few": (["a", "b"], "length_mismatch", None),
    "label float": (["a", "b", 1.5], "invalid_label", 2),
    "label null": ([None, "a", "b"], "invalid_label", 0),
    "label a list": (["a", "b", ["c"]], "invalid_label", 2),
    "label empty": (["a", "", "b"], "invalid_label", 1),
    "label NUL": (["a", "b\0", "b"], "invalid_label", 1),
    "label that would steer a terminal": (["a", "\x1b[31mb", "b"], "invalid_label", 1),
    "label with a line break": (["a", "b\nc", "b"], "invalid_label", 1),
    "label half a character": (["a", "b", "\ud800"], "invalid_label", 2),
    "label too long": (["a", "b", "c" * 201], "invalid_label", 2),
    "label of 5000 digits": (["a", "b", 10**5000], "invalid_label", 2),
    "one class": (["a", "a", "a"], "too_few_classes", None),
}
WRONG_SPLITS: dict[str, tuple[Any, str, str, int | None]] = {
    "one class in train": (["train", "test", "train"], "too_few_classes", "labels", None),
    "splits no list": ("train", "invalid_splits", "splits", None),
    "splits too few": (["train"], "length_mismatch", "splits", None),
    "split unknown": (["train", "train", "vaild"], "invalid_split", "splits", 2),
    "split null": (["train", None, "train"], "invalid_split", "splits", 1),
    "split of a file": (["train", "train", "ood_web"], "invalid_split", "splits", 2),
    "domain empty": (["train", "train", "ood/"], "invalid_split", "splits", 2),
    "domain a path": (["train", "train", "ood/../x"], "invalid_split", "splits", 2),
    "domain with NUL": (["train", "train", "ood/a\0"], "invalid_split", "splits", 2),
    "no train": (["test", "test", "test"], "no_train_rows", "splits", None),
}
WRONG = {
    **{
        name: (x, L, None, code, "embeddings", row, column)
        for name, (x, code, row, column) in WRONG_EMBEDDINGS.items()
    },
    **{
        name: (X, labels, None, code, "labels", row, None)
        for name, (labels, code, row) in WRONG_LABELS.items()
    },
    **{
        name: (X, L, splits, code, field, row, None)
        for name, (splits, code, field, row) in WRONG_SPLITS.items()
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_values_are_named_with_row_and_column(tmp_path: Path, name: str) -> None:
    embeddings, labels, splits, code, field, row, column = WRONG[name]
    began = time.thread_time()
    error = refused(tmp_path, embeddings, labels, splits)
    assert time.thread_time() - began < 1
    assert (error.code, error.field, error.row, error.column) == (code, field, row, column)
    assert not error.malformed
    assert len(error.message) < 400


def test_several_values_that_are_not_finite_are_named_together(tmp_path: Path) -> None:
    x = rows(10).tolist()
    x[2][1] = x[7][0] = 1e200
    error = refused(tmp_path, x, list("ababababab"))
    assert [(place.row, place.column) for place in error.places] == [(2, 1), (7, 0)]
    assert "1e+200, too large for float32" in error.message


def test_a_value_is_never_repeated_in_the_message(tmp_path: Path) -> None:
    for embeddings, labels in [([["secret"]], ["a"]), (X, ["a", {"k": "secret"}, "b"])]:
        assert "secret" not in refused(tmp_path, embeddings, labels).message


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_embeddings_for_a_prediction_are_float32_and_limited(dtype: str) -> None:
    x = rows(5, dtype=dtype)
    for value in (x.tolist(), in_base64(x)):
        read = read_embeddings(value, field="embeddings", max_rows=5)
        assert (read.dtype, read.flags.c_contiguous, read.flags.writeable) == ("f4", True, True)
        np.testing.assert_array_equal(read, x.astype("f4"))
        with pytest.raises(BadInput, match="at most 4"):
            read_embeddings(value, max_rows=4)


FUZZ = settings(
    max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)
NUMBER = st.integers(-3, 3) | st.floats(width=32)
MATRIX = st.integers(1, 3).flatmap(
    lambda d: st.lists(st.lists(NUMBER, min_size=d, max_size=d), min_size=2, max_size=5)
)
PACKED = st.fixed_dictionaries(
    {
        "base64": st.binary(max_size=40).map(lambda b: base64.b64encode(b).decode()) | JSON,
        "shape": st.lists(st.integers(-1, 4), min_size=2, max_size=2) | JSON,
        "dtype": st.sampled_from(["float32", "float16"]) | JSON,
    }
)
LABELS = st.lists(st.sampled_from(["a", "b", 1, 2]), min_size=2, max_size=5) | JSON
SPLITS = st.none() | st.lists(st.sampled_from(["train", "test", "ood/a"]), max_size=5) | JSON


@FUZZ
@given(MATRIX | PACKED | JSON, LABELS, SPLITS)
def test_any_values_are_prepared_or_bad_input(
    tmp_path: Path, embeddings: Any, labels: Any, splits: Any
) -> None:
    (tmp_path / "dataset.safetensors").unlink(missing_ok=True)
    try:
        dataset = prepare(embeddings, labels, splits, workdir=tmp_path)
    except BadInput:
        return
    opened = DatasetFile.open(dataset.path)
    assert opened.classes == dataset.classes
    assert sum(len(split.y) for split in opened.splits.values()) == len(labels)
    assert all(np.isfinite(split.x).all() for split in opened.splits.values())
    json.dumps([dataset.splits, dataset.profile, dataset.warnings], allow_nan=False)


@FUZZ
@given(MATRIX, st.data())
def test_honest_values_are_prepared(tmp_path: Path, embeddings: Any, data: st.DataObject) -> None:
    (tmp_path / "dataset.safetensors").unlink(missing_ok=True)
    n_rows = len(embeddings)
    rest = data.draw(st.lists(st.integers(0, 9), min_size=n_rows - 2, max_size=n_rows - 2))
    embeddings = [[v if np.isfinite(v) else 0 for v in row] for row in embeddings]
    dataset = prepare(embeddings, [0, 1, *rest], ["train"] * n_rows, workdir=tmp_path)
    stored = DatasetFile.open(dataset.path).splits["train"]
    np.testing.assert_array_equal(stored.x, np.array(embeddings, "f4"))
    assert [dataset.classes[label] for label in stored.y] == list(map(str, [0, 1, *rest]))


@pytest.mark.slow
def test_five_million_numbers_take_seconds(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((6_500, 768)).astype("f4")
    value = orjson.loads(orjson.dumps(x, option=orjson.OPT_SERIALIZE_NUMPY))
    began = time.thread_time()
    dataset = prepare(value, (np.arange(len(x)) % 5).tolist(), workdir=tmp_path)
    assert time.thread_time() - began < 5
    assert dataset.n_rows == len(x)
