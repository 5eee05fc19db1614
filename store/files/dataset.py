"""The bytes of a dataset: one safetensors file, written and read as a memory map.

Layout (https://github.com/huggingface/safetensors#format): 8 bytes little-endian header length, a
JSON header padded with spaces to a multiple of 8, then the tensors without gaps. Ours are
`<split>/y` (n,) I64 and `<split>/x` (n, d), all F16 or all F32; the labels come first, so that
each tensor begins at a multiple of its item size. Beside the labels there may be the sender's names
of the rows: `<split>/rows` (n,) I64, and `<split>/ends` (n,) I64 with `<split>/ids` (m,) U8 at the
end of the file, laid out as in `store.files.rows`. The header's `__metadata__` holds `format`,
`version` and `classes` (a JSON list: index = label). The safetensors library reads these files.
"""

import hashlib
import json
import math
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from store.bytes.faults import corrupt
from store.errors import InvalidDatasetFile
from store.files.row_names import RowNames, StoredNames
from store.trouble import is_disk_trouble, of_os_error

FORMAT: Final = "nmtune-dataset"
VERSION: Final = "1"
MAX_HEADER_BYTES: Final = 64 << 20

_X_TYPES: Final[dict[str, np.dtype[Any]]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_Y_TYPES: Final[dict[str, np.dtype[Any]]] = {"I64": np.dtype("<i8")}
_ID_TYPES: Final[dict[str, np.dtype[Any]]] = {"U8": np.dtype("u1")}
_TYPES: Final = {"x": _X_TYPES, "y": _Y_TYPES, "rows": _Y_TYPES, "ends": _Y_TYPES, "ids": _ID_TYPES}
_NAMED: Final = ("rows", "ends", "ids")
_PREFIX_BYTES: Final = 8

Embeddings = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SplitArrays:
    """One split: x (n, d) float16 or float32, y (n,) int64 class indices; both read-only maps."""

    x: Embeddings
    y: Labels
    names: StoredNames = field(default_factory=StoredNames)
    """The sender's names of its rows."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """The place of a tensor: `begin` is its offset in the file, in bytes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int

    @property
    def end(self) -> int:
        return self.begin + self.count * self.dtype.itemsize

    @property
    def count(self) -> int:
        count = 1  # Python integers: a lying shape must not wrap around
        for size in self.shape:
            count *= size
        return count

    def map(self, buffer: mmap.mmap) -> NDArray[Any]:
        return np.frombuffer(buffer, self.dtype, self.count, self.begin).reshape(self.shape)


class DatasetWriter:
    """Make a dataset file and fill it through memory maps, in any order and in pieces.

    `splits` lists (name, n_rows) in the order to keep; `dtype` is float16 or float32. The whole
    file is laid out and its disk space reserved at once, so that a full disk is an error here
    (StorageUnavailable) and not a signal while rows are written. An exception in the `with` block
    removes the file.

        with DatasetWriter(path, classes=["cat", "dog"], n_columns=384, dtype=np.float16,
                           splits=[("train", 100)]) as writer:
            writer.x("train")[:] = x
            writer.y("train")[:] = y
    """

    def __init__(
        self,
        path: Path,
        *,
        classes: Sequence[str],
        n_columns: int,
        dtype: DTypeLike,
        splits: Sequence[tuple[str, int]],
        row_names: Mapping[str, RowNames] | None = None,
    ) -> None:
        names = {known: name for name, known in _X_TYPES.items()}
        name = names.get(np.dtype(dtype))
        if name is None:
            raise ValueError(f"dtype must be float16 or float32, not {np.dtype(dtype)}")
        if not splits or n_columns < 1 or any(n_rows < 1 for _, n_rows in splits):
            raise ValueError("a dataset file needs at least one split, one row and one column")
        if len(dict(splits)) != len(splits):
            raise ValueError("split names must differ")
        kept = {split: one.tensors() for split, one in (row_names or {}).items()}
        header, self._tensors, size = _lay_out(
            classes=classes, n_columns=n_columns, x_type=name, splits=splits, kept=kept
        )
        self._path = path
        self._descriptor, self._map = _new_map(path, size)
        self._map[: len(header)] = header
        for split, arrays in kept.items():
            for part, array in arrays.items():
                self._tensors[f"{split}/{part}"].map(self._map)[:] = array

    def x(self, split: str) -> Embeddings:
        """The embeddings of `split` as a writable map (n, d)."""
        return self._tensors[f"{split}/x"].map(self._map)

    def y(self, split: str) -> Labels:
        """The class indices of `split` as a writable map (n,)."""
        return self._tensors[f"{split}/y"].map(self._map)

    def write(self, split: str, start: int, x: Embeddings) -> None:
        """Write the rows of `split` from `start` on: x (b, d) in C order and of the file's dtype.

        This costs a copy, but the map would cost a page fault for each 4 KiB as well.
        """
        tensor = self._tensors[f"{split}/x"]
        (n_rows, n_columns), size = tensor.shape, tensor.dtype.itemsize
        if x.dtype != tensor.dtype or x.shape[1:] != (n_columns,) or start + len(x) > n_rows:
            raise ValueError(f"rows {x.shape} of {x.dtype} from {start} on do not fit {split}")
        content = x.reshape(-1).view(np.uint8).data
        offset = tensor.begin + start * n_columns * size
        while content:
            n_written = os.pwrite(self._descriptor, content, offset)
            content, offset = content[n_written:], offset + n_written

    def release(self) -> None:
        """Give the pages written so far back to the kernel; the bytes stay (in its page cache).

        Without this the whole file counts as resident memory of the process.
        """
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._map.flush()  # including what `write` wrote: a file has one page cache
            else:
                self._path.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)


