"""Named columns of numbers as one safetensors file, written at once and read as a memory map.

Layout as in `store.files.dataset`; columns of wider items come first, so that each begins at a
multiple of its item size. `__metadata__` holds `format`, `version` and more strings.
"""

import hashlib
import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from store.bytes.faults import corrupt
from store.errors import InvalidDatasetFile

_PREFIX_BYTES: Final = 8
_MAX_HEADER_BYTES: Final = 64 << 20
_TYPES: Final[dict[str, np.dtype[Any]]] = {
    "U32": np.dtype("<u4"),
    "F32": np.dtype("<f4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
}
_NAMES: Final = {dtype: name for name, dtype in _TYPES.items()}


def to_bytes(metadata: Mapping[str, str], columns: Mapping[str, NDArray[Any]]) -> bytes:
    """The file of columns, each an array of uint8, uint16, uint32 or float32 of any shape."""
    ordered = sorted(columns.items(), key=lambda one: -one[1].dtype.itemsize)
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts, end = [], 0
    for name, array in ordered:
        type_name = _NAMES[array.dtype.newbyteorder("<")]
        content = np.ascontiguousarray(array, _TYPES[type_name]).tobytes()
        begin, end = end, end + len(content)
        entries[name] = {
            "dtype": type_name,
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        parts.append(content)
    header = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _PREFIX_BYTES)
    return b"".join([len(header).to_bytes(_PREFIX_BYTES, "little"), header, *parts])


@dataclass(frozen=True, kw_only=True)
class ColumnsFile:
    """The columns of a file or of bytes, as read-only views."""

    metadata: Mapping[str, str]
    columns: Mapping[str, NDArray[Any]]
    buffer: bytes | mmap.mmap
    path: Path | None = None

    @classmethod
    def open(cls, path: Path, *, kind: str, version: str) -> Self:
        """Map the file of this format at `path`. Raises InvalidDatasetFile if it is another."""
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size <= _PREFIX_BYTES:
                    raise InvalidDatasetFile("A stored file of columns is too short.")
                buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise InvalidDatasetFile(f"A stored file cannot be opened: {error}") from error
        return cls._of(buffer, kind=kind, version=version, path=path)

    @classmethod
    def from_bytes(cls, data: bytes, *, kind: str, version: str) -> Self:
        """The columns of bytes. Raises InvalidDatasetFile."""
        return cls._of(data, kind=kind, version=version, path=None)

    @classmethod
    def _of(cls, buffer: bytes | mmap.mmap, *, kind: str, version: str, path: Path | None) -> Self:
        try:
            length = int.from_bytes(buffer[:_PREFIX_BYTES], "little")
            start = _PREFIX_BYTES + length
            if length > _MAX_HEADER_BYTES or start > len(buffer) or length % _PREFIX_BYTES:
                raise ValueError(f"its header cannot have {length} bytes")
            header: dict[str, Any] = json.loads(buffer[_PREFIX_BYTES:start])
            metadata = header.pop("__metadata__")
            if (metadata["format"], metadata["version"]) != (kind, version):
                raise ValueError(f"it has the format {metadata['format']!r}")
            columns, end = {}, start
            for name, entry in header.items():
                columns[name], end = _column(buffer, entry, start, end)
            if end != len(buffer):
                raise ValueError("it is truncated")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidDatasetFile(f"A stored file cannot be read: {error}") from error
        return cls(metadata=metadata, columns=columns, buffer=buffer, path=path)

    def check(self, sha256: str) -> None:
        """Raise ArtifactCorrupt unless the map now has this hash; see `DatasetFile.check`."""
        if hashlib.sha256(self.buffer).hexdigest() != sha256:
            raise corrupt(self.path or Path("-"), sha256)


def _column(
    buffer: bytes | mmap.mmap, entry: Mapping[str, Any], start: int, begin: int
) -> tuple[NDArray[Any], int]:
    """A column that must begin at `begin`, and where it ends."""
    dtype, shape = _TYPES[entry["dtype"]], entry["shape"]
    if any(type(size) is not int or size < 0 for size in shape):
        raise ValueError("sizes must be integers")
    count = 1  # Python integers: a lying shape must not wrap around
    for size in shape:
        count *= size
    end = begin + count * dtype.itemsize
    if entry["data_offsets"] != [begin - start, end - start] or end > len(buffer):
        raise ValueError("a column is not where it must be")
    return np.frombuffer(buffer, dtype, count, begin).reshape(shape), end
