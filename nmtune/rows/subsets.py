"""Growing stratified subsets, each of which holds all rows of the smaller ones."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_ROWS: Final = 2
"""Rows of each class in every subset, unless the class has fewer."""
MAX_EXCESS: Final = 1.25

_IntArray = NDArray[np.int64]


def rows_per_class(y: _IntArray, fractions: Sequence[float]) -> list[_IntArray]:
    """How many rows (c,) of each class the subset of each fraction takes, smallest first.

    y: (n,) checked class indices; fractions: above 0, at most 1. A class gives its rounded share,
    but at least two rows (or its only one): a class that goes missing or has a single row would
    bend the curve for a reason other than size. A subset is left out if this makes it more than a
    quarter larger than asked, or equal to a smaller one.
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
    """Sorted row indices: `take` (c,) rows of each class of y (n,), drawn with `seed`.

    Each seed shuffles every class once and a subset takes the first rows, so that with one seed a
    larger subset holds the rows of a smaller one.
    """
    shuffled = np.random.default_rng(seed).permutation(len(y))
    order = shuffled[np.argsort(y[shuffled], kind="stable")]
    sizes = np.bincount(y)
    place_in_class = np.arange(len(y)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[place_in_class < np.repeat(take, sizes)])