class DatasetFile:
    """A dataset opened for reading; its arrays stay valid as long as they are referenced."""

    def __init__(
        self,
        path: Path,
        buffer: mmap.mmap,
        *,
        classes: tuple[str, ...],
        splits: Mapping[str, SplitArrays],
    ) -> None:
        """`buffer` is the file at `path`, which `splits` look into."""
        self._path = path
        self._buffer = buffer
        first = next(iter(splits.values()))
        self.classes = classes
        self.splits = dict(splits)
        self.n_columns: int = first.x.shape[1]
        self.dtype: np.dtype[Any] = first.x.dtype

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map the file at `path`, and check its header and every label.

        Raises InvalidDatasetFile if it is not a dataset of this format or is damaged. Reads only
        the header and the labels.
        """
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size <= _PREFIX_BYTES:
                    raise InvalidDatasetFile("The dataset file is too short for a header.")
                buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise InvalidDatasetFile(f"The dataset file cannot be opened: {error}") from error
        classes, tensors = read_header(buffer, size)
        splits = {
            name: SplitArrays(
                x=tensors[f"{name}/x"].map(buffer),
                y=tensors[f"{name}/y"].map(buffer),
                names=StoredNames.of(
                    {
                        part: tensors[f"{name}/{part}"].map(buffer)
                        for part in _NAMED
                        if f"{name}/{part}" in tensors
                    }
                ),
            )
            for name in _split_names(tensors)
        }
        for name, arrays in splits.items():
            if arrays.y.min() < 0 or arrays.y.max() >= len(classes):
                raise InvalidDatasetFile(f"Split {name!r} has labels without a class.")
        return cls(path, buffer, classes=classes, splits=splits)

    def release(self) -> None:
        """Give the pages read so far back to the kernel; see `DatasetWriter.release`."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._buffer.madvise(mmap.MADV_DONTNEED)

    def check(self, sha256: str) -> None:
        """Raise ArtifactCorrupt unless the map now has this hash.

        Call it before giving out results from the arrays: a change of the file in place would
        still be there. It takes a second for about 1.5 GB.
        """
        if hashlib.sha256(self._buffer).hexdigest() != sha256:
            raise corrupt(self._path, sha256)


def _lay_out(
    *,
    classes: Sequence[str],
    n_columns: int,
    x_type: str,
    splits: Sequence[tuple[str, int]],
    kept: Mapping[str, Mapping[str, NDArray[Any]]],
) -> tuple[bytes, dict[str, Tensor], int]:
    """The header's bytes, where each tensor lies, and the size of the file.

    `kept`: the names of its rows that are kept, by split and part.
    """
    entries: dict[str, dict[str, Any]] = {}
    end = 0
    types = {"y": "I64", "rows": "I64", "ends": "I64", "x": x_type, "ids": "U8"}
    for suffix, type_name in types.items():
        dtype = _TYPES[suffix][type_name]
        for split, n_rows in splits:
            shape = [n_rows, n_columns] if suffix == "x" else [n_rows]
            if suffix in _NAMED:
                if suffix not in kept.get(split, {}):
                    continue
                shape = list(kept[split][suffix].shape)
            begin, end = end, end + math.prod(shape) * dtype.itemsize
            entries[f"{split}/{suffix}"] = {
                "dtype": type_name,
                "shape": shape,
                "data_offsets": [begin, end],
            }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "classes": json.dumps(list(classes), ensure_ascii=False),
    }
    text = json.dumps(
        {"__metadata__": metadata, **entries}, ensure_ascii=False, separators=(",", ":")
    ).encode()
    text += b" " * (-len(text) % _PREFIX_BYTES)
    start = _PREFIX_BYTES + len(text)
    tensors = {name: tensor_at(name, entry, start) for name, entry in entries.items()}
    return len(text).to_bytes(_PREFIX_BYTES, "little") + text, tensors, start + end


