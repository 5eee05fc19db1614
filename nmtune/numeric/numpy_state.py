"""Restore numpy's default handling of floating-point errors, whatever the caller chose."""

import numpy as np


def numpy_state() -> np.errstate:
    """A context manager or decorator that undoes `np.seterr(all="raise")` and the like."""
    return np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
