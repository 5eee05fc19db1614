"""What the plots have in common: axes to draw on, and values of either form."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from nmtune.errors import DataError


def axes_of(ax: Axes | None) -> Axes:
    """The axes that were given, or those of a new figure."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def plain(value: Any, *needed: str, field: str) -> Mapping[str, Any]:
    """A value of the science as its part of a report; such a part as it is.

    Raises DataError, with the field, where it has not the names that are needed.
    """
    to_dict = getattr(value, "to_dict", None)
    found = to_dict() if callable(to_dict) else value
    missing = [name for name in needed if not isinstance(found, Mapping) or name not in found]
    if missing:
        raise DataError(f"{field} has no {missing[0]!r}: got {type(value).__name__}", field=field)
    return dict(found)
