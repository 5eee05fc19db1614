"""Near-duplicates of training rows against all cosines in float64, in blocks, samples and edges."""

import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.study import near_duplicates
from nmtune.study.near_duplicates import NearDuplicates, find_near_duplicates

Rows = tuple[NDArray[np.float32], NDArray[np.int64]]


def leaky(n_train: int = 60, n_rows: int = 40, *, seed: int = 0) -> tuple[Rows, Rows]:
    """Training rows, and rows every other of which is a training row, scaled and a little moved."""
    generator = np.random.default_rng(seed)
    train_x = generator.standard_normal((n_train, 16)).astype(np.float32)
    x = generator.standard_normal((n_rows, 16)).astype(np.float32)
    copied = generator.integers(0, n_train, n_rows)[::2]
    noise = generator.uniform(0, 0.3, (len(copied), 1)) * generator.standard_normal(
        (len(copied), 16)
    )
    x[::2] = 3 * train_x[copied] + noise
    train_y = generator.integers(0, 3, n_train)
    y = generator.integers(0, 3, n_rows)
    return (train_x, train_y), (x, y)


def find(train: Rows, split: Rows, **settings: float) -> NearDuplicates:
    return find_near_duplicates(*split, train_x=train[0], train_y=train[1], n_classes=3, **settings)  # type: ignore[arg-type]  # settings are of several types


def cosines(train: Rows, split: Rows) -> NDArray[np.float64]:
    a, b = (rows[0].astype(np.float64) for rows in (split, train))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    return a @ b.T


@pytest.mark.parametrize("block_rows", [1, 7, 2048])
@pytest.mark.parametrize("threshold", [0.5, 0.99, 0.9999])
def test_agrees_with_all_cosines(
    threshold: float, block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "_BLOCK_ROWS", block_rows)
    train, split = leaky()
    expected = cosines(train, split)
    result = find(train, split, threshold=threshold)
    found = np.flatnonzero(expected.max(axis=1) >= threshold)
    assert sorted(result.rows.tolist()) == found.tolist()
    assert 0 < len(found) < len(split[1])
    assert result.train_rows.tolist() == expected[result.rows].argmax(axis=1).tolist()
    assert result.similarities == pytest.approx(expected[result.rows].max(axis=1), abs=1e-6)
    assert (np.diff(result.similarities) <= 0).all()
    assert result.share == len(found) / 40
    assert result.share_of_pairs == pytest.approx((expected >= threshold).mean())
    assert (result.labels == split[1][result.rows]).all()
    assert (result.train_labels == train[1][result.train_rows]).all()
    assert result.n_other_label == (result.labels != result.train_labels).sum()


def test_a_copy_is_found_at_the_threshold_of_one_whatever_its_length() -> None:
    generator = np.random.default_rng(0)
    train = generator.standard_normal((300, 768)).astype(np.float32), np.zeros(300, np.int64)
    scales = np.geomspace(1e-3, 1e3, 300, dtype=np.float32)[:, None]
    result = find(train, (train[0] * scales, train[1]), threshold=1)
    assert result.share == 1
    assert (result.rows == result.train_rows).all()
    assert result.similarities.max() <= 1


@pytest.mark.parametrize("factor", [1e-38, 1e-20, 1e20, 1e37])
def test_magnitudes_whose_squares_leave_float32_are_compared_too(factor: float) -> None:
    train, (x, y) = leaky()
    expected = find(train, (x, y))
    scaled = (x.astype(np.float64) * factor).astype(np.float32), y
    result = find(train, scaled)
    assert sorted(result.rows.tolist()) == sorted(expected.rows.tolist())


def test_rows_of_zeros_are_similar_to_none() -> None:
    zeros: Rows = np.zeros((5, 16), np.float32), np.zeros(5, np.int64)
    train, split = leaky()
    assert len(find(zeros, zeros).rows) == 0
    assert len(find(train, zeros).rows) == 0
    assert len(find(zeros, split).rows) == 0


