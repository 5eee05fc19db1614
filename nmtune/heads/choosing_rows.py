"""Which of many labelled rows choose the strength of an adaptation: as many as the work allows."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_MOST_WORK: Final = 1 << 23
"""Rows times classes squared in cross-validation: some seconds; more rows choose no better."""
_MOST_LAYER_WORK: Final = 6_000
"""Rows times classes, the same where a layer is tried."""
_FEWEST_TO_CHOOSE: Final = 100


def rows_to_choose_by(
    n_rows: int, n_classes: int, *, has_layer: bool, seed: int
) -> NDArray[np.intp]:
    """The rows of the cross-validation, sorted: all, or as many as the work allows."""
    most = max(_FEWEST_TO_CHOOSE, _MOST_WORK // n_classes**2)
    if has_layer:
        most = min(most, max(_FEWEST_TO_CHOOSE, _MOST_LAYER_WORK // n_classes))
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).permutation(n_rows)[:most])
