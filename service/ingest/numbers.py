"""Check numbers: finite, not too many, and as float32. For every format and route."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.ingest.errors import BadInput, Place, Places
from service.ingest.limits import MAX_COLUMNS, MAX_PLACES, MAX_ROWS


def check_size(n_rows: int, n_columns: int, *, field: str) -> None:
    """Raise BadInput if the matrix has more rows or columns than a dataset can have."""
    if n_rows > MAX_ROWS or n_columns > MAX_COLUMNS:
        raise BadInput(
            "too_large",
            f"{field} claims {str(n_rows)[:20]} rows of {str(n_columns)[:20]} columns; the limits "
            f"are {MAX_ROWS:,} rows and {MAX_COLUMNS:,} columns.",
            field=field,
        )


def check_n_rows(n_rows: int, max_rows: int, *, field: str, what: str = "rows") -> None:
    """Raise BadInput (413) if one prediction may not have so many rows, or texts."""
    if n_rows > max_rows:
        raise BadInput(
            "too_many_rows",
            f"{field} has {n_rows:,} {what}, but one prediction takes at most {max_rows:,}. Send "
            "them in several requests.",
            field=field,
        )


def is_finite(x: NDArray[np.float32]) -> bool:
    """Whether the sum of the squares of x (n, d) is finite in float32.

    Then no value is NaN or infinite, and none is so large that sane weights could take it out of
    float32's range. A dot product would be faster, but warns where it overflows, and wakes threads.
    """
    return bool(np.einsum("ij,ij->", x, x) < np.inf)


def as_float32(values: NDArray[Any], *, field: str) -> NDArray[np.float32]:
    """`values` (n, d) as finite float32 in C order; raises BadInput naming the first bad places."""
    with np.errstate(over="ignore"):
        converted = np.array(values, dtype=np.float32, order="C")
    refuse(not_finite(values, converted, field=field, first_row=0))
    return converted


def not_finite(
    given: NDArray[Any],
    stored: NDArray[Any],
    *,
    field: str,
    first_row: int = 0,
    rows: NDArray[np.intp] | None = None,
) -> Places:
    """The places where `stored` is not finite; `given` tells whether it was finite before.

    rows: (b,) the numbers of the rows, if they do not count from `first_row`.
    """
    # A sum is finite only if all its terms are: one cheap pass for the common case.
    dtype = np.float64 if stored.itemsize == 8 else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(stored.sum(dtype=dtype)):
            return Places()
    places = []
    found = np.argwhere(~np.isfinite(stored))
    for row, column in found[:MAX_PLACES].tolist():
        value = float(given[row, column])
        what = f"is {value}" if not np.isfinite(value) else f"is {value:g}, too large for float32"
        row = row + first_row if rows is None else int(rows[row])
        places.append(
            Place(
                field=field,
                row=row,
                column=column,
                message=f"{field} at row {row}, column {column} {what}.",
            )
        )
    return Places(places, len(found))


def refuse(places: Places) -> None:
    """Raise BadInput if there are places that are not finite."""
    if places.count:
        first, *more = places.listed[:MAX_PLACES]
        raise BadInput(
            "not_finite",
            f"{first.message[:-1]} (counting from 0): remove the rows with NaN or infinity, or "
            "replace them with numbers.",
            field=first.field,
            row=first.row,
            column=first.column,
            more=tuple(more),
            count=places.count,
        )
