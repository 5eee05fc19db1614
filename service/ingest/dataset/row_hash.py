"""Hash rows, to find repeats without keeping the rows."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_HALF: Final = np.uint64(32)


class RowHash:
    """Hashes rows of one width; one instance gives equal rows equal hashes.

    Multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is fast"): the upper
    half of a sum of words times random 64-bit numbers. Two of them make 64 bits, so two different
    rows have the same hash with a probability of 2**-64, whatever the rows are: among 5 million
    rows, 1 in a million. numpy computes it without Python's lock.
    """

    def __init__(self) -> None:
        self._weights: NDArray[np.uint64] | None = None
        self._random = np.random.default_rng()

    def __call__(self, x: NDArray[Any]) -> NDArray[np.uint64]:
        """The hashes (b,) of rows x (b, d) in C order, of any dtype of an even size."""
        word = np.uint32 if x.shape[1] * x.itemsize % 4 == 0 else np.uint16
        words = x.view(word).astype(np.uint64)
        if self._weights is None:
            self._weights = self._random.integers(
                0, 1 << 64, (2, words.shape[1]), np.uint64, endpoint=False
            )
        first, second = (np.einsum("ij,j->i", words, weights) for weights in self._weights)
        hashes: NDArray[np.uint64] = (first >> _HALF << _HALF) | (second >> _HALF)
        return hashes
