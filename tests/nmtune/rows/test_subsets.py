"""Growing subsets: nested, stratified, two rows of each class, and no size that this distorts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nmtune.rows.subsets import nested_subset, rows_per_class

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=120).map(np.array)
FRACTIONS = st.lists(st.floats(0.01, 1), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(y=LABELS, fractions=FRACTIONS, seed=st.integers(0, 2**32))
def test_every_subset_is_stratified_and_holds_the_smaller_ones(
    y: NDArray[np.int64], fractions: list[float], seed: int
) -> None:
    sizes = np.bincount(y)
    smaller: set[int] = set()
    for take in rows_per_class(y, [*fractions, 1.0]):
        rows = nested_subset(y, take, seed=seed)
        assert (np.diff(rows) > 0).all()
        assert np.bincount(y[rows], minlength=len(sizes)).tolist() == take.tolist()
        assert (take >= np.minimum(sizes, 2)).all()
        assert smaller < set(rows.tolist())
        smaller = set(rows.tolist())
    assert len(smaller) == len(y)


def test_a_size_gives_every_class_its_rounded_share() -> None:
    y = np.repeat([0, 1, 2], [100, 50, 25])
    takes = rows_per_class(y, (1.0, 0.1, 0.5))
    assert [take.tolist() for take in takes] == [[10, 5, 3], [50, 25, 13], [100, 50, 25]]


def test_sizes_too_small_for_two_rows_a_class_are_skipped() -> None:
    y = np.repeat(np.arange(20), 10)
    takes = rows_per_class(y, (0.05, 0.1, 0.2, 0.5, 1.0))
    assert [int(take.sum()) for take in takes] == [40, 100, 200]


def test_a_rare_class_keeps_its_rows_and_skips_no_size() -> None:
    y = np.repeat([0, 1, 2, 3], [500, 500, 3, 1])
    takes = rows_per_class(y, (0.1, 0.5))
    assert [take.tolist() for take in takes] == [[50, 50, 2, 1], [250, 250, 2, 1]]


def test_fractions_that_take_the_same_rows_are_one_size() -> None:
    y = np.repeat([0, 1], 10)
    assert [take.tolist() for take in rows_per_class(y, (0.5, 0.501, 0.5))] == [[5, 5]]


def test_a_seed_draws_its_own_rows_from_the_whole_class() -> None:
    y = np.zeros(1000, dtype=np.int64)
    take = np.array([100])
    first = nested_subset(y, take, seed=0)
    assert first.tolist() == nested_subset(y, take, seed=0).tolist()
    assert first.tolist() != nested_subset(y, take, seed=1).tolist()
    assert first.min() < 100
    assert first.max() > 900


@pytest.mark.parametrize("fractions", [(0.01,), (0.3, 0.01)])
def test_where_every_size_is_too_small_there_is_none(fractions: tuple[float, ...]) -> None:
    assert rows_per_class(np.repeat(np.arange(5), 4), fractions) == []
