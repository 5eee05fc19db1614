"""Whatever people hold rows of numbers in, as one array: tables, tensors, columns of vectors.

The science and the Python client each have this file, byte for byte: neither imports the other.
It imports numpy alone: what other libraries make is known by what it can do.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHOWN_CHARACTERS = 40
# Of the package ml_dtypes (jax, TensorFlow): numpy says "V" for them, and float32 holds them all.
_SMALL_TYPES = ("bfloat16", "float8", "float6", "float4", "int4", "uint4", "int2", "uint2")


class VectorsError(ValueError):
    """Rows that cannot be right; `row` and `column` count from 0, None where there is none."""

    def __init__(self, message: str, *, row: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.row = row
        self.column = column


def as_array(values: object, *, name: str = "embeddings") -> NDArray[Any]:
    """`values` as an array of real numbers, rows stacked where it holds one vector a row.

    Taken: numpy arrays; frames and Series of pandas and polars; arrays and tables of pyarrow;
    tensors of torch on any device, with or without a gradient, bfloat16 too; whatever has
    `__array__` or is a buffer; and lists, tuples, columns and iterators of any of these. What is an
    array already is not copied. The number of dimensions is the caller's to check.

    Raises VectorsError, which names the row of what is missing, no number or of another length.
    """
    whole = _whole(values, name)
    if isinstance(whole, np.ndarray):
        if whole.dtype.kind in "fiu":
            return whole
        if whole.dtype.kind not in "OUS" or whole.ndim == 0:
            what = type(values).__name__ if whole.ndim == 0 else f"an array of {whole.dtype}"
            raise VectorsError(f"{name} must be numbers, got {what}")
        # a table of one column, which holds the vectors
        if whole.shape[1:] == (1,) and whole.size and not np.isscalar(whole[0, 0]):
            whole = whole[:, 0]
    return _stacked(whole, name)


def _whole(values: Any, name: str) -> NDArray[Any] | Sequence[Any]:
    """`values` as one array of any type if that is what it is, else its rows."""
    if isinstance(values, str | bytes | bytearray | Mapping | Set):
        raise VectorsError(
            f"{name} must be rows of numbers in order, got a {type(values).__name__}"
        )
    if isinstance(values, list | tuple):
        return _of_list(values)
    if not isinstance(values, np.ndarray):
        if hasattr(values, "detach") and hasattr(values, "cpu"):
            return _of_tensor(values, name)
        if hasattr(values, "toarray"):
            raise VectorsError(f"{name} must not be sparse: pass them .toarray()")
        if hasattr(values, "__cuda_array_interface__") and hasattr(values, "get"):
            values = values.get()  # cupy
        elif hasattr(values, "to_numpy_ndarray"):
            values = values.to_numpy_ndarray()  # pyarrow's tensors
        elif not hasattr(values, "__array__") and not _is_buffer(values):
            return _of_list(list(values)) if isinstance(values, Iterable) else np.asarray(values)
    if isinstance(values, np.ma.MaskedArray):
        return _unmasked(values, name)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise VectorsError(f"{name} cannot be read as an array: {error}") from error
    is_small = array.dtype.kind == "V" and array.dtype.name.startswith(_SMALL_TYPES)
    return array.astype(np.float32) if is_small else array


def _of_list(rows: Sequence[Any]) -> NDArray[Any] | Sequence[Any]:
    """A list of plain rows as numpy makes it, at once; any other is to be taken row by row."""
    is_plain = all(isinstance(row, list | tuple | np.ndarray | int | float) for row in rows)
    if is_plain and not any(isinstance(row, np.ma.MaskedArray) for row in rows):
        try:
            array = np.asarray(rows)
        except (ValueError, TypeError, RuntimeError):
            return rows
        if array.dtype.kind in "fiucb":
            return array
    return rows


def _is_buffer(values: object) -> bool:
    try:
        with memoryview(values):  # type: ignore[arg-type]  # that is the question
            return True
    except TypeError:
        return False


def _of_tensor(tensor: Any, name: str) -> NDArray[Any] | Sequence[Any]:
    """A tensor of torch as an array; one whose rows have lengths of their own as its rows."""
    if getattr(tensor, "is_nested", False):
        return list(tensor.unbind())
    try:
        if not str(tensor.layout).endswith("strided"):
            raise VectorsError(f"{name} must not be sparse: pass them .to_dense()")
        try:
            array: NDArray[Any] = tensor.numpy(force=True)
        except TypeError:
            array = tensor.float().numpy(force=True)  # bfloat16 and float8, which float32 holds
    except (TypeError, RuntimeError) as error:
        raise VectorsError(f"{name} cannot be read as an array: {error}") from error
    return array


def _unmasked(array: Any, name: str) -> NDArray[Any]:
    """A masked array's values; what is masked is missing, whatever number lies below."""
    masked = np.argwhere(np.ma.getmaskarray(array))
    if len(masked):
        row, column = (*(int(at) for at in masked[0]), None)[:2]
        place = f"row {row}" if column is None else f"row {row}, column {column}"
        raise VectorsError(f"{name}, {place}: the value is masked", row=row, column=column)
    values: NDArray[Any] = array.data
    return values


def _stacked(rows: Iterable[Any], name: str) -> NDArray[Any]:
    """One vector a row as an array (n, d), in the type that holds them all."""
    vectors: list[NDArray[Any]] = []
    for row, value in enumerate(rows):
        vector = _vector(value, name, row)
        if vectors and len(vector) != len(vectors[0]):
            raise VectorsError(
                f"{name}, row {row}: has {len(vector)} values where row 0 has {len(vectors[0])}",
                row=row,
            )
        vectors.append(vector)
    return np.stack(vectors) if vectors else np.empty(0)


def _vector(value: Any, name: str, row: int) -> NDArray[Any]:
    """One row as an array (d,) of numbers."""
    place = f"{name}, row {row}"
    if isinstance(value, str | bytes | bytearray):
        hint = ": parse it first, for example with json.loads" if value[:1] in ("[", b"[") else ""
        raise VectorsError(f"{place}: {_shown(value)} is a text, no vector{hint}", row=row)
    try:
        whole = _whole(value, place)
    except VectorsError as error:
        if error.row is not None:  # of a masked value, which in a row is a column
            raise VectorsError(
                f"{place}, column {error.row}: the value is masked", row=row, column=error.row
            ) from None
        raise VectorsError(str(error), row=row) from None
    if isinstance(whole, np.ndarray):
        array = whole
    else:
        # tensors of no dimension are numbers, which numpy would ask for their gradient
        cells = (one.item() if getattr(one, "ndim", None) == 0 else one for one in whole)
        array = np.fromiter(cells, dtype=object, count=len(whole))
    if array.ndim == 0:
        raise VectorsError(f"{place}: {_shown(value)} is no vector of numbers", row=row)
    if array.ndim != 1:
        raise VectorsError(f"{place}: must be one vector, got shape {array.shape}", row=row)
    if array.dtype.kind in "fiu":
        return array
    if array.dtype.kind not in "OUS":
        raise VectorsError(f"{place}: must be numbers, got {array.dtype}", row=row)
    for column, one in enumerate(array):
        if isinstance(one, str | bytes) or np.iscomplexobj(one) or not hasattr(one, "__float__"):
            raise VectorsError(
                f"{place}, column {column}: {_shown(one)} is not a number", row=row, column=column
            )
    return array.astype(np.float64)


def _shown(value: object) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
