"""Divide rows into a kept and a held-out part: by class, or without splitting a group."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError

_N_TRIES: Final = 16
"""Random choices of groups, of which the best is taken."""

Divided = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Row indices to keep and row indices to hold out, each sorted; together every row once."""


def stratified_split(y: NDArray[Any], *, fraction: float, seed: int) -> Divided:
    """Divide rows into a kept and a held-out part with the same shares of classes.

    About ``fraction * n`` rows are held out, at least one if any class can spare it. Each class
    gives up its share, rounded down or up; the classes whose shares were cut the most give the
    rows still missing. Every class keeps a row, so a class of one row is always kept.

    Parameters
    ----------
    y : ndarray of int, shape (n,)
        Class indices.
    fraction : float
        Share of rows to hold out, above 0 and below 1.
    seed : int
        0 or more. The same y, fraction and seed give the same split.

    Returns
    -------
    kept, held_out : ndarray of int64
        Row indices, each sorted; every row is in one of the two.

    Raises
    ------
    DataError
        y is empty, not a vector or not of integers (field ``"y"``).
    ConfigError
        fraction or seed is out of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import stratified_split
    >>> y = np.array([0] * 8 + [1] * 4)
    >>> kept, held_out = stratified_split(y, fraction=0.25, seed=0)
    >>> len(kept), np.bincount(y[held_out]).tolist()
    (9, [2, 1])
    """
    y = np.asarray(y)
    if y.ndim != 1 or y.size == 0 or y.dtype.kind not in "iu":
        raise DataError(
            f"y must be a non-empty vector of class indices, got {y.dtype} of shape {y.shape}",
            field="y",
        )
    generator = _generator(fraction, seed)
    _, codes, sizes = np.unique(y, return_inverse=True, return_counts=True)
    n_held_out = _held_out_per_class(sizes, fraction, generator)

    # Shuffled rows grouped by class: the first ones of each group are held out.
    shuffled = generator.permutation(y.size)
    grouped = shuffled[np.argsort(codes[shuffled], kind="stable")]
    place_in_class = np.arange(y.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_held_out = np.zeros(y.size, dtype=np.bool_)
    is_held_out[grouped[place_in_class < np.repeat(n_held_out, sizes)]] = True
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def grouped_split(y: NDArray[Any], groups: NDArray[Any], *, fraction: float, seed: int) -> Divided:
    """Divide rows as `stratified_split` does, but keep the rows of one group together.

    y: (n,) class indices. groups: (n,) any values. Of several random choices of whole groups that
    come near `fraction`, the one whose shares of classes are nearest to those of all rows is taken;
    the kept part keeps a row of every class where it can.

    Raises DataError (field "groups") unless there are two groups, ConfigError for fraction or seed.
    """
    generator = _generator(fraction, seed)
    if groups.shape != y.shape:
        raise DataError(f"groups must be one per row, got {groups.shape}", field="groups")
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise DataError("groups must hold at least two different groups", field="groups")
    _, classes, class_sizes = np.unique(y, return_inverse=True, return_counts=True)
    tries = [_held_out_groups(sizes, fraction, generator) for _ in range(_N_TRIES)]
    is_held_out = min(
        (chosen[codes] for chosen in tries),
        key=lambda rows: _distance(rows, classes, class_sizes, fraction),
    )
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _generator(fraction: float, seed: int) -> np.random.Generator:
    """Random numbers of the seed, once fraction and seed are checked."""
    if not 0 < fraction < 1:
        raise ConfigError(f"fraction must be above 0 and below 1, got {fraction}", field="fraction")
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, got {seed}", field="seed")
    return np.random.default_rng(seed)


def _held_out_per_class(
    sizes: NDArray[np.int64], fraction: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    shares = fraction * sizes
    counts: NDArray[np.int64] = np.minimum(np.floor(shares).astype(np.int64), sizes - 1)
    missing = max(1, round(fraction * int(sizes.sum()))) - int(counts.sum())
    # Largest remainder first; equal remainders in random order, so that no class is favoured.
    order = generator.permutation(sizes.size)
    order = order[np.argsort(-(shares - counts)[order], kind="stable")]
    can_spare = order[counts[order] + 1 < sizes[order]]
    counts[can_spare[: max(0, missing)]] += 1
    return counts


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
    """How far a choice is from the aim: classes lost from the kept part, then their shares."""
    held_out = np.bincount(classes[is_held_out], minlength=len(class_sizes))
    n_lost = int(np.count_nonzero(held_out == class_sizes))
    return n_lost, float(np.abs(held_out - fraction * class_sizes).sum())
