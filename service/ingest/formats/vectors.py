"""Turn rows that were parsed as Python lists of numbers into an array."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.errors import BadInput
from service.ingest.formats.exact import check_lists
from service.ingest.formats.spool import wrong_width

_NUMBERS: Final = {int, float}


def as_rows(
    values: Sequence[Any], *, field: str, first_row: int, n_columns: int | None
) -> NDArray[np.float64]:
    """The lists as float64 (b, d), not yet checked to be finite; raises BadInput.

    `n_columns`: the width of the rows before, None if these are the first.
    """
    if (x := _plain(values, n_columns)) is not None:
        check_lists(values, x, field=field, first_row=first_row)
        return x
    for row, numbers in enumerate(values, start=first_row):
        # Check types before numpy converts: it would take True, "1.5" and None.
        if type(numbers) is not list or not numbers:
            what = "is missing or empty" if numbers in (None, []) else "is not a list of numbers"
            raise _invalid(f"{field} row {row} {what}.", field, row)
        if n_columns is None:
            n_columns = len(numbers)
        if len(numbers) != n_columns:
            raise wrong_width(len(numbers), n_columns, field=field, row=row)
        if not _NUMBERS.issuperset(map(type, numbers)):
            column = next(j for j, number in enumerate(numbers) if type(number) not in _NUMBERS)
            what = "null" if numbers[column] is None else f"a {type(numbers[column]).__name__}"
            raise BadInput(
                "invalid_embeddings",
                f"{field} row {row}, column {column} is {what}, not a number.",
                field=field,
                row=row,
                column=column,
            )
    try:
        x = np.array(values, np.float64)
    except OverflowError as error:
        raise _invalid(
            f"{field} has a number that is too large, from row {first_row} on.", field, first_row
        ) from error
    check_lists(values, x, field=field, first_row=first_row)
    return x


def _plain(values: Sequence[Any], n_columns: int | None) -> NDArray[np.float64] | None:
    """The same in one step if everything is right; None: then the wrong place must be found."""
    try:
        x = np.array(values)
    except (ValueError, OverflowError, MemoryError):  # of different lengths, too large, long texts
        return None
    is_plain = x.dtype.kind in "fi" and x.ndim == 2 and x.size > 0
    if not is_plain or (n_columns is not None and x.shape[1] != n_columns):
        return None
    # True and False become 1 and 0, so check the types of rows that hold these.
    for row in np.flatnonzero(((x == 0) | (x == 1)).any(axis=1)).tolist():
        if not _NUMBERS.issuperset(map(type, values[row])):
            return None
    return x.astype(np.float64, copy=False)


def _invalid(message: str, field: str, row: int) -> BadInput:
    return BadInput("invalid_embeddings", message, field=field, row=row)
