"""Read the rows that the decoding process wrote, and check their size again."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from service.ingest.dataset.prepared import Piece
from service.ingest.errors import DatasetWarning
from service.ingest.folder import ID_ENDS, RESULT, ROWS, TEXTS
from service.ingest.limits import BLOCK_BYTES, MAX_COLUMNS, MAX_ROWS
from service.ingest.numbers import not_finite, refuse
from store.files.rows import Ids

_CODE: Final = np.dtype("<i8")
_GIVEN: Final = {name: name for name in ("<f2", "<f4", "<f8", ">f2", ">f4", ">f8")}


@dataclass(frozen=True, kw_only=True)
class NamedColumn:
    """One value per row: codes (n,) that index `names`; without names only equality counts."""

    field: str
    codes: NDArray[np.int64]
    names: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """The rows of a file in their order: embeddings (n, d) at `path` from `offset` on, and columns.

    The file holds them as `given`; they are stored as `dtype`, float16 or float32. `columns` are by
    meaning: label (of labelled rows), split, domain, group. If the rows are texts, `texts` has
    them, `n_columns` is 0 and there are no embeddings.
    """

    path: Path
    offset: int
    given: np.dtype[Any]
    dtype: np.dtype[Any]
    n_rows: int
    n_columns: int
    x_field: str
    columns: dict[str, NamedColumn]
    warnings: list[DatasetWarning]
    texts: list[str] | None = None
    ids: Ids | None = None
    """The sender's ids of the rows; an empty one means no id."""
    is_by_split: bool = False
    """Whether the sender has the rows of each split in a separate array."""

    @classmethod
    def read(cls, folder: Path) -> "Decoded":
        """What the decoding process left in `folder`; RuntimeError if it cannot be right."""
        value = orjson.loads((folder / RESULT).read_bytes())
        n_rows, n_columns = value["n_rows"], value["n_columns"]
        given = np.dtype(_GIVEN[value["given"]])
        offset = value["offset"]
        texts = _texts(folder / TEXTS) if value["is_text"] else None
        if texts is not None:
            is_right = len(texts) == n_rows >= 1
        else:
            is_right = 1 <= n_rows <= MAX_ROWS and 1 <= n_columns <= MAX_COLUMNS
            end = offset + n_rows * n_columns * given.itemsize
            is_right = is_right and 0 <= offset < end <= (folder / ROWS).stat().st_size
        if not is_right:
            raise RuntimeError("the decoding process left rows of another size than it says")
        columns = {
            part: _column(folder / part, column, n_rows)
            for part, column in value["columns"].items()
            if part != "id"
        }
        ids = _ids(folder, n_rows) if "id" in value["columns"] else None
        return cls(
            path=folder / ROWS,
            offset=offset,
            given=given,
            dtype=np.dtype("<f2" if given.itemsize == 2 else "<f4"),
            n_rows=n_rows,
            n_columns=n_columns,
            x_field=value["x_field"],
            columns=columns,
            warnings=value["warnings"],
            texts=texts,
            ids=ids,
            is_by_split=bool(value["is_by_split"]),
        )

    def blocks(self, rows: NDArray[np.intp]) -> Iterator[NDArray[Any]]:
        """The embeddings of `rows`, which ascend, as they are stored; raises BadInput."""
        for piece in self.pieces({"": rows}):
            with np.errstate(over="ignore"):  # overflow is refused just below
                stored = np.ascontiguousarray(piece.x, dtype=self.dtype)
            refuse(not_finite(piece.x, stored, field=self.x_field, rows=piece.rows))
            yield stored

    def pieces(self, rows_by_split: Mapping[str, NDArray[np.intp]]) -> Iterator[Piece]:
        """The rows of each split, which ascend, as they are in the file, read in one sweep.

        The caller checks that they are finite.
        """
        row_bytes = self.n_columns * self.given.itemsize
        step = max(1, BLOCK_BYTES // row_bytes)
        with self.path.open("rb", buffering=0) as file:
            for start in range(0, self.n_rows, step):
                stop = min(start + step, self.n_rows)
                block = np.empty((stop - start, self.n_columns), self.given)
                _read_into(file.fileno(), block, self.offset + start * row_bytes)
                for split, rows in rows_by_split.items():
                    first, last = np.searchsorted(rows, (start, stop))
                    taken = rows[first:last]
                    if len(taken):
                        x = block if len(taken) == len(block) else block[taken - start]
                        yield Piece(split=split, x=x, rows=taken)


def _read_into(descriptor: int, block: NDArray[Any], offset: int) -> None:
    view = block.reshape(-1).view(np.uint8).data
    while len(view):
        n_read = os.preadv(descriptor, [view], offset)
        if n_read == 0:
            raise RuntimeError("the rows end early")
        view, offset = view[n_read:], offset + n_read


def _texts(path: Path) -> list[str]:
    return [str(orjson.loads(line)) for line in path.read_bytes().splitlines()]


def _ids(folder: Path, n_rows: int) -> Ids:
    ends, content = np.fromfile(folder / ID_ENDS, _CODE), (folder / "id").read_bytes()
    sizes = np.diff(ends, prepend=0)
    if len(ends) != n_rows or (sizes < 0).any() or ends[-1] != len(content):
        raise RuntimeError("the decoding process left ids of another size than it says")
    return Ids(ends=ends, content=content)


def _column(path: Path, value: dict[str, Any], n_rows: int) -> NamedColumn:
    codes = np.fromfile(path, _CODE)
    names = value["names"]
    if len(codes) != n_rows or (
        names is not None and (codes.min() < 0 or codes.max() >= len(names))
    ):
        raise RuntimeError("the decoding process left codes that name nothing")
    return NamedColumn(
        field=value["field"], codes=codes, names=None if names is None else tuple(names)
    )
