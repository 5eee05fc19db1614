"""Find the nearest other rows of some rows, by the cosine of their embeddings."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nmtune.numeric.torch_state import own_state
from nmtune.study.near_duplicates import directions, row_blocks

_QUERIES_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """The k nearest other rows of each of m rows, the nearest first.

    rows: (m, k) int64. similarities: (m, k) float32 cosines, -1..1.
    """

    rows: NDArray[np.int64]
    similarities: NDArray[np.float32]


@own_state()
def nearest_rows(x: NDArray[Any], of: NDArray[np.integer], *, k: int) -> Neighbours:
    """The k rows of x (n, d) that are most similar to each of its rows `of` (m,), itself aside.

    k must be less than n. Of equally similar rows the first come first. A row of zeros is similar
    to nothing (0). Only blocks of rows are held in memory. Raises DataError for rows that are not
    finite numbers.
    """
    if not 0 < k < len(x):
        raise ValueError(f"k must be 1 to {len(x) - 1}, got {k}")
    rows = np.zeros((len(of), k), np.int64)
    similarities = np.full((len(of), k), -np.inf, np.float32)
    for start in range(0, len(of), _QUERIES_AT_ONCE):
        here = slice(start, start + _QUERIES_AT_ONCE)
        asked = np.asarray(of[here], np.int64)
        wanted = directions(x, asked, "x")
        best = torch.full((len(asked), k), -torch.inf)
        places = torch.zeros((len(asked), k), dtype=torch.int64)
        for first, part in row_blocks(x):
            products = wanted @ part.T
            own = (asked >= first) & (asked < first + len(part))
            products[np.flatnonzero(own), asked[own] - first] = -torch.inf
            found = torch.arange(first, first + len(part)).expand(len(asked), -1)
            values = torch.cat([best, products], dim=1)
            at = torch.cat([places, found], dim=1)
            order = torch.sort(values, dim=1, descending=True, stable=True).indices[:, :k]
            best, places = values.gather(1, order), at.gather(1, order)
        rows[here] = places.numpy()
        similarities[here] = best.clamp(-1, 1).numpy()
    return Neighbours(rows=rows, similarities=similarities)
