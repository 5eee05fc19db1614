"""Numpy's handling of floating-point errors as numpy starts with it, whatever the caller chose."""

import numpy as np


def numpy_state() -> np.errstate:
    """A block or a decorator that `np.seterr(all="raise")` and the like do not reach."""
    return np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
