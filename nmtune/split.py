"""The home of the seeded, stratified division of rows into a kept and a held-out part."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError


def stratified_split(
    y: NDArray[Any], *, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows by class into those to keep and those to hold out.

    About fraction * n rows are held out (at least one if any class can spare it). Each class gives
    up
    its share rounded down or up, the rows left over going to the classes whose shares were cut the
    most,
    and keeps at least one row: a class of one row is always kept.

    Parameters
    ----------
    y
        Class indices (n,).
    fraction
        The share to hold out, above 0 and below 1.
    seed
        0 or more; the same y, fraction and seed always give the same split.

    Returns
    -------
    tuple of ndarray
        Row indices to keep and row indices to hold out, each sorted; together every row once.

    Raises
    ------
    DataError
        y is not a non-empty vector of integers.
    ConfigError
        fraction or seed is out of its bounds.

    Examples
    --------
    >>> import numpy as np
    >>> kept, held_out = stratified_split(np.array([0, 0, 0, 0, 1, 1, 1, 1]), fraction=0.25, seed=0)
    >>> len(kept), len(held_out)
    (6, 2)
    """
    y = np.asarray(y)
    if y.ndim != 1 or y.size == 0 or y.dtype.kind not in "iu":
        raise DataError(
            f"y must be a non-empty vector of class indices, got {y.dtype} of shape {y.shape}",
            field="y",
        )
    if not 0 < fraction < 1:
        raise ConfigError(f"fraction must be above 0 and below 1, got {fraction}", field="fraction")
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, got {seed}", field="seed")
    generator = np.random.default_rng(seed)
    _, codes, sizes = np.unique(y, return_inverse=True, return_counts=True)
    n_held_out = _held_out_per_class(sizes, fraction, generator)

    # Shuffled rows grouped by class: the first ones of each group are held out.
    shuffled = generator.permutation(y.size)
    grouped = shuffled[np.argsort(codes[shuffled], kind="stable")]
    place_in_class = np.arange(y.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    is_held_out = np.zeros(y.size, dtype=np.bool_)
    is_held_out[grouped[place_in_class < np.repeat(n_held_out, sizes)]] = True
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


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
