"""Folds: stratified, balanced, seeded; groups are never split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmtune.rows.folds import MAX_GROUP_FOLDS, assign_folds, held_out_rows


@given(
    labels=st.lists(st.integers(0, 5), min_size=1, max_size=200),
    n_folds=st.integers(2, 10),
    seed=st.integers(0, 100),
)
def test_folds_and_classes_within_them_differ_by_a_row_at_most(
    labels: list[int], n_folds: int, seed: int
) -> None:
    y = np.array(labels)
    folds = assign_folds(y, n_folds=n_folds, seed=seed)
    n_made = min(n_folds, len(y))
    assert set(folds) == set(range(n_made))
    sizes = np.bincount(folds)
    assert sizes.max() - sizes.min() <= 1
    for label in set(labels):
        of_class = np.bincount(folds[y == label], minlength=n_made)
        assert of_class.max() - of_class.min() <= 1


def test_seed_decides_and_the_order_of_rows_is_no_matter() -> None:
    y = np.repeat(np.arange(4), 25)
    first, again, other = (assign_folds(y, n_folds=5, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_every_row_is_held_out_once() -> None:
    folds = assign_folds(np.arange(30) % 3, n_folds=4, seed=0)
    seen = np.zeros(30, int)
    for kept, held_out in held_out_rows(folds):
        assert not set(kept) & set(held_out)
        assert len(kept) + len(held_out) == 30
        seen[held_out] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("n_groups", [2, MAX_GROUP_FOLDS, MAX_GROUP_FOLDS + 1, 60])
def test_groups_are_whole(n_groups: int) -> None:
    groups = np.random.default_rng(0).integers(0, n_groups, 600)
    folds = assign_folds(np.zeros(600, int), n_folds=5, seed=0, groups=groups)
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1
    assert len(set(folds)) == (n_groups if n_groups <= MAX_GROUP_FOLDS else 5)
    assert np.bincount(folds).min() > 0
