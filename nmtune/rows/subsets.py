"""The home of growing stratified subsets: each holds all rows of the smaller ones."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_ROWS: Final = 2
"""Rows of a class that every subset has, unless the class has fewer."""
MAX_EXCESS: Final = 1.25

_IntArray = NDArray[np.int64]


def rows_per_class(y: _IntArray, fractions: Sequence[float]) -> list[_IntArray]:
    """How many rows (c,) of each class a subset of each fraction takes, smallest first.

    y: (n,) checked class indices; fractions: above 0, at most 1. A class gives its share, rounded,
    but at least two rows (one if it has no more), since a class that goes missing or has a single
    row would bend the curve for a reason that is not the size. Where this makes a subset more than
    a quarter larger than asked, and where it takes the same rows as a smaller one, it is left out.
    """
    sizes = np.bincount(y)
    least = np.minimum(sizes, LEAST_ROWS)
    takes: list[_IntArray] = []
    for fraction in sorted(set(fractions)):
        take = np.maximum(np.floor(fraction * sizes + 0.5).astype(np.int64), least)
        is_new = not takes or take.sum() > takes[-1].sum()
        # One row too many is rounding, however small the subset.
        if is_new and take.sum() <= max(MAX_EXCESS * fraction * len(y), fraction * len(y) + 1):
            takes.append(take)
    return takes


def nested_subset(y: _IntArray, take: _IntArray, *, seed: int) -> _IntArray:
    """Row indices, sorted: `take` (c,) rows of each class of y (n,), drawn with `seed`.

    Each seed deals out every class in an order of its own and a subset takes the first rows, so
    that of two counts of one seed the larger holds the rows of the smaller.
    """
    shuffled = np.random.default_rng(seed).permutation(len(y))
    order = shuffled[np.argsort(y[shuffled], kind="stable")]
    sizes = np.bincount(y)
    place_in_class = np.arange(len(y)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[place_in_class < np.repeat(take, sizes)])
