"""Read a few rows' labels and names out of a stored file of embeddings, each byte checked.

Only the blocks that hold these rows are read: a page of a dataset of gigabytes costs as much as one
of a small one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

import numpy as np

from store.bytes.checked_file import BLOCK_BYTES, CheckedFile
from store.errors import InvalidDatasetFile
from store.files.dataset import MAX_HEADER_BYTES, Tensor, read_header, tensor_at
from store.files.texts import TextSplit

_PREFIX_BYTES: Final = 8
_BLOCKS_KEPT: Final = 16
_UNLABELLED: Final = "rows"
"""The one split of rows without labels."""


@dataclass(frozen=True, kw_only=True)
class ListedRow:
    """A row as a list shows it; what the dataset does not have is None."""

    label: str | None
    file_row: int | None
    id: str | None
    text: str | None = None


class ListedRows:
    """The labels and names of the rows of a file of embeddings, with labels or without."""

    def __init__(
        self, file: CheckedFile, classes: Sequence[str], tensors: Mapping[str, Tensor]
    ) -> None:
        """`tensors` by `<split>/<part>`, as in `store.files.dataset`."""
        self._file = file
        self._classes = classes
        self._tensors = tensors
        self._block = lru_cache(_BLOCKS_KEPT)(self._read_block)

    @classmethod
    def open(cls, file: CheckedFile, *, is_labelled: bool) -> Self:
        """Read the header. Raises InvalidDatasetFile and ArtifactCorrupt."""
        n_bytes = int.from_bytes(b"".join(file.chunks(0, _PREFIX_BYTES)), "little")
        if not 0 < n_bytes <= MAX_HEADER_BYTES:
            raise InvalidDatasetFile(f"The dataset file's header cannot have {n_bytes} bytes.")
        head = b"".join(file.chunks(0, _PREFIX_BYTES + n_bytes))
        if is_labelled:
            classes, tensors = read_header(head, file.size_bytes)
            return cls(file, classes, tensors)
        try:
            entries = json.loads(head[_PREFIX_BYTES:])
            found = {
                f"{_UNLABELLED}/{name}": tensor_at(name, entry, len(head))
                for name, entry in entries.items()
                if name != "__metadata__" and 0 not in entry["shape"]
            }
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidDatasetFile("The dataset file's header is damaged.") from error
        return cls(file, (), found)

    @property
    def knows_places(self) -> bool:
        """Whether the file keeps the rows' places in the data sent."""
        splits = [name.removesuffix("/y") for name in self._tensors if name.endswith("/y")]
        return all(f"{split}/rows" in self._tensors for split in splits)

    def rows(self, split: str, places: Sequence[int]) -> list[ListedRow]:
        """The rows of a split at these places, in this order. Raises InvalidDatasetFile."""
        return [self._row(split, at) for at in places]

    def _row(self, split: str, at: int) -> ListedRow:
        code, file_row = self._number(f"{split}/y", at), self._number(f"{split}/rows", at)
        if code is not None and not 0 <= code < len(self._classes):
            raise InvalidDatasetFile(f"Split {split!r} has labels without a class.")
        if not self._classes:
            file_row = at
        return ListedRow(
            label=None if code is None else self._classes[code],
            file_row=None if file_row is None or file_row < 0 else file_row,
            id=self._id(split, at),
        )

    def _id(self, split: str, at: int) -> str | None:
        end, ids = self._number(f"{split}/ends", at), self._tensors.get(f"{split}/ids")
        if end is None or ids is None:
            return None
        begin = self._number(f"{split}/ends", at - 1) or 0 if at else 0
        if not 0 <= begin <= end <= ids.count:
            raise InvalidDatasetFile("The ids of a dataset file are damaged.")
        try:
            return self._bytes(ids.begin + begin, ids.begin + end).decode() or None
        except UnicodeDecodeError as error:
            raise InvalidDatasetFile("The ids of a dataset file are damaged.") from error

    def _number(self, name: str, at: int) -> int | None:
        tensor = self._tensors.get(name)
        if tensor is None:
            return None
        begin = tensor.begin + at * tensor.dtype.itemsize
        values: Any = np.frombuffer(self._bytes(begin, begin + tensor.dtype.itemsize), tensor.dtype)
        return int(values[0])

    def _bytes(self, begin: int, end: int) -> bytes:
        first, last = begin // BLOCK_BYTES, max(begin, end - 1) // BLOCK_BYTES
        data = b"".join(self._block(index) for index in range(first, last + 1))
        return data[begin - first * BLOCK_BYTES : end - first * BLOCK_BYTES]

    def _read_block(self, index: int) -> bytes:
        begin = index * BLOCK_BYTES
        return b"".join(self._file.chunks(begin, min(begin + BLOCK_BYTES, self._file.size_bytes)))


def rows_of_texts(
    split: TextSplit, classes: Sequence[str], places: Sequence[int]
) -> list[ListedRow]:
    """The rows of a split of texts at these places, in this order."""
    return [
        ListedRow(
            label=classes[code] if (code := int(split.y[at])) >= 0 else None,
            file_row=split.rows[at],
            id=(split.ids[at] or None) if split.ids is not None else None,
            text=split.texts[at],
        )
        for at in places
    ]
