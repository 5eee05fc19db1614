"""Write a prediction's output block by block, as Parquet, CSV or JSON Lines.

| column | Parquet | CSV | JSON Lines |
|---|---|---|---|
| one value per row | a column | a column | a member |
| a number per class | a list | a column each, `probabilities:cat` | an object by class |
| a number or text per rank | a list | a column each, `top_labels:1` | a list |
| any number of texts | a list | a JSON list in a cell | a list |

Numbers in text have the fewest digits that identify a float32. A file is whole or absent.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

FORMATS: Final = ("parquet", "csv", "jsonl")

Values: TypeAlias = NDArray[Any] | Sequence[str | None] | Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a block of n rows.

    values: (n,) numbers or Booleans; n texts, None for no text; (n, m) numbers; or n lists of
    texts. names: the class names of the m columns, None if they are ranks. m: how many texts each
    list has, None for any number.
    """

    name: str
    values: Values
    names: Sequence[str] | None = None
    m: int | None = None

    @property
    def is_matrix(self) -> bool:
        """Whether there are m numbers per row."""
        return isinstance(self.values, np.ndarray) and self.values.ndim == 2

    @property
    def is_lists(self) -> bool:
        """Whether there are several texts per row."""
        is_list = not isinstance(self.values, np.ndarray) and len(self.values) > 0
        return is_list and isinstance(self.values[0], list)


class OutputFile(Protocol):
    """Takes blocks of rows; if its `with` block raises, no file is left."""

    def add(self, columns: Sequence[Column]) -> None:
        """Append rows; all blocks have the same columns."""
        ...


def create(path: Path, *, form: str, about: Mapping[str, object]) -> "_Writing":
    """A new file at `path` in one of FORMATS. about: metadata, stored in Parquet only."""
    beside = path.with_name(f"{path.name}.writing")
    if form == "parquet":
        return _Writing(path, beside, _Parquet(beside, about))
    return _Writing(path, beside, _Csv(beside) if form == "csv" else _Lines(beside))


class _Writing:
    """The file while it is written, under a temporary name."""

    def __init__(self, path: Path, beside: Path, file: "_Parquet | _Csv | _Lines") -> None:
        self._path, self._beside, self._file = path, beside, file

    def __enter__(self) -> OutputFile:
        return self._file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is None:
            self._beside.replace(self._path)
        else:
            self._beside.unlink(missing_ok=True)


class _Parquet:
    """One row group per block, compressed with zstd."""

    def __init__(self, path: Path, about: Mapping[str, object]) -> None:
        self._path = path
        self._about = about
        self._writer: Any = None

    def add(self, columns: Sequence[Column]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrays = [_arrow(column) for column in columns]
        names = [column.name for column in columns]
        if self._writer is None:
            schema = pa.schema(
                [pa.field(name, array.type) for name, array in zip(names, arrays, strict=True)],
                metadata={"nmtune": json.dumps(self._about, ensure_ascii=False)},
            )
            self._writer = pq.ParquetWriter(self._path, schema, compression="zstd")
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._writer.schema))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _arrow(column: Column) -> Any:
    import pyarrow as pa

    values = column.values
    if isinstance(values, np.ndarray):
        if values.ndim == 1:
            return pa.array(values)
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    if column.is_lists:
        return pa.array(values, pa.list_(pa.string()))
    return pa.array(values, pa.string())


class _Text:
    """A UTF-8 text file."""

    def __init__(self, path: Path) -> None:
        self._closing = ExitStack()
        self._file = self._closing.enter_context(path.open("xb"))

    def close(self) -> None:
        self._closing.close()


class _Csv(_Text):
    """A header, then one line per row."""

    _has_header = False

    def add(self, columns: Sequence[Column]) -> None:
        text = io.StringIO(newline="")
        lines = csv.writer(text, lineterminator="\n")
        if not self._has_header:
            lines.writerow([name for column in columns for name in _csv_names(column)])
            self._has_header = True
        cells = [cells for column in columns for cells in _csv_cells(column)]
        lines.writerows(zip(*cells, strict=True))
        self._file.write(text.getvalue().encode())


def _csv_names(column: Column) -> list[str]:
    if column.is_matrix and isinstance(column.values, np.ndarray):
        names = column.names or range(1, column.values.shape[1] + 1)
        return [f"{column.name}:{name}" for name in names]
    if column.is_lists and column.m is not None:
        return [f"{column.name}:{place}" for place in range(1, column.m + 1)]
    return [column.name]


def _csv_cells(column: Column) -> list[Sequence[Any]]:
    values = column.values
    if isinstance(values, np.ndarray):
        if values.ndim == 2:
            return list(zip(*_numbers(values), strict=True))
        return [_scalars(values)]
    if column.is_lists and column.m is not None:
        return list(zip(*values, strict=True))
    if column.is_lists:
        return [[orjson.dumps(one).decode() for one in values]]
    return [list(values)]


class _Lines(_Text):
    """One JSON object per line."""

    def add(self, columns: Sequence[Column]) -> None:
        members = [_members(column) for column in columns]
        rows = ["{" + ",".join(row) + "}\n" for row in zip(*members, strict=True)]
        self._file.write("".join(rows).encode())


def _members(column: Column) -> list[str]:
    """Each row's `"name":value`."""
    name, values = _json(column.name), column.values
    if not isinstance(values, np.ndarray):
        return [f"{name}:{_json(one)}" for one in values]
    if values.ndim == 1:
        return [f"{name}:{one}" for one in _scalars(values)]
    if column.names is None:
        return [f"{name}:[{','.join(row)}]" for row in _numbers(values)]
    keys = [f"{_json(one)}:" for one in column.names]
    return [f"{name}:{{{','.join(map(str.__add__, keys, row))}}}" for row in _numbers(values)]


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _scalars(values: NDArray[Any]) -> list[str]:
    """(n,) values as JSON writes them: true, 3, 0.25."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return text.decode()[1:-1].split(",")


def _numbers(values: NDArray[Any]) -> list[list[str]]:
    """(n, m) values as JSON writes them."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return [row.split(",") for row in text.decode()[2:-2].split("],[")]