def test_of_equal_training_rows_the_first_is_named() -> None:
    x = np.ones((4, 3), np.float32)
    result = find((x, np.array([2, 1, 1, 1])), (x[:1], np.array([1])))
    assert (result.train_rows.tolist(), result.n_other_label) == ([0], 1)


def test_too_many_products_are_answered_from_a_seeded_sample_that_says_so() -> None:
    train, split = leaky(n_train=60, n_rows=200)
    whole = find(train, split)
    affordable = {"max_products": 60 * 16 * 50}
    result = find(train, split, seed=1, **affordable)
    assert (whole.n_compared, whole.notes) == (200, ())
    assert (result.n_rows, result.n_compared) == (200, 50)
    assert "50 of the 200 rows" in result.notes[0]
    assert set(result.rows) < set(whole.rows)
    assert result.share == len(result.rows) / 50
    assert result.rows.tolist() == find(train, split, seed=1, **affordable).rows.tolist()
    assert result.rows.tolist() != find(train, split, seed=2, **affordable).rows.tolist()
    assert find(train, split, max_products=1).n_compared == 1


def test_embeddings_that_all_point_one_way_are_told_from_repeats() -> None:
    generator = np.random.default_rng(0)
    x = (10 + generator.standard_normal((50, 16))).astype(np.float32)
    y = np.zeros(50, np.int64)
    (note,) = find((x, y), (x[::-1].copy(), y), threshold=0.9).notes
    assert "100% of all pairs" in note


def test_memory_does_not_grow_with_memory_mapped_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "_BLOCK_ROWS", 64)
    x = np.random.default_rng(0).standard_normal((4000, 128)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    y = np.zeros(4000, np.int64)
    tracemalloc.start()
    result = find((mapped, y), (mapped[:128], y[:128]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.share == 1
    assert peak < x.nbytes / 4


def test_the_dictionary_names_classes_and_lists_no_more_than_the_limit() -> None:
    result = find(*leaky())
    classes = ("ant", "bee", "cat")
    back = json.loads(json.dumps(result.to_dict(classes, limit=2), allow_nan=False))
    assert back["n_near_duplicates"] == len(result.rows) > 2
    assert (back["n_compared"], back["share"]) == (40, result.share)
    assert back["n_other_label"] == result.n_other_label
    assert back["pairs"] == [
        {
            "row": result.rows[at],
            "train_row": result.train_rows[at],
            "similarity": result.similarities[at],
            "label": classes[result.labels[at]],
            "train_label": classes[result.train_labels[at]],
        }
        for at in range(2)
    ]
    with pytest.raises(DataError, match="3 names, got 2"):
        result.to_dict(classes[:2])
    with pytest.raises(ConfigError, match="limit"):
        result.to_dict(classes, limit=-1)


@pytest.mark.parametrize("is_training_row", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_named(
    bad: float, is_training_row: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_duplicates, "_BLOCK_ROWS", 10)
    train, split = leaky()
    (train if is_training_row else split)[0][33, 2] = bad
    with pytest.raises(DataError, match="row 33, column 2") as raised:
        find(train, split)
    field = "train_x" if is_training_row else "x"
    assert (raised.value.field, raised.value.row, raised.value.column) == (field, 33, 2)


def test_rows_and_labels_that_do_not_fit_are_refused() -> None:
    train, (x, y) = leaky()
    with pytest.raises(DataError, match="16 columns like train_x, got 15"):
        find(train, (x[:, 1:], y))
    with pytest.raises(DataError, match="must not be empty"):
        find(train, (x[:0], y[:0]))
    with pytest.raises(DataError, match="real numbers"):
        find(train, (x.astype(str), y))  # type: ignore[arg-type]  # wrong on purpose
    y[7] = 3
    with pytest.raises(DataError, match="got 3 in row 7") as raised:
        find(train, (x, y))
    assert (raised.value.field, raised.value.row) == ("y", 7)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", 0),
        ("threshold", 1.1),
        ("threshold", math.nan),
        ("max_products", 0),
        ("seed", -1),
    ],
)
def test_a_setting_out_of_range_is_named(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field) as raised:
        find(*leaky(), **{field: value})
    assert raised.value.field == field
