"""The stratified split: a seeded partition that no class loses by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.rows.split import stratified_split

LABELS = st.lists(st.integers(0, 9), min_size=1, max_size=80).map(np.array)


@settings(max_examples=200, deadline=None)
@given(y=LABELS, fraction=st.floats(0.001, 0.999), seed=st.integers(0, 2**32))
def test_every_split_is_a_sorted_partition_that_keeps_every_class(
    y: NDArray[np.int64], fraction: float, seed: int
) -> None:
    kept, held_out = stratified_split(y, fraction=fraction, seed=seed)
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held_out) > 0).all()
    assert (np.sort(np.concatenate([kept, held_out])) == np.arange(len(y))).all()
    assert set(y[kept]) == set(y)
    sizes = np.bincount(y)
    taken = np.bincount(y[held_out], minlength=len(sizes))
    assert (np.abs(taken - fraction * sizes) <= 1).all()
    assert (len(held_out) >= 1) == bool((sizes >= 2).any())
    again = stratified_split(y, fraction=fraction, seed=seed)
    assert (again[0] == kept).all()
    assert (again[1] == held_out).all()


def test_shares_are_exact_where_they_divide() -> None:
    y = np.repeat([0, 1, 2], [50, 30, 20])
    kept, held_out = stratified_split(y, fraction=0.2, seed=0)
    assert np.bincount(y[held_out]).tolist() == [10, 6, 4]
    assert len(kept) == 80


def test_many_small_classes_still_give_the_whole_share() -> None:
    y = np.repeat(np.arange(100), 4)
    _, held_out = stratified_split(y, fraction=0.1, seed=3)
    assert len(held_out) == 40
    assert np.bincount(y[held_out]).max() == 1


def test_another_seed_gives_another_split() -> None:
    y = np.repeat([0, 1], 50)
    _, first = stratified_split(y, fraction=0.2, seed=0)
    _, second = stratified_split(y, fraction=0.2, seed=1)
    assert first.tolist() != second.tolist()


def test_rows_in_order_of_class_are_drawn_from_the_whole_class() -> None:
    y = np.zeros(1000, dtype=np.int64)
    _, held_out = stratified_split(y, fraction=0.1, seed=0)
    assert held_out.min() < 100
    assert held_out.max() > 900


def test_classes_of_one_row_are_kept() -> None:
    kept, held_out = stratified_split(np.array([5, 2, 9]), fraction=0.5, seed=0)
    assert kept.tolist() == [0, 1, 2]
    assert held_out.tolist() == []
    kept, held_out = stratified_split(np.array([1, 0, 0]), fraction=0.9, seed=0)
    assert 0 in kept
    assert len(held_out) == 1


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_fraction_out_of_bounds_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and below 1") as raised:
        stratified_split(np.array([0, 1]), fraction=fraction, seed=0)
    assert raised.value.field == "fraction"


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="seed"):
        stratified_split(np.array([0, 1]), fraction=0.5, seed=-1)


@pytest.mark.parametrize("y", [np.array([]), np.array([[0, 1]]), np.array([0.5]), np.array(["a"])])
def test_labels_that_are_no_vector_of_indices_are_refused(y: NDArray[np.generic]) -> None:
    with pytest.raises(DataError, match="class indices") as raised:
        stratified_split(y, fraction=0.5, seed=0)
    assert raised.value.field == "y"
