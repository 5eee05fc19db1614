"""Home of rows that the decoding process wrote down: plain numbers, their size checked again."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from service.ingest.limits import BLOCK_BYTES, MAX_COLUMNS, MAX_ROWS
from service.ingest.notice import Warning_
from service.ingest.spool import ID_ENDS, RESULT, ROWS, TEXTS
from store.rows_file import Ids

_CODE: Final = np.dtype("<i8")


@dataclass(frozen=True, kw_only=True)
class NamedColumn:
    """One value a row: codes (n,), which count in `names`; without names only equality counts."""

    field: str
    codes: NDArray[np.int64]
    names: tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """The rows of a file in their order: embeddings (n, d) at `path` from `offset` on, and columns.

    `columns` are by what they mean: label (but of unlabelled rows), split, domain, group. Where
    the rows are texts, `texts` has them, `n_columns` is 0 and there are no embeddings.
    """

    path: Path
    offset: int
    dtype: np.dtype[Any]
    n_rows: int
    n_columns: int
    x_field: str
    columns: dict[str, NamedColumn]
    warnings: list[Warning_]
    texts: list[str] | None = None
    ids: Ids | None = None
    """What the sender calls the rows, of rows without labels."""

    @classmethod
    def read(cls, folder: Path) -> "Decoded":
        """What the decoding process left in `folder`; RuntimeError if it cannot be right."""
        value = orjson.loads((folder / RESULT).read_bytes())
        n_rows, n_columns = value["n_rows"], value["n_columns"]
        dtype = np.dtype({"<f2": "<f2", "<f4": "<f4"}[value["dtype"]])
        texts = _texts(folder / TEXTS) if value["is_text"] else None
        if texts is not None:
            is_right = len(texts) == n_rows >= 1
        else:
            is_right = 1 <= n_rows <= MAX_ROWS and 1 <= n_columns <= MAX_COLUMNS
            size = n_rows * n_columns * dtype.itemsize
            is_right = is_right and (folder / ROWS).stat().st_size == size
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
            offset=0,
            dtype=dtype,
            n_rows=n_rows,
            n_columns=n_columns,
            x_field=value["x_field"],
            columns=columns,
            warnings=value["warnings"],
            texts=texts,
            ids=ids,
        )

    def blocks(self, rows: NDArray[np.intp]) -> Iterator[NDArray[Any]]:
        """The embeddings of `rows`, which ascend, some at a time; the file is read in one sweep."""
        row_bytes = self.n_columns * self.dtype.itemsize
        step = max(1, BLOCK_BYTES // row_bytes)
        with self.path.open("rb", buffering=0) as file:
            start = 0
            while start < len(rows):
                first = int(rows[start])
                stop = int(np.searchsorted(rows, first + step))
                span = int(rows[stop - 1]) - first + 1
                block = np.empty((span, self.n_columns), self.dtype)
                _read_into(file.fileno(), block, self.offset + first * row_bytes)
                taken = rows[start:stop]
                yield block if len(taken) == span else block[taken - first]
                start = stop


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
