"""The bytes of rows without labels: one safetensors file, read block by block.

The tensors are, in this order, `ends` (n,) I64 if the rows have ids of their own, `x` (n, d) F16 or
F32, and `ids` (m,) U8: the i-th id is the UTF-8 bytes from the end of the one before to `ends[i]`.
The header's `__metadata__` holds `format` and `version`.
"""

import hashlib
import json
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from store.bytes.faults import corrupt
from store.errors import InvalidDatasetFile

FORMAT: Final = "nmtune-rows"
VERSION: Final = "1"

_X_TYPES: Final[dict[str, np.dtype[Any]]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_END: Final = np.dtype("<i8")
_PREFIX_BYTES: Final = 8
_MAX_HEADER_BYTES: Final = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The ids of n rows: their UTF-8 bytes one after another, and (n,) where each ends."""

    ends: NDArray[np.int64]
    content: bytes

    @classmethod
    def of(cls, ids: Sequence[str]) -> Self:
        """The ids of a list."""
        encoded = [one.encode() for one in ids]
        ends = np.cumsum([len(one) for one in encoded], dtype=np.int64)
        return cls(ends=ends, content=b"".join(encoded))

    def to_list(self) -> list[str]:
        """The ids as a list."""
        bounds = [0, *self.ends.tolist()]
        return [self.content[begin:end].decode() for begin, end in pairwise(bounds)]


@dataclass(frozen=True, kw_only=True)
class Block:
    """Consecutive rows: x (b, d) float16 or float32, and their ids, if they have any."""

    start: int
    x: NDArray[np.floating[Any]]
    ids: list[str] | None


def write(
    path: Path,
    blocks: Iterable[NDArray[Any]],
    *,
    n_rows: int,
    n_columns: int,
    dtype: np.dtype[Any],
    ids: Ids | None = None,
) -> None:
    """Write n rows that come in blocks x (b, d) of `dtype`, float16 or float32."""
    name = {known: name for name, known in _X_TYPES.items()}[np.dtype(dtype).newbyteorder("<")]
    sizes = [] if ids is None else [("ends", "I64", [n_rows], ids.ends.nbytes)]
    sizes.append(("x", name, [n_rows, n_columns], n_rows * n_columns * dtype.itemsize))
    if ids is not None:
        sizes.append(("ids", "U8", [len(ids.content)], len(ids.content)))
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "version": VERSION}}
    end = 0
    for tensor, type_name, shape, size in sizes:
        begin, end = end, end + size
        header[tensor] = {"dtype": type_name, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _PREFIX_BYTES)
    with path.open("xb") as file:
        file.write(len(text).to_bytes(_PREFIX_BYTES, "little") + text)
        if ids is not None:
            file.write(np.ascontiguousarray(ids.ends, _END).data)
        n_written = 0
        for block in blocks:
            file.write(np.ascontiguousarray(block, _X_TYPES[name]).data)
            n_written += len(block)
        if n_written != n_rows:
            raise ValueError(f"{n_rows} rows were announced and {n_written} came")
        if ids is not None:
            file.write(ids.content)


class RowsFile:
    """Rows opened for reading; only one block at a time is in memory."""

    def __init__(
        self,
        path: Path,
        descriptor: int,
        *,
        n_rows: int,
        n_columns: int,
        dtype: np.dtype[Any],
        x_begin: int,
        ids: tuple[int, int, int] | None,
    ) -> None:
        """ids: the offsets of `ends` and `ids` in the file, and the length of `ids`."""
        self.n_rows = n_rows
        self.n_columns = n_columns
        self._path = path
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)
        self._dtype = dtype
        self._x_begin = x_begin
        self._ids = ids

    @property
    def has_ids(self) -> bool:
        """Whether the rows have ids of their own."""
        return self._ids is not None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file at `path` and check its header. Raises InvalidDatasetFile."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidDatasetFile(
                f"A stored file of rows to predict cannot be read: {error}"
            ) from error
        try:
            length = int.from_bytes(os.pread(descriptor, _PREFIX_BYTES, 0), "little")
            if length > _MAX_HEADER_BYTES:
                raise ValueError("its header is too long")
            header = json.loads(os.pread(descriptor, length, _PREFIX_BYTES))
            metadata = header["__metadata__"]
            if (metadata["format"], metadata["version"]) != (FORMAT, VERSION):
                raise ValueError(f"it has the format {metadata['format']!r}")
            return cls._checked(path, descriptor, header, start=_PREFIX_BYTES + length)
        except (OSError, ValueError, KeyError, TypeError) as error:
            os.close(descriptor)
            raise InvalidDatasetFile(
                f"A stored file of rows to predict cannot be read: {error}"
            ) from error

    @classmethod
    def _checked(cls, path: Path, descriptor: int, header: dict[str, Any], *, start: int) -> Self:
        n_rows, n_columns = header["x"]["shape"]
        dtype = _X_TYPES[header["x"]["dtype"]]
        expected = {"x": n_rows * n_columns * dtype.itemsize}
        if "ids" in header:
            begin, stop = header["ids"]["data_offsets"]
            expected = {"ends": n_rows * _END.itemsize, **expected, "ids": stop - begin}
        begins, end = {}, 0
        for name, n_bytes in expected.items():
            if n_bytes < 0 or header[name]["data_offsets"] != [end, end + n_bytes]:
                raise ValueError(f"{name} is not where it must be")
            begins[name], end = start + end, end + n_bytes
        if start + end != os.fstat(descriptor).st_size or n_rows < 1 or n_columns < 1:
            raise ValueError("it is truncated")
        return cls(
            path,
            descriptor,
            n_rows=n_rows,
            n_columns=n_columns,
            dtype=dtype,
            x_begin=begins["x"],
            ids=(begins["ends"], begins["ids"], expected["ids"]) if "ids" in begins else None,
        )

    def blocks(self, n_at_once: int) -> Iterator[Block]:
        """All rows in their order, `n_at_once` at a time. Raises InvalidDatasetFile."""
        descriptor = self._descriptor
        for start in range(0, self.n_rows, n_at_once):
            n_rows = min(n_at_once, self.n_rows - start)
            x = np.empty((n_rows, self.n_columns), self._dtype)
            row_bytes = self.n_columns * self._dtype.itemsize
            _read_into(descriptor, x, self._x_begin + start * row_bytes)
            yield Block(start=start, x=x, ids=self._ids_of(descriptor, start, n_rows))

    def check(self, sha256: str) -> None:
        """Raise ArtifactCorrupt unless the open file now has this hash.

        Call it before giving out results from the rows; see `DatasetFile.check`.
        """
        with open(self._descriptor, "rb", buffering=0, closefd=False) as file:
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise corrupt(self._path, sha256)

    def _ids_of(self, descriptor: int, start: int, n_rows: int) -> list[str] | None:
        if self._ids is None:
            return None
        ends_begin, ids_begin, n_bytes = self._ids
        first = max(0, start - 1)  # where the id before the first ends
        ends = np.empty(start - first + n_rows, _END)
        _read_into(descriptor, ends, ends_begin + first * _END.itemsize)
        bounds = [0, *ends.tolist()] if start == 0 else ends.tolist()
        if bounds != sorted(bounds) or not 0 <= bounds[0] <= bounds[-1] <= n_bytes:
            raise InvalidDatasetFile("The ids of a stored file are damaged.")
        content = np.empty(bounds[-1] - bounds[0], np.uint8)
        _read_into(descriptor, content, ids_begin + bounds[0])
        data, origin = content.tobytes(), bounds[0]
        try:
            return [data[begin - origin : end - origin].decode() for begin, end in pairwise(bounds)]
        except UnicodeDecodeError as error:
            raise InvalidDatasetFile("The ids of a stored file are damaged.") from error


def _read_into(descriptor: int, array: NDArray[Any], offset: int) -> None:
    view = array.reshape(-1).view(np.uint8).data
    while len(view):
        n_read = os.preadv(descriptor, [view], offset)
        if n_read == 0:
            raise InvalidDatasetFile("A stored file of rows ends early.")
        view, offset = view[n_read:], offset + n_read
