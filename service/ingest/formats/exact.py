"""Refuse integers among embeddings that float32 would silently change: ids, hashes, nanoseconds.

Rounding a float is normal. An integer beyond 2**24 that float32 cannot hold becomes another number,
so it is refused.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.errors import BadInput

SURELY_EXACT: Final = 1 << 24
"""Up to here float32 holds every integer; the next one would become this one."""


def check_integers(
    values: NDArray[Any], *, field: str, first_row: int, column: int | None = None
) -> None:
    """Raise BadInput unless float32 holds each of the integers (b, d), or (b,) of one column."""
    wrong = _inexact(values)
    if wrong.any():
        at = np.argwhere(wrong)[0].tolist()
        value = int(values[tuple(at)])
        raise not_exact(
            value, field=field, row=first_row + at[0], column=at[1] if column is None else column
        )


def check_lists(
    rows: Sequence[Sequence[Any]], x: NDArray[Any], *, field: str, first_row: int
) -> None:
    """The same for parsed rows of integers and floats; x (b, d) are these rows as floats."""
    for row, column in np.argwhere(np.abs(x) >= SURELY_EXACT).tolist():
        value = rows[row][column]
        if type(value) is int and is_changed(value):
            raise not_exact(value, field=field, row=first_row + row, column=column)


def is_changed(value: int) -> bool:
    """Whether float32 changes the integer."""
    return int(np.float32(value)) != value


def not_exact(value: int, *, field: str, row: int, column: int) -> BadInput:
    """The error of an integer that would become another one."""
    return BadInput(
        "not_exact",
        f"{field} at row {row}, column {column} is the integer {value}, which float32 cannot hold "
        f"(the nearest is {int(np.float32(value))}): scale the column, or leave it out if it holds "
        "ids.",
        field=field,
        row=row,
        column=column,
    )


def _inexact(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which integers have more than 24 binary digits from the first 1 to the last."""
    wide = values if values.dtype.kind == "u" else np.abs(values.astype(np.int64))
    size = wide.astype(np.uint64)
    last_one = np.maximum(size & (~size + np.uint64(1)), np.uint64(1))
    return size // last_one >= SURELY_EXACT