def _new_map(path: Path, size: int) -> tuple[int, mmap.mmap]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.truncate(descriptor, size)
        return descriptor, mmap.mmap(descriptor, size)
    except OSError as error:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        if not is_disk_trouble(error):
            raise
        what = f"There is no room for a dataset of {size:,} bytes"
        raise of_os_error(error, what) from error


def read_header(buffer: mmap.mmap | bytes, size: int) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """The classes and tensors of a file of `size` bytes, checked against that size.

    `buffer` holds at least the header. Raises InvalidDatasetFile.
    """
    length = int.from_bytes(buffer[:_PREFIX_BYTES], "little")
    start = _PREFIX_BYTES + length
    if length > MAX_HEADER_BYTES or start > size or length % _PREFIX_BYTES:
        raise InvalidDatasetFile(f"The dataset file's header cannot have {length} bytes.")
    try:
        header = json.loads(
            buffer[_PREFIX_BYTES:start].decode(), object_pairs_hook=_without_repeats
        )
        metadata = header.pop("__metadata__")
        if (metadata["format"], metadata["version"]) != (FORMAT, VERSION):
            raise InvalidDatasetFile(
                "The file is not a dataset in a format that this version reads."
            )
        classes = json.loads(metadata["classes"])
        tensors = {name: tensor_at(name, entry, start) for name, entry in header.items()}
    except InvalidDatasetFile:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidDatasetFile("The dataset file's header is damaged.") from error
    _check_classes(classes)
    _check_tensors(tensors, start, size)
    return tuple(classes), tensors


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def tensor_at(name: str, entry: Mapping[str, Any], start: int) -> Tensor:
    """The tensor that a header's entry describes; `start` is where the header ends.

    Raises ValueError, KeyError or TypeError if it cannot be so.
    """
    types = _TYPES[name.rpartition("/")[2]]
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    sizes = (begin, end, *shape)
    if any(type(size) is not int or size < 0 for size in sizes) or 0 in shape:
        raise ValueError(f"{name}: sizes must be positive integers")
    tensor = Tensor(dtype=types[entry["dtype"]], shape=shape, begin=start + begin)
    if tensor.end != start + end or tensor.begin % tensor.dtype.itemsize:
        raise ValueError(f"{name}: shape and place do not agree")
    return tensor


def _check_classes(classes: object) -> None:
    if (
        not isinstance(classes, list)
        or not classes
        or not all(isinstance(name, str) and name for name in classes)
        or len(set(classes)) != len(classes)
    ):
        raise InvalidDatasetFile("The dataset file's classes are damaged.")


def _check_tensors(tensors: Mapping[str, Tensor], start: int, size: int) -> None:
    """Check that splits have x (n, d) and y (n,) of one d and dtype, without overlap or gaps."""
    splits = _split_names(tensors)
    names = {f"{name}/{part}" for name in splits for part in _NAMED}
    if not splits or set(tensors) - names != {f"{name}/{part}" for name in splits for part in "xy"}:
        raise InvalidDatasetFile("The dataset file lacks x or y of a split.")
    kinds = set()
    for name in splits:
        x, y = tensors[f"{name}/x"], tensors[f"{name}/y"]
        if len(x.shape) != 2 or y.shape != x.shape[:1]:
            raise InvalidDatasetFile(f"x and y of split {name!r} differ in their rows.")
        named = {part: tensors.get(f"{name}/{part}") for part in _NAMED}
        has_ids = named["ids"] is not None
        if has_ids is not (named["ends"] is not None) or any(
            one is not None and len(one.shape) != 1 for one in named.values()
        ):
            raise InvalidDatasetFile(f"The ids of split {name!r} are damaged.")
        if any(one is not None and one.shape != y.shape for one in (named["rows"], named["ends"])):
            raise InvalidDatasetFile(f"The rows of split {name!r} do not fit its labels.")
        kinds.add((x.shape[1], x.dtype))
    if len(kinds) != 1:
        raise InvalidDatasetFile("The splits differ in their number of columns or their dtype.")
    ordered = sorted(tensors.values(), key=lambda tensor: tensor.begin)
    gaps = any(left.end != right.begin for left, right in pairwise(ordered))
    if gaps or ordered[0].begin != start or ordered[-1].end != size:
        raise InvalidDatasetFile("The dataset file is truncated, or its tensors overlap.")


def _split_names(tensors: Mapping[str, Tensor]) -> list[str]:
    return [name.removesuffix("/x") for name in tensors if name.endswith("/x")]
