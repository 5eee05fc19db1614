"""Answers: what an engine says of rows; apart from it, for it takes onnxruntime to import."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Answers(NamedTuple):
    """What an engine says of n rows, row by row."""

    scores: NDArray[np.float32]
    """(n, c): logits divided by the temperature."""
    probabilities: NDArray[np.float32]
    """(n, c)."""

    def rows(self, start: int, stop: int) -> "Answers":
        """Those of rows start to stop - 1."""
        return Answers(self.scores[start:stop], self.probabilities[start:stop])
