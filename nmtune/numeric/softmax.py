"""The softmax of rows of scores."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_Any = TypeVar("_Any", bound=np.floating[Any])


def probabilities_of(scores: NDArray[_Any]) -> NDArray[_Any]:
    """The softmax of scores (n, c), in their type."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: NDArray[_Any] = powers / powers.sum(axis=1, keepdims=True)
    return found
