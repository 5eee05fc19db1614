"""The profile counts what is there, whatever the blocks; warnings appear only when due."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.ingest.dataset.profile import Profiler


def profiled(
    splits: dict[str, tuple[Any, Any]],
    *,
    classes: tuple[str, ...] = ("a", "b"),
    dtype: str = "f4",
    block: int = 1000,
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    first = np.asarray(next(iter(splits.values()))[0])
    profiler = Profiler(classes=classes, n_columns=first.shape[1], splits=list(splits))
    for name, (values, labels) in splits.items():
        x, y = np.asarray(values, dtype), np.asarray(labels)
        for start in range(0, len(x), block):
            profiler.add(name, x[start : start + block], y[start : start + block])
    profile, warnings = profiler.finish()
    json.dumps([profile, warnings], allow_nan=False)
    return profile, warnings


def normal(n_rows: int, seed: int, n_columns: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_rows, n_columns))


def good() -> dict[str, tuple[Any, Any]]:
    """A dataset that nothing is to be said about."""
    y = np.arange(40) % 2
    return {name: (normal(40, seed), y) for seed, name in enumerate(["train", "test", "ood/web"])}


def warned(warnings: list[dict[str, str]]) -> dict[str, str | None]:
    return {warning["code"]: warning.get("split") for warning in warnings}


def test_a_good_dataset_has_no_warnings() -> None:
    profile, warnings = profiled(good())
    assert warnings == []
    assert profile["n_duplicate_train_rows"] == profile["n_conflicting_train_rows"] == 0
    assert profile["imbalance_ratio"] == 1
    assert profile["splits"]["test"]["n_rows_also_in_train"] == 0


@pytest.mark.parametrize("dtype", ["f2", "f4"])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_figures_are_those_of_the_whole_whatever_the_blocks(dtype: str, block: int) -> None:
    splits = good()
    profile, _ = profiled(splits, dtype=dtype, block=block)
    for name, (x, _) in splits.items():
        norms = np.linalg.norm(np.asarray(x, dtype).astype("f8"), axis=1)
        found = profile["splits"][name]
        assert found["n_rows"] == 40
        assert found["norms"] == pytest.approx(
            {"min": norms.min(), "mean": norms.mean(), "max": norms.max()}
        )


def test_large_values_do_not_overflow() -> None:
    profile, _ = profiled({"train": (np.full((2, 4), 3e38), [0, 1])})
    assert profile["splits"]["train"]["norms"]["max"] == pytest.approx(6e38, rel=1e-6)
    profile, _ = profiled({"train": (np.full((2, 4), 6e4), [0, 1])}, dtype="f2")
    assert profile["splits"]["train"]["norms"]["max"] == pytest.approx(1.2e5, rel=1e-2)


def test_repeated_rows_in_train_and_rows_also_in_train_are_counted() -> None:
    splits = good()
    x, y = splits["train"]
    splits["train"] = (np.r_[x, x[:3], x[:1]], np.r_[y, y[:3], y[:1]])
    test_x, test_y = splits["test"]
    splits["test"] = (np.r_[test_x, x[5:7]], np.r_[test_y, y[5:7]])
    profile, warnings = profiled(splits, block=9)
    assert profile["n_duplicate_train_rows"] == 4
    assert profile["n_conflicting_train_rows"] == 0
    assert profile["splits"]["test"]["n_rows_also_in_train"] == 2
    assert profile["splits"]["ood/web"]["n_rows_also_in_train"] == 0
    assert warned(warnings) == {"duplicate_rows": "train", "rows_also_in_train": "test"}


def test_equal_rows_with_different_labels_are_counted() -> None:
    splits = good()
    x, y = splits["train"]
    splits["train"] = (np.r_[x, x[:2]], np.r_[y, 1 - y[:1], y[1:2]])
    profile, warnings = profiled(splits)
    assert profile["n_conflicting_train_rows"] == 2
    assert profile["n_duplicate_train_rows"] == 2
    assert {"conflicting_labels", "duplicate_rows"} == set(warned(warnings))


def test_zero_rows_and_constant_columns_are_named() -> None:
    splits = good()
    x, _ = splits["ood/web"]
    x[3] = 0
    train, _ = splits["train"]
    train[:, 2] = 1.5
    profile, warnings = profiled(splits, block=11)
    assert profile["splits"]["ood/web"]["n_zero_rows"] == 1
    assert (profile["n_constant_columns"], profile["constant_columns"]) == (1, [2])
    assert warned(warnings) == {"zero_rows": "ood/web", "constant_columns": "train"}


@pytest.mark.parametrize(
    ("n", "rows", "zeros"),
    [(1, "1 row of test is also in", "1 row of ood/web holds"), (2, "2 rows of test are", "hold ")],
)
def test_one_row_is_spoken_of_as_one(n: int, rows: str, zeros: str) -> None:
    splits = good()
    x, y = splits["train"]
    splits["test"] = (np.r_[splits["test"][0], x[:n]], np.r_[splits["test"][1], y[:n]])
    splits["ood/web"][0][:n] = 0
    _, warnings = profiled(splits)
    by_code = {warning["code"]: warning["message"] for warning in warnings}
    assert by_code["rows_also_in_train"].startswith(rows)
    assert zeros in by_code["zero_rows"]


def test_missing_and_rare_classes_are_named() -> None:
    splits = good()
    x, _ = splits["train"]
    splits["train"] = (x, np.r_[np.zeros(36, int), [1] * 4])
    splits["ood/web"] = (splits["ood/web"][0], np.zeros(40, int))
    profile, warnings = profiled(splits, classes=("a", "b", "c"))
    assert profile["imbalance_ratio"] == 9
    assert profile["splits"]["ood/web"]["classes_missing"] == ["b", "c"]
    by_split = {(w["code"], w.get("split")): w["message"] for w in warnings}
    assert "'b' has fewer than 5 training rows" in by_split["few_rows", "train"]
    assert "'c' has no row in train" in by_split["classes_missing", "train"]
    assert "'b', 'c' have no row in ood/web" in by_split["classes_missing", "ood/web"]


def test_many_missing_classes_are_counted_not_listed() -> None:
    classes = tuple(map(str, range(1000)))
    profile, warnings = profiled(good(), classes=classes)
    assert profile["splits"]["train"]["n_classes_missing"] == 998
    assert len(profile["splits"]["train"]["classes_missing"]) == 20
    assert all(len(warning["message"]) < 400 for warning in warnings)


def test_imbalance_is_warned_of() -> None:
    splits = good()
    splits["train"] = (normal(100, 9), np.r_[np.zeros(95, int), [1] * 5])
    _, warnings = profiled(splits)
    assert warned(warnings) == {"imbalanced_classes": "train"}
    assert "19 times" in warnings[0]["message"]


def test_a_split_that_was_not_normalised_is_warned_of() -> None:
    splits = good()
    x, y = splits["ood/web"]
    splits["ood/web"] = (x * 20, y)
    _, warnings = profiled(splits)
    assert warned(warnings) == {"norms_differ": "ood/web"}


def test_absent_splits_are_warned_of() -> None:
    splits = good()
    _, warnings = profiled({"train": splits["train"]})
    assert set(warned(warnings)) == {"no_test_split", "no_ood_split"}


@settings(max_examples=100, deadline=None, database=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)), min_size=1),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1),
    st.integers(1, 5),
)
def test_counts_are_those_of_a_plain_reckoning(
    train: list[tuple[int, int, int]], test: list[tuple[int, int]], block: int
) -> None:
    rows = [row[:2] for row in train]
    profile, _ = profiled(
        {"train": (rows, [row[2] for row in train]), "test": (test, [0] * len(test))}, block=block
    )
    labels = {row: {label for *key, label in train if tuple(key) == row} for row in rows}
    assert profile["n_duplicate_train_rows"] == len(rows) - len(set(rows))
    assert profile["n_conflicting_train_rows"] == sum(len(labels[row]) > 1 for row in rows)
    assert profile["splits"]["test"]["n_rows_also_in_train"] == sum(row in rows for row in test)
    assert profile["splits"]["train"]["n_zero_rows"] == rows.count((0, 0))
    constant = [j for j in range(2) if len({row[j] for row in rows}) == 1]
    assert profile["constant_columns"] == constant


@pytest.mark.parametrize(
    ("n_columns", "told"),
    [
        (1, "Column 0 has one value in all training rows. It does no harm; if"),
        (2, "Columns 0 and 1 have one value in all training rows. They do no harm; if"),
        (7, "7 columns (the first: 0, 1, 2, 3, 4) have one value in all training rows. They do"),
    ],
)
def test_constant_columns_are_told_in_a_sentence(n_columns: int, told: str) -> None:
    random = np.random.default_rng(0)
    splits = {
        split: (random.normal(size=(30, 9)).astype(np.float32), np.arange(30) % 2)
        for split in ("train", "test", "ood/web")
    }
    splits["train"][0][:, :n_columns] = 1.5
    (warning,) = (one for one in profiled(splits)[1] if one["code"] == "constant_columns")
    assert warning["message"].startswith(told)
