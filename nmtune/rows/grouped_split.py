"""The home of the seeded division of rows into a kept and a held-out part that splits no group."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError

_TRIES: Final = 16


def grouped_split(
    y: NDArray[Any], groups: NDArray[Any], *, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row indices to keep and row indices to hold out, each sorted; together every row once.

    y: (n,) class indices. groups: (n,) any values; rows of one group stay together. fraction: the
    share to hold out, above 0 and below 1. seed: 0 or more; the same arguments give the same split.

    Of several random choices of whole groups that come near `fraction`, the one whose classes
    have shares nearest to those of all rows; the kept part keeps a row of every class where it can.
    Raises DataError (field "groups") unless there are two groups, ConfigError for fraction, seed.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"fraction must be above 0 and below 1, got {fraction}", field="fraction")
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, got {seed}", field="seed")
    if groups.shape != y.shape:
        raise DataError(f"groups must be one per row, got {groups.shape}", field="groups")
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise DataError("groups must hold at least two different groups", field="groups")
    _, classes, class_sizes = np.unique(y, return_inverse=True, return_counts=True)
    generator = np.random.default_rng(seed)
    tries = [_held_out_groups(sizes, fraction, generator) for _ in range(_TRIES)]
    is_held_out = min(
        (chosen[codes] for chosen in tries),
        key=lambda rows: _distance(rows, classes, class_sizes, fraction),
    )
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _held_out_groups(
    sizes: NDArray[np.int64], fraction: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Groups (m,) to hold out, at least one and never all: in random order, as long as they fit."""
    order = generator.permutation(len(sizes))
    total = np.cumsum(sizes[order])
    n_held_out = int(np.searchsorted(total, fraction * total[-1], side="right"))
    chosen = np.zeros(len(sizes), np.bool_)
    chosen[order[: max(1, min(n_held_out, len(sizes) - 1))]] = True
    return chosen


def _distance(
    is_held_out: NDArray[np.bool_],
    classes: NDArray[np.int64],
    class_sizes: NDArray[np.int64],
    fraction: float,
) -> tuple[int, float]:
    """How far a choice is from the wish: classes lost from the kept part, then their shares."""
    held_out = np.bincount(classes[is_held_out], minlength=len(class_sizes))
    n_lost = int(np.count_nonzero(held_out == class_sizes))
    return n_lost, float(np.abs(held_out - fraction * class_sizes).sum())
