"""Self-test rows: a few embeddings that a head carries with its own probabilities for them.

A loaded head has to reproduce those probabilities before it serves.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmtune.numeric.tensor_file import check_layout

MOST_ROWS = 16
"""Enough rows to see that another session computes the same, too few to be a data set."""

_SUM_TOLERANCE = 1e-4


class SelfTest(NamedTuple):
    """Rows that a loaded head is tried on before it serves.

    x: embeddings (k, d) float32, 1 <= k <= MOST_ROWS. probabilities: (k, c) float32, computed by
    the head itself when it was published.
    """

    x: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def tensors(self) -> dict[str, Tensor]:
        """The tensors to store, by name."""
        return {
            "x": torch.from_numpy(self.x),
            "probabilities": torch.from_numpy(self.probabilities),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], *, n_columns: int, n_classes: int) -> Self:
        """The inverse of `tensors`; ValueError says what does not fit."""
        n_rows = len(tensors["x"]) if "x" in tensors and tensors["x"].ndim else 0
        if not 1 <= n_rows <= MOST_ROWS:
            raise ValueError(f"a self-test has 1 to {MOST_ROWS} rows, got {n_rows}")
        shapes = {"x": (n_rows, n_columns), "probabilities": (n_rows, n_classes)}
        like = {
            name: torch.empty(shape, dtype=torch.float32, device="meta")
            for name, shape in shapes.items()
        }
        check_layout(tensors, like)
        probabilities = tensors["probabilities"].numpy()
        if (probabilities < 0).any() or (
            np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1) > _SUM_TOLERANCE
        ).any():
            raise ValueError("each row of self-test probabilities must sum to 1")
        return cls(x=tensors["x"].numpy(), probabilities=probabilities)


def self_test_rows(y: NDArray[np.integer], *, most: int = MOST_ROWS) -> NDArray[np.int64]:
    """The rows to take for a self-test, sorted: at most `most`, spread over the classes of y (n,).

    Each class gives its first row before any gives its second. With more classes than `most`,
    evenly spaced classes are taken. The same y gives the same rows.
    """
    by_class = np.argsort(y, kind="stable")
    _, starts, sizes = np.unique(y[by_class], return_index=True, return_counts=True)
    turn = np.arange(len(y)) - np.repeat(starts, sizes)
    in_turns = by_class[np.argsort(turn, kind="stable")]
    candidates = in_turns[: max(most, len(starts))]
    if len(candidates) > most:
        candidates = candidates[np.linspace(0, len(candidates) - 1, most).round().astype(int)]
    return np.sort(candidates).astype(np.int64)
