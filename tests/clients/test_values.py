"""Labels and splits as the client takes them: the rule of the server, value by value."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from nmtune_client._datasets import arrays as _arrays
from nmtune_client._datasets import labels as _values
from nmtune_client._jobs.submission import submission
from nmtune_client._show import plain as _text

from service.ingest.errors import BadInput
from service.ingest.names.split_names import split_of
from service.ingest.names.value_name import name_of

DAY = dt.date(2024, 5, 6)
NOON = dt.datetime(2024, 5, 6, 12, 0, 0, 500_000)  # noqa: DTZ001 - a time without a zone
BERLIN = dt.timezone(dt.timedelta(hours=2))
NAMES: list[tuple[Any, str]] = [
    ("cat", "cat"),
    (" Cat ", " Cat "),
    (7, "7"),
    (-1, "-1"),
    (7.0, "7"),
    (-0.0, "0"),
    (True, "True"),
    (Decimal("7.00"), "7"),
    (2**64, str(2**64)),
    (DAY, "2024-05-06"),
    (NOON, "2024-05-06T12:00:00.5"),
    (NOON.replace(tzinfo=BERLIN), "2024-05-06T10:00:00.5+00:00"),
    (dt.time(1, 2, 3), "01:02:03"),
]
MISSING: list[Any] = [None, float("nan"), Decimal("nan")]
WRONG: list[Any] = [1.5, float("inf"), 2.0**60, b"cat", [1], {}, Decimal("1.5"), 1j]


@pytest.mark.parametrize(("value", "name"), NAMES)
def test_a_value_has_one_name_at_both_ends(value: object, name: str) -> None:
    assert _values.label_list([value], n_rows=1) == [name]
    assert name_of(value, part="label", field="labels", row=0) == name


@pytest.mark.parametrize("value", [*MISSING, *WRONG], ids=repr)
def test_a_value_without_a_name_is_refused_at_both_ends(value: object) -> None:
    is_missing = any(value is one for one in MISSING)
    with pytest.raises(ValueError, match=r"labels, row 1: ") as here:
        _values.label_list(["a", value], n_rows=2)
    with pytest.raises(BadInput, match="The label at row 1 is ") as there:
        name_of(value, part="label", field="labels", row=1)
    assert ("missing" in str(here.value)) == ("missing" in str(there.value)) == is_missing


@pytest.mark.parametrize(
    "labels",
    [
        ["1", "2"],
        [1, 2],
        (1.0, "2"),
        np.array([1, 2]),
        np.array([1.0, 2.0], "f4"),
        np.array(["1", "2"]),
        [np.int8(1), np.float32(2)],
        torch.tensor([1, 2]),
        pd.Series([1, 2], dtype="Int64", index=[7, 7]),
        pd.Series([1, 2], dtype="float64"),
        pd.Categorical([1, 2]),
        pd.Series(["1", "2"], dtype="category"),
        pl.Series([1, 2]),
        pa.array([1, 2]),
        pa.chunked_array([[1], [2]]),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_labels_become_strings(labels: object) -> None:
    assert _values.label_list(labels, n_rows=2) == ["1", "2"]


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series([0, 1, None], dtype="Int64"),
        pd.Series([0, 1, None]),
        pd.Series(["a", "b", None]),
        pd.Series(["a", "b", pd.NA], dtype="string"),
        pd.Series([True, False, None], dtype="boolean"),
        pd.Categorical(["a", "b", None]),
        pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02", None])),
        pl.Series([0, 1, None]),
        pa.array(["a", "b", None]),
        np.array([0, 1, np.nan]),
        np.array(["2024-01-01", "2024-01-02", "NaT"], "M8[D]"),
        ["a", "b", pd.NaT],
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_the_row_of_a_missing_label_is_named(labels: object) -> None:
    with pytest.raises(ValueError, match="labels, row 2: it is missing"):
        _values.label_list(labels, n_rows=3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"], "1 labels for 2 rows"),
        ("ab", "must be a sequence"),
        (7, "must be a sequence"),
        (np.array([1.0, 2.5]), "row 1: 2.5 is neither"),
        (np.array([["a"], ["b"]]), r"row 0: \['a'\] is neither"),
        (np.array([1, 2], "m8[s]"), "row 0: .* is neither"),
        ([b"a", b"b"], "row 0: b'a' is bytes"),
    ],
)
def test_labels_that_are_none_are_named(labels: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _values.label_list(labels, n_rows=2)


@pytest.mark.parametrize("unit", ["D", "s", "ns"])
def test_numpys_times_are_iso_texts(unit: str) -> None:
    times = np.array(["2024-01-01", "2024-01-02"], f"M8[{unit}]")
    ends = "" if unit == "D" else "T00:00:00"
    assert _values.label_list(times, n_rows=2) == [f"2024-01-01{ends}", f"2024-01-02{ends}"]


SPLITS = {
    "train": "train",
    " Train ": "train",
    "TRAINING": "train",
    "val": "validation",
    "Valid": "validation",
    "dev": "validation",
    "validation": "validation",
    "Test": "test",
    "ood/東京": "ood/東京",
    "OOD/a b, c!": "ood/a b, c!",
}


@pytest.mark.parametrize("name", SPLITS)
def test_a_split_has_one_name_at_both_ends(name: str) -> None:
    assert _values.split_list(np.array([name]), n_rows=1) == [SPLITS[name]]
    assert split_of(name) == SPLITS[name]


def test_splits_are_checked() -> None:
    for wrong in ("tain", "ood/", "ood/ ", "ood", "", "ood/a\0", "1"):
        with pytest.raises(ValueError, match=r"row 1: .* none of train, validation, test, ood/"):
            _values.split_list(["train", wrong], n_rows=2)
    with pytest.raises(ValueError, match="splits, row 1: it is missing"):
        _values.split_list(["train", None], n_rows=2)


def test_arrays_of_objects_are_labels_too() -> None:
    x = np.zeros((3, 2), np.float32)
    y = pd.Series([0, 1, 0], dtype="Int64").astype(object)
    arrays = _arrays.check_npz_arrays({"train_x": x, "train_y": y})
    assert arrays["train_y"].tolist() == ["0", "1", "0"]
    named = {"class_names": np.array(["cat", "dog"]), "Train_x": x, "Train_y": y}
    assert _arrays.check_npz_arrays(named)["Train_y"].tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="train_y, row 2: it is missing"):
        _arrays.check_npz_arrays({"train_x": x, "train_y": np.array(["a", "b", None], object)})


def test_a_domain_is_written_into_the_name_of_its_arrays() -> None:
    splits = ["train", "train", "ood/a/b:100%", "ood/東京"]
    arrays = _arrays.npz_arrays(np.zeros((4, 1), np.float32), ["a", "b", "a", "b"], splits)
    assert [name for name in arrays if name.startswith("ood_")] == [
        "ood_a%2Fb%3A100%25_x",
        "ood_a%2Fb%3A100%25_y",
        "ood_東京_x",
        "ood_東京_y",
    ]


def test_the_wish_to_merge_goes_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = dict.fromkeys(
        ("splits", "texts", "provider", "dataset", "method", "config", "analyses", "alias")
    ) | {"name": "a", "queue": None, "priority": None, "merge_similar": True}
    rows = {"embeddings": np.zeros((2, 1)), "labels": ["A", "a"]}
    assert submission(**given, **rows).data["merge_similar"] is True
    monkeypatch.setattr("nmtune_client._jobs.submission.MOST_INLINE_BYTES", 0)
    sent = submission(**given, **rows)
    assert sent.merge_similar
    assert "merge_similar" not in sent.data
    with pytest.raises(ValueError, match="belong to embeddings"):
        submission(**given | {"dataset": "ds_1"}, embeddings=None, labels=None)


def test_names_in_any_script_stand_in_columns() -> None:
    lines = _text.columns([["ood/東京", "1"], ["ood/cafe\u0301", "20"]], right=[1]).splitlines()
    assert lines == ["ood/東京   1", "ood/cafe\u0301  20"]
    assert _text.shorten("東京大阪名古屋", 9) == "東京大..."
    assert _text.shorten("abcdefghij", 9) == "abcdef..."
