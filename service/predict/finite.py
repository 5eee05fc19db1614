"""The home of the question whether rows are fit for a head, in one pass and one thread."""

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError


def is_finite(x: NDArray[np.float32]) -> bool:
    """Whether the sum of the squares of x (n, d) is finite in float32.

    So no value is NaN or infinite, and none is so large that sane weights could leave float32's
    range. A dot product would be faster, but warns where it overflows, and wakes threads.
    """
    return bool(np.einsum("ij,ij->", x, x) < np.inf)


def too_large(row: int) -> DataError:
    """What is said of a row that leaves float32's range on its way through a head."""
    return DataError(
        f"embeddings in row {row} are too large for the head: "
        "are they from the model it was trained on?",
        field="embeddings",
        row=row,
    )
