"""The answers of a session, in a module of their own that does not import onnxruntime."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Answers(NamedTuple):
    """A session's answers for n rows."""

    scores: NDArray[np.float32]
    """(n, c): logits divided by the temperature."""
    probabilities: NDArray[np.float32]
    """(n, c)."""

    def rows(self, start: int, stop: int) -> "Answers":
        """The answers for rows start to stop - 1."""
        return Answers(self.scores[start:stop], self.probabilities[start:stop])
