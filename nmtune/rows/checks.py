"""Check embeddings, labels, weights and class names as callers pass them."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmtune.errors import DataError
from nmtune.rows.vectors import VectorsError, as_array

_EXACT_TO = 1 << 24
"""Float32 holds every integer up to here."""

_BLOCK_VALUES = 1 << 21
"""Values converted at a time, so that no copy of a whole memory-mapped file is made."""


def as_rows(x: ArrayLike, *, n_columns: int, field: str = "embeddings") -> NDArray[np.float32]:
    """The rows as finite float32 (n, n_columns), n >= 1; they may share memory with `x`.

    Raises DataError if x is not two-dimensional, is empty, not of numbers, of another width, or
    holds a value that is not finite in float32 (with its row and column).
    """
    matrix = _matrix(x, field)
    if matrix.shape[1] != n_columns:
        raise DataError(
            f"{field} must have {n_columns} columns, as the head was trained on, "
            f"got {matrix.shape[1]}",
            field=field,
        )
    return _finite(matrix, field=field, first_row=0)


def load_rows(x: ArrayLike, *, field: str) -> tuple[NDArray[np.float32], str]:
    """A float32 copy (n, d) of the rows and its sha256, read block by block.

    The digest covers the float32 values, so it is the same for the same rows in another file or
    dtype. Raises DataError as `as_rows` does.
    """
    matrix = _matrix(x, field)
    n_rows, n_columns = matrix.shape
    rows = np.empty((n_rows, n_columns), np.float32)
    digest = hashlib.sha256(repr(rows.shape).encode())
    block = max(1, _BLOCK_VALUES // n_columns)
    for start in range(0, n_rows, block):
        part = rows[start : start + block]
        part[:] = _finite(matrix[start : start + block], field=field, first_row=start)
        digest.update(part.data)
    return rows, digest.hexdigest()


def as_numbers(x: ArrayLike, *, field: str) -> NDArray[Any]:
    """x as an array of real numbers of any type and shape; an array is not copied.

    It also takes tensors of any device and type, and columns and lists of vectors. DataError names
    the row of a value that is not a number or of a vector of another length.
    """
    if isinstance(x, np.ndarray) and x.dtype.kind not in "fiuOV":
        raise DataError(f"{field} must be real numbers, got {x.dtype}", field=field)
    try:
        return as_array(x, name=field)
    except VectorsError as error:
        raise DataError(str(error), field=field, row=error.row, column=error.column) from None


def as_labels(
    y: ArrayLike, *, n_rows: int, n_classes: int, field: str = "labels"
) -> NDArray[np.int64]:
    """The labels as int64 (n_rows,), each in 0..n_classes-1; DataError names the row."""
    labels = as_numbers(y, field=field) if hasattr(y, "detach") else np.asarray(y)
    if labels.dtype.kind not in "iu":
        raise DataError(f"{field} must be class indices, got {labels.dtype}", field=field)
    if labels.shape != (n_rows,):
        raise DataError(
            f"{field} must be one per row, of shape ({n_rows},), got {labels.shape}", field=field
        )
    wrong = (labels < 0) | (labels >= n_classes)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{field} must be 0 to {n_classes - 1}, got {labels[row]} in row {row}",
            field=field,
            row=row,
        )
    return labels.astype(np.int64)


def missing_label(y: Any) -> int | None:
    """The first row of y (n,) whose label is missing (None, NaN, NA, NaT); None if all are there.

    A list is checked before numpy makes an array of it, which would turn NaN beside strings into
    "nan".
    """
    values = y if isinstance(y, list | tuple) else np.asarray(y)
    if isinstance(values, np.ndarray) and (values.ndim != 1 or values.dtype.kind not in "fMO"):
        return None
    return next((row for row, value in enumerate(values) if _is_missing(value)), None)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating | np.datetime64) and value != value


def as_weights(
    weight: ArrayLike, *, n_rows: int, field: str = "sample_weight"
) -> NDArray[np.float64]:
    """The weights as float64 (n_rows,), finite, not negative and not all 0; else DataError."""
    try:
        weights = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{field} must be numbers", field=field) from None
    if weights.shape != (n_rows,):
        raise DataError(
            f"{field} must be one per row, of shape ({n_rows},), got {weights.shape}", field=field
        )
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{field} must be finite and not negative, got {weights[row]} in row {row}",
            field=field,
            row=row,
        )
    if not weights.any():
        raise DataError(f"{field} must not be 0 for every row", field=field)
    return weights


def as_classes(classes: Any) -> tuple[str, ...]:
    """The class names as a tuple of at least two different, non-empty strings."""
    names = () if isinstance(classes, str) else tuple(classes)
    if not all(isinstance(name, str) and name for name in names):
        raise DataError("classes must be non-empty strings", field="classes")
    if len(names) < 2 or len(set(names)) != len(names):
        raise DataError("classes must be at least two different names", field="classes")
    return names


def _matrix(x: ArrayLike, field: str) -> NDArray[Any]:
    matrix = as_numbers(x, field=field)
    if matrix.ndim != 2:
        raise DataError(
            f"{field} must be two-dimensional (rows, columns), got shape {matrix.shape}",
            field=field,
        )
    if not matrix.size:
        raise DataError(f"{field} must not be empty, got shape {matrix.shape}", field=field)
    return matrix


def _finite(block: NDArray[Any], *, field: str, first_row: int) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        rows = block.astype(np.float32, copy=False)
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = (int(at) for at in np.unravel_index(int(finite.argmin()), finite.shape))
        raise DataError(
            f"{field} must be finite numbers within float32's range, "
            f"got {block[row, column]} in row {first_row + row}, column {column}",
            field=field,
            row=first_row + row,
            column=column,
        )
    if block.dtype.kind in "iu" and block.dtype.itemsize > 2:
        _check_integers(block, rows, field=field, first_row=first_row)
    return rows


def _check_integers(
    block: NDArray[Any], rows: NDArray[np.float32], *, field: str, first_row: int
) -> None:
    """Raise DataError for the first integer that float32 cannot hold exactly."""
    for row, column in np.argwhere(np.abs(rows) >= _EXACT_TO).tolist():
        if int(rows[row, column]) != int(block[row, column]):
            raise DataError(
                f"{field} must be integers that float32 holds exactly, or floats, "
                f"got {block[row, column]} in row {first_row + row}, column {column}",
                field=field,
                row=first_row + row,
                column=column,
            )
