"""Assign rows to cross-validation folds, which are held out in turn."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError

MAX_GROUP_FOLDS = 10
"""Up to this many groups, each is a fold of its own (leave one domain out)."""


def assign_folds(
    y: NDArray[Any], *, n_folds: int, seed: int, groups: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """The fold of each row, (n,) in 0..m-1; the same arguments give the same folds.

    Without groups, m is at most n_folds and the folds are stratified: the rows of each class are
    dealt out in turn, starting where the class before stopped, so that sizes of folds and shares of
    classes differ by at most one row. With groups (n,), no group is split: up to MAX_GROUP_FOLDS
    groups are a fold each, and more are dealt out, largest first, to the emptiest fold.

    Raises DataError (field "groups") if groups do not fit the rows or hold only one group.
    """
    generator = np.random.default_rng(seed)
    if groups is not None:
        return _by_group(np.asarray(groups), len(y), n_folds, generator)
    n_folds = max(1, min(n_folds, len(y)))
    order = generator.permutation(len(y))
    order = order[np.argsort(np.asarray(y)[order], kind="stable")]
    folds = np.empty(len(y), np.int64)
    folds[order] = np.arange(len(y)) % n_folds
    return folds


def held_out_rows(folds: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], ...]]:
    """(rows to learn from, rows held out) for each fold."""
    for fold in range(int(folds.max()) + 1):
        is_held_out = folds == fold
        yield np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _by_group(
    groups: NDArray[Any], n_rows: int, n_folds: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    if groups.shape != (n_rows,):
        raise DataError(
            f"groups must be one per row, of shape ({n_rows},), got {groups.shape}", field="groups"
        )
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise DataError("groups must hold at least two different groups", field="groups")
    if len(names) <= MAX_GROUP_FOLDS:
        return codes.astype(np.int64)
    fold_of_group = np.empty(len(names), np.int64)
    filled = np.zeros(max(2, n_folds), np.int64)
    order = generator.permutation(len(names))
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of_group[group] = filled.argmin()
        filled[filled.argmin()] += sizes[group]
    return fold_of_group[codes]
