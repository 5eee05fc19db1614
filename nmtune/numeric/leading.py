"""The directions in which rows vary most, without a whole decomposition."""

import numpy as np
from numpy.typing import NDArray

_OVERSAMPLED = 16
_N_PASSES = 4


def leading_directions(
    rows: NDArray[np.float32], *, rank: int, n_free: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The directions (d, r) in which centred rows (n, d) vary most, and their variances (r,).

    r is `rank`, or less if there are few rows or columns; variances are sums of squares over
    n_free. It uses subspace iteration from random directions (Halko, Martinsson & Tropp, arXiv
    0909.4061): an exact decomposition takes minutes for wide embeddings.
    """
    n_rows, n_columns = rows.shape
    n_tried = min(rank + _OVERSAMPLED, n_columns, n_rows)
    start = np.random.default_rng(seed).standard_normal((n_columns, n_tried)).astype(np.float32)
    basis = np.linalg.qr(start)[0]
    for _ in range(_N_PASSES):
        basis = np.linalg.qr(rows.T @ (rows @ basis))[0]
    along = rows @ basis
    values, vectors = np.linalg.eigh((along.T @ along).astype(np.float64) / n_free)
    order = np.argsort(values)[::-1][:rank]
    directions = np.ascontiguousarray((basis @ vectors[:, order]).astype(np.float32))
    return directions, np.maximum(values[order], 0).astype(np.float32)
