"""Check the rows of a foreign file, and write them down block by block.

It runs in the decoding process. `decoded.py` reads what it leaves in the folder (`rows`, `label`,
... and `decoded.json`) in the service's own process.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from service.ingest.errors import FIELD, BadInput, DatasetWarning, Place, Places
from service.ingest.folder import RESULT, ROWS, TEXTS
from service.ingest.limits import (
    LARGE_BYTES,
    MAX_COLUMNS,
    MAX_RATIO,
    MAX_ROWS,
    MAX_TEXT_BYTES,
    MAX_TEXTS,
)
from service.ingest.names.columns import Columns
from service.ingest.names.value_columns import Names, append, column_of
from service.ingest.names.value_name import check_text
from service.ingest.numbers import not_finite, refuse


class Spool:
    """Takes the rows of one file in their order; `finish` writes what they are.

    They are either embeddings or texts.

    x_field: their name in errors; x_columns: the names of a family's columns. max_bytes: bounds the
    rows as stored. file_size: of the file that they come from. is_id_asked_for: False if values
    that are not ids are left out. is_by_split: whether each split is an array in the file.
    """

    def __init__(
        self,
        folder: Path,
        *,
        x_field: str,
        fields: dict[str, str],
        max_bytes: int,
        file_size: int,
        x_columns: Sequence[str] = (),
        warnings: Sequence[DatasetWarning] = (),
        is_id_asked_for: bool = True,
        is_by_split: bool = False,
    ) -> None:
        self.n_rows = 0
        self._is_by_split = is_by_split
        self.x_field = x_field
        self._folder = folder
        self._x_columns = tuple(x_columns)
        self._max_bytes = max_bytes
        self._most_by_ratio = max(LARGE_BYTES, MAX_RATIO * file_size)
        self._warnings = list(warnings)
        self._n_bytes = 0
        self._offset = 0
        self._given: np.dtype[Any] | None = None
        self._shape: tuple[int, np.dtype[Any]] | None = None
        self._singles = {
            part: column_of(part, field, folder, is_id_asked_for=is_id_asked_for)
            for part, field in fields.items()
        }

    @classmethod
    def of(cls, chosen: Columns, folder: Path, *, max_bytes: int, file_size: int) -> Self:
        """The spool of a table whose columns are `chosen`."""
        return cls(
            folder,
            x_field=chosen.x_field,
            x_columns=chosen.embedding if chosen.is_family else (),
            fields=chosen.single,
            max_bytes=max_bytes,
            file_size=file_size,
            warnings=chosen.warnings,
            is_id_asked_for=chosen.is_id_asked_for,
        )

    def warn(self, warning: DatasetWarning) -> None:
        """Add a warning, once."""
        if warning not in self._warnings:
            self._warnings.append(warning)

    def add(self, x: NDArray[Any], singles: dict[str, Names]) -> None:
        """The next rows: x (b, d) of any float, and for each single column its b values."""
        n_columns, dtype = self._check_shape(x)
        self._check_size(len(x), n_columns * dtype.itemsize)
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(x, dtype=dtype)
        places = not_finite(x, stored, field=self.x_field, first_row=self.n_rows)
        refuse(Places([self._named(place) for place in places.listed], places.count))
        append(self._folder / ROWS, stored.data)
        self._add_singles(singles, len(x))

    def take(
        self, path: Path, *, offset: int, shape: tuple[int, int], given: np.dtype[Any]
    ) -> bool:
        """All rows as they are in the file at `path` from `offset` on, uncopied and unchecked.

        shape: (n, d), as `given`. The reader checks them; `add_columns` takes their columns.
        Returns False if the file cannot be linked under a second name: then add its rows.
        """
        n_columns, dtype = self._check_shape(np.empty((0, shape[1]), given))
        self._check_size(shape[0], n_columns * dtype.itemsize)
        try:
            os.link(path, self._folder / ROWS)
        except OSError:
            self._n_bytes = 0
            return False
        self._offset, self._given = offset, given
        return True

    def add_columns(self, singles: dict[str, Names], n_rows: int) -> None:
        """For each single column its next `n_rows` values, of rows that were taken."""
        self._add_singles(singles, n_rows)

    def add_texts(self, texts: Sequence[object], singles: dict[str, Names]) -> None:
        """The next rows, b texts, and for each single column its b values."""
        if self.n_rows + len(texts) > MAX_TEXTS:
            raise BadInput("too_large", f"The file has more than {MAX_TEXTS:,} texts.", field=FIELD)
        lines = []
        for row, text in enumerate(texts, start=self.n_rows):
            lines.append(orjson.dumps(check_text(text, field=self.x_field, row=row)) + b"\n")
            self._n_bytes += len(lines[-1])
            if self._n_bytes > MAX_TEXT_BYTES:
                raise BadInput(
                    "too_large",
                    f"The texts take more than {MAX_TEXT_BYTES >> 20} MiB.",
                    field=FIELD,
                )
        append(self._folder / TEXTS, b"".join(lines))
        self._add_singles(singles, len(texts))

    def _add_singles(self, singles: dict[str, Names], n_rows: int) -> None:
        for part, values in singles.items():
            self._singles[part].add(values, first_row=self.n_rows, n_rows=n_rows)
        self.n_rows += n_rows

    def finish(self) -> None:
        """Write what was found; raises BadInput if there is no row."""
        if not self.n_rows:
            raise BadInput("no_rows", "The file has no rows.", field=FIELD)
        n_columns, dtype = self._shape or (0, np.dtype("<f4"))
        columns = {part: single.finish() for part, single in self._singles.items()}
        left_out = [one.pop("left_out") for one in columns.values() if "left_out" in one]
        result = {
            "is_text": self._shape is None,
            "n_rows": self.n_rows,
            "n_columns": n_columns,
            "given": (self._given or dtype).str,
            "offset": self._offset,
            "x_field": self.x_field,
            "columns": columns,
            "is_by_split": self._is_by_split,
            "warnings": [*self._warnings, *left_out],
        }
        (self._folder / RESULT).write_bytes(orjson.dumps(result))

    def _check_shape(self, x: NDArray[Any]) -> tuple[int, np.dtype[Any]]:
        if self._shape is None:
            n_columns = x.shape[1]
            if not 1 <= n_columns <= MAX_COLUMNS:
                raise BadInput(
                    "too_large" if n_columns else "invalid_embeddings",
                    f"{self.x_field} has {n_columns:,} columns; allowed are 1 to {MAX_COLUMNS:,}.",
                    field=self.x_field,
                    row=self.n_rows,
                )
            self._shape = (n_columns, np.dtype("<f2" if x.dtype.itemsize == 2 else "<f4"))
        n_columns, dtype = self._shape
        if x.shape[1] != n_columns:
            raise wrong_width(x.shape[1], n_columns, field=self.x_field, row=self.n_rows)
        return n_columns, dtype

    def _check_size(self, n_rows: int, row_bytes: int) -> None:
        self._n_bytes += n_rows * row_bytes
        if self.n_rows + n_rows > MAX_ROWS:
            raise BadInput("too_large", f"The file has more than {MAX_ROWS:,} rows.", field=FIELD)
        if self._n_bytes > self._max_bytes:
            raise too_many_bytes(self._max_bytes)
        if self._n_bytes > self._most_by_ratio:
            raise BadInput(
                "suspicious_ratio",
                f"The file is more than {MAX_RATIO} times its size when uncompressed, which "
                f"embeddings "
                "never are.",
                field=FIELD,
                malformed=True,
            )

    def _named(self, place: Place) -> Place:
        """The place with the name of its column, if each dimension has a column."""
        if not self._x_columns or place.column is None:
            return place
        name = self._x_columns[place.column]
        what = place.message.partition(f"column {place.column} ")[2]
        return replace(place, field=name, message=f"{name} at row {place.row} {what}")


def wrong_width(width: int, n_columns: int, *, field: str, row: int) -> BadInput:
    """The error of a row that has more or fewer numbers than the first."""
    return BadInput(
        "width_mismatch",
        f"{field} row {row} has {width:,} numbers, but row 0 has {n_columns:,}: all rows need the "
        "same number.",
        field=field,
        row=row,
    )


def too_many_bytes(max_bytes: int) -> BadInput:
    """The error of embeddings that take more room than they may."""
    return BadInput(
        "too_large",
        f"The embeddings take more than {max_bytes:,} bytes. Save them as float16, which halves "
        "them, or send fewer rows.",
        field=FIELD,
    )
