"""Sample rows with a seed while they stream by, and give the sample's effective rank."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune.study.spectrum import spectrum


class RowSample:
    """At most `n_rows` of all rows added, each equally likely; same rows, same sample."""

    def __init__(self, n_rows: int, n_columns: int) -> None:
        self._rows = np.empty((n_rows, n_columns), np.float32)
        self._n_seen = 0
        self._random = np.random.default_rng(0)

    def add(self, x: NDArray[Any]) -> None:
        """Take the next rows (b, d)."""
        n_free = max(0, len(self._rows) - self._n_seen)
        taken = x[:n_free]
        self._rows[self._n_seen : self._n_seen + len(taken)] = taken
        self._n_seen += len(taken)
        rest = x[n_free:]
        if len(rest):
            # Row i of all replaces a kept one with the chance kept / (i + 1).
            places = self._random.integers(0, self._n_seen + 1 + np.arange(len(rest)))
            self._n_seen += len(rest)
            chosen = np.flatnonzero(places < len(self._rows))
            self._rows[places[chosen]] = rest[chosen]

    def effective_rank(self) -> float:
        """The effective rank of the sample, with the mean of its columns subtracted."""
        rows = self._rows[: self._n_seen]
        return spectrum(rows, centering="columns").effective_rank
