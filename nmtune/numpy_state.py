"""Numpy's handling of floating-point errors as numpy starts with it, whatever the caller chose."""

from typing import Final

import numpy as np

NUMPY_STATE: Final = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}

numpy_state = np.errstate(**NUMPY_STATE)
"""Decorates a function, which `np.seterr(all="raise")` and the like then do not reach."""
