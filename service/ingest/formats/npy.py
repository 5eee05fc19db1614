"""Read .npy bytes: a header reader that checks everything, then rows in blocks.

The format is https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. numpy's own
reader is not used: it takes any dtype, any number of dimensions and any claimed size. Here numpy
sees bytes only after their number was compared with the header's claim.
"""

import ast
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from service.ingest.disk import room_needed
from service.ingest.errors import BadInput
from service.ingest.limits import BLOCK_BYTES
from service.ingest.numbers import as_float32, check_n_rows, check_size

MAGIC: Final = b"\x93NUMPY"
MAX_HEADER_BYTES: Final = 4096

_EMBEDDINGS: Final = re.compile(r"[<>]f[248]")
_INTEGERS: Final = re.compile(r"[<>|][iu]1|[<>][iu][248]")
_STRINGS: Final = re.compile(r"[<>]U[1-9][0-9]{0,3}")
_OTHERS: Final = re.compile(r"\|b1|[<>]M8\[(Y|M|W|D|h|m|s|ms|us|ns)\]")
_HEADER_TEXT: Final = re.compile(r"[\n -\[\]-~]*")  # ASCII without the backslash
_HINTS: Final = {
    "O": "Python objects are never unpickled; save plain numbers, or strings with .astype(str)",
    "S": "byte strings have no encoding; save them with .astype(str)",
}


class Readable(Protocol):
    """A source of bytes."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class NpyHeader:
    """What an .npy header claims, checked to be possible; `data_bytes` follow the header."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool

    @property
    def data_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def read_header(source: Readable, *, field: str) -> NpyHeader:
    """Read and check the header; `source` is left at the first byte of the data.

    Accepts 1-D and 2-D arrays with rows and columns >= 1 of floats (2, 4, 8 bytes), integers,
    strings, Booleans or times, in either byte order. Raises BadInput naming `field`.
    """
    start = read_exactly(source, 10, field=field)
    if start[:6] != MAGIC:
        raise _malformed(
            "not_npy", "is not an .npy array; write it with numpy.save or numpy.savez", field
        )
    if start[6] == 1:
        length = int.from_bytes(start[8:10], "little")
    elif start[6] in (2, 3):
        length = int.from_bytes(start[8:10] + read_exactly(source, 2, field=field), "little")
    else:
        raise _malformed("npy_version", "has an .npy version that does not exist", field)
    if length > MAX_HEADER_BYTES:
        raise _malformed(
            "npy_header", f"has a header of more than {MAX_HEADER_BYTES:,} bytes", field
        )
    descr, fortran_order, shape = _parse(read_exactly(source, length, field=field), field)
    return NpyHeader(
        dtype=_dtype(descr, field), shape=_shape(shape, field), fortran_order=fortran_order
    )


def _parse(text: bytes, field: str) -> tuple[object, bool, object]:
    """The three values of the header's dictionary, their types not yet checked."""
    try:
        plain = text.decode("ascii")
        if not _HEADER_TEXT.fullmatch(plain):
            raise ValueError("characters that no header has")
        values = ast.literal_eval(plain.strip())
        if not isinstance(values, dict) or len(values) != 3:
            raise ValueError("not a dictionary of three")
        descr, fortran_order, shape = (values[k] for k in ("descr", "fortran_order", "shape"))
        if not isinstance(fortran_order, bool):
            raise TypeError("fortran_order")
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        # Deep brackets or sums end in RecursionError or MemoryError, depending on the version.
        raise _malformed("npy_header", "has a damaged .npy header", field) from error
    return descr, fortran_order, shape


def _dtype(descr: object, field: str) -> np.dtype[Any]:
    if isinstance(descr, str) and (
        _EMBEDDINGS.fullmatch(descr)
        or _INTEGERS.fullmatch(descr)
        or _STRINGS.fullmatch(descr)
        or _OTHERS.fullmatch(descr)
    ):
        return np.dtype(descr)
    shown = repr(descr)[:60]
    kind = descr.lstrip("<>|=")[:1] if isinstance(descr, str) else ""
    hint = _HINTS.get(
        kind, "embeddings must be float16, float32 or float64; labels integers, strings or Booleans"
    )
    raise BadInput("npy_dtype", f"{field} has the dtype {shown}: {hint}.", field=field)


def _shape(shape: object, field: str) -> tuple[int, ...]:
    if not isinstance(shape, tuple) or not all(type(size) is int for size in shape):
        raise _malformed("npy_header", "has a damaged shape", field)
    if len(shape) not in (1, 2) or min(shape) < 1:
        raise BadInput(
            "npy_shape",
            f"{field} has the shape {str(shape)[:60]}: embeddings must be (rows, columns) and "
            f"labels "
            "(rows,), each at least 1.",
            field=field,
        )
    return shape


def check_embeddings(header: NpyHeader, *, field: str) -> None:
    """Raise BadInput unless the array is 2-D, of floats, and within the limits."""
    if header.dtype.kind != "f":
        raise BadInput(
            "npy_dtype",
            f"{field} holds {header.dtype.name}, but embeddings must be float16, float32 or "
            f"float64: "
            "use .astype('float32').",
            field=field,
        )
    if len(header.shape) != 2:
        raise BadInput(
            "npy_shape",
            f"{field} has one dimension, but embeddings must be (rows, columns).",
            field=field,
        )
    check_size(*header.shape, field=field)


def read_exactly(source: Readable, size: int, *, field: str) -> bytes:
    """Read `size` bytes; raises BadInput if the source ends early."""
    parts = []
    while size > 0 and (part := source.read(size)):
        parts.append(part)
        size -= len(part)
    if size:
        raise _malformed("truncated", "ends before its last byte: was the upload cut off?", field)
    return b"".join(parts)


def check_end(source: Readable, *, field: str) -> None:
    """Raise BadInput unless all bytes were read."""
    if source.read(1):
        raise _malformed("npy_length", "holds more bytes than its shape says", field)


def blocks(
    source: Readable, header: NpyHeader, *, field: str, workdir: Path | None = None
) -> Iterator[NDArray[Any]]:
    """The rows of an array after its header, about BLOCK_BYTES at a time, in their own dtype.

    A matrix in Fortran order goes through an unnamed file of its size in `workdir`, because its
    first row is complete only with its last column.
    """
    n_rows, *rest = header.shape
    row_bytes = header.data_bytes // n_rows
    step = max(1, BLOCK_BYTES // row_bytes)
    if header.fortran_order and rest:
        yield from _turned_blocks(source, header, step, field=field, workdir=workdir)
    else:
        for start in range(0, n_rows, step):
            count = min(step, n_rows - start)
            content = read_exactly(source, count * row_bytes, field=field)
            yield np.frombuffer(content, header.dtype).reshape(count, *rest)
    check_end(source, field=field)


def _turned_blocks(
    source: Readable, header: NpyHeader, step: int, *, field: str, workdir: Path | None = None
) -> Iterator[NDArray[Any]]:
    (n_rows, n_columns), itemsize = header.shape, header.dtype.itemsize
    with room_needed(), tempfile.TemporaryFile(dir=workdir) as spilled:
        _copy(source, spilled, header.data_bytes, field=field)
        spilled.flush()
        for start in range(0, n_rows, step):
            block = np.empty((n_columns, min(step, n_rows - start)), header.dtype)
            for j, column in enumerate(block):
                os.preadv(spilled.fileno(), [column], (j * n_rows + start) * itemsize)
            yield block.T


def _copy(source: Readable, target: IO[bytes], size: int, *, field: str) -> None:
    for start in range(0, size, BLOCK_BYTES):
        target.write(read_exactly(source, min(BLOCK_BYTES, size - start), field=field))


def strings(block: NDArray[Any], *, field: str, first_row: int) -> list[str]:
    """A block of a string array as Python strings; raises BadInput naming the row.

    numpy takes any 32 bits for a character, and Python strings of those are broken for good.
    """
    points = block.view(f"{block.dtype.str[0]}u4").reshape(len(block), -1)
    bad = np.flatnonzero((points > sys.maxunicode).any(axis=1))
    if len(bad):
        row = first_row + int(bad[0])
        raise BadInput(
            "invalid_label",
            f"{field} row {row} is not valid Unicode: was the file damaged?",
            field=field,
            row=row,
        )
    texts: list[str] = block.tolist()
    return texts


def read_npy(
    data: bytes, *, field: str = "body", max_rows: int | None = None
) -> NDArray[np.float32]:
    """The embeddings in .npy bytes as finite float32 (n, d) in C order; raises BadInput."""
    source = BytesIO(data)
    header = read_header(source, field=field)
    check_embeddings(header, field=field)
    if max_rows is not None:
        check_n_rows(header.shape[0], max_rows, field=field)
    if header.data_bytes > len(data):
        raise _malformed("truncated", "ends before its last byte: was the upload cut off?", field)
    content = read_exactly(source, header.data_bytes, field=field)
    check_end(source, field=field)
    values = np.frombuffer(content, header.dtype)
    turned = values.reshape(header.shape[::-1]).T
    return as_float32(turned if header.fortran_order else values.reshape(header.shape), field=field)


def _malformed(code: str, what: str, field: str) -> BadInput:
    return BadInput(code, f"{field} {what}.", field=field, malformed=True)
