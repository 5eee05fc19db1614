"""Read CSV: numbered columns, one per dimension, lists in one column, or texts.

pyarrow's reader is several times faster than Python's, and stops at the first row that it cannot
read; its message is turned into a row and a column.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from service.ingest.errors import FIELD, BadInput
from service.ingest.formats.ahead import in_order
from service.ingest.formats.exact import SURELY_EXACT, is_changed, not_exact
from service.ingest.formats.spool import Spool
from service.ingest.formats.unpacked import Unpacked
from service.ingest.formats.vectors import as_rows
from service.ingest.names import columns
from service.ingest.names.columns import Columns, Wanted
from service.ingest.names.value_columns import Names

BLOCK_BYTES: Final = 2 << 20
"""Rows are converted in blocks of about this size, so no row may be longer."""

_DELIMITERS: Final = ",;\t"
_ROW: Final = re.compile(r"Row #(\d+): ")
_COLUMN: Final = re.compile(r"In CSV column #(\d+): ")
_WIDTH: Final = re.compile(r"Expected (\d+) columns, got (\d+)")
_VALUE: Final = re.compile(r"invalid value '(.*)'", re.DOTALL)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,38}")
_BOM: Final = b"\xef\xbb\xbf"


def read(source: Unpacked, *, wanted: Wanted, folder: Path, max_bytes: int, size: int) -> None:
    """Spool the rows of `source`, a file of `size` bytes, to `folder`; raises BadInput."""
    start = _start(source)
    names, delimiter = _header(start)
    chosen = columns.choose(names, wanted)
    spool = Spool.of(chosen, folder, max_bytes=max_bytes, file_size=size)
    n_columns: int | None = None
    for batch in _batches(source, start, names, chosen, delimiter, spool):
        if not batch.num_rows:
            continue
        singles: dict[str, Names] = {
            part: _distinct(batch.column(name)) for part, name in chosen.single.items()
        }
        if chosen.text is not None:
            spool.add_texts(batch.column(chosen.text).to_pylist(), singles)
            continue
        x = _embeddings(batch, chosen, first_row=spool.n_rows, n_columns=n_columns)
        n_columns = x.shape[1]
        spool.add(x, singles)
    spool.finish()


def _start(source: Unpacked) -> bytes:
    """The file's first bytes, its header among them."""
    start = b""
    while len(start) < BLOCK_BYTES and b"\n" not in start and (content := source.read(1 << 16)):
        start += content
    start = start.removeprefix(_BOM)
    if b"\n" not in start:
        long = len(start) >= BLOCK_BYTES
        raise BadInput(
            "line_too_long" if long else "no_rows",
            "The first line is too long: is this a CSV file?"
            if long
            else "The file has no rows below its header.",
            field=FIELD,
            malformed=long,
        )
    return start


def _header(start: bytes) -> tuple[list[str], str]:
    """The names of the columns, and what separates them."""
    try:
        line = start[: start.index(b"\n")].rstrip(b"\r").decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(None) from error
    delimiter = max(_DELIMITERS, key=line.count)
    try:
        names = next(csv.reader(io.StringIO(line), delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise BadInput(
            "invalid_csv",
            "The first line, which names the columns, cannot be read: is a quote left open?",
            field=FIELD,
            malformed=True,
        ) from error
    if names and all(_is_number(name) for name in names):
        raise BadInput(
            "no_header",
            "The first line has only numbers: put the names of the columns there (such as label, "
            "dim_0, dim_1, ...).",
            field=FIELD,
        )
    return names, delimiter


def _batches(
    source: Unpacked, start: bytes, names: list[str], chosen: Columns, delimiter: str, spool: Spool
) -> Iterator[pa.RecordBatch]:
    """The rows in blocks; not by pyarrow's own stream, whose memory grows with the file.

    A block takes one thread, and each core one block: a block's columns are converted in less time
    than it takes to find its cells, which pyarrow does in one thread.
    """
    vector_type = pa.float32() if chosen.is_family else pa.string()
    types = dict.fromkeys(chosen.embedding, vector_type)
    types |= dict.fromkeys(chosen.single.values(), pa.string())
    if chosen.text is not None:
        types[chosen.text] = pa.string()
    parse = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = arrow_csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=[""],
        strings_can_be_null=False,
    )

    def read(block: bytes, how: arrow_csv.ConvertOptions) -> pa.Table:
        options = arrow_csv.ReadOptions(
            use_threads=False, block_size=len(block) + 1, column_names=names
        )
        return arrow_csv.read_csv(
            pa.BufferReader(block), read_options=options, parse_options=parse, convert_options=how
        )

    def converted(block: bytes) -> tuple[pa.Table, pa.Table | None]:
        """The rows; and, as text, those numbers that are large."""
        table = read(block, convert)
        large = [name for name in chosen.embedding if chosen.is_family and _is_large(table[name])]
        if not large:
            return table, None
        as_text = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(large, pa.string()), include_columns=large
        )
        return table, read(block, as_text)

    try:
        for table, large in in_order(converted, _blocks(source, start)):
            if large is not None:
                _check_integers(large, chosen, first_row=spool.n_rows)
            yield from table.to_batches()
    except pa.ArrowInvalid as error:
        raise _explained(str(error), names, spool.n_rows) from error


def _is_large(numbers: pa.ChunkedArray) -> bool:
    values = numbers.to_numpy()
    return bool(len(values)) and bool((np.abs(values) >= SURELY_EXACT).any())


def _check_integers(cells: pa.Table, chosen: Columns, *, first_row: int) -> None:
    """Raise BadInput for the first integer that float32 does not hold."""
    wrong = [
        (row, chosen.embedding.index(name), int(cell), name)
        for name in cells.column_names
        for row, cell in enumerate(cells[name].to_pylist())
        if cell is not None and _INTEGER.fullmatch(cell) and is_changed(int(cell))
    ]
    if wrong:
        row, column, value, name = min(wrong)
        raise not_exact(value, field=name[:80], row=first_row + row, column=column)


def _blocks(source: Unpacked, start: bytes) -> Iterator[bytes]:
    """The bytes behind the header, cut where a row ends: at a line's end outside of quotes."""
    rest = start[start.index(b"\n") + 1 :]
    while True:
        content = source.read(BLOCK_BYTES)
        whole = rest + content
        cut = _last_row_end(whole) if content else len(whole)
        if cut and _longest(whole[:cut], len(rest)) <= BLOCK_BYTES:
            if whole[:cut].strip(b"\r\n"):
                yield whole[:cut]
        elif len(whole) >= BLOCK_BYTES:
            raise BadInput(
                "line_too_long",
                f"A row is longer than {BLOCK_BYTES:,} bytes: is a quote left open?",
                field=FIELD,
                malformed=True,
            )
        if not content:
            return
        rest = whole[cut:]


def _last_row_end(content: bytes) -> int:
    """Where the last whole row ends, 0 if there is none."""
    n_quotes = content.count(b'"')
    end = len(content)
    while (newline := content.rfind(b"\n", 0, end)) >= 0:
        n_quotes -= content.count(b'"', newline, end)
        if n_quotes % 2 == 0:
            return newline + 1
        end = newline
    return 0


def _longest(content: bytes, at: int) -> int:
    """The length of the row in which `at` lies: no other is longer than a block."""
    begin = _last_row_end(content[:at])
    end = content.find(b"\n", begin)
    n_quotes = content.count(b'"', begin, max(end, begin))
    while end >= 0 and n_quotes % 2:
        newline = content.find(b"\n", end + 1)
        n_quotes += content.count(b'"', end, max(newline, end))
        end = newline
    return (len(content) if end < 0 else end) - begin


def _embeddings(
    batch: pa.RecordBatch, chosen: Columns, *, first_row: int, n_columns: int | None
) -> NDArray[Any]:
    if not chosen.is_family:
        cells = batch.column(chosen.embedding[0]).to_pylist()
        field = chosen.embedding[0]
        values = [_list(cell, field, row) for row, cell in enumerate(cells, start=first_row)]
        return as_rows(values, field=field, first_row=first_row, n_columns=n_columns)
    family = batch.columns[: len(chosen.embedding)]  # they are requested first
    for column, (name, values_of) in enumerate(zip(chosen.embedding, family, strict=True)):
        if values_of.null_count:
            row = first_row + int(np.argmax(values_of.is_null().to_numpy(zero_copy_only=False)))
            raise BadInput(
                "invalid_embeddings",
                f"{name[:80]} at row {row} is empty: each row needs a number in every column.",
                field=name[:80],
                row=row,
                column=column,
            )
    numbers = pa.RecordBatch.from_arrays(family, names=list(chosen.embedding))
    x: NDArray[Any] = numbers.to_tensor(row_major=True).to_numpy()
    return x


def _list(cell: str, field: str, row: int) -> object:
    """A cell as a list of numbers: `[0.1, 0.2]`, or numpy's way of printing one."""
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError:
        pass
    if "..." in cell:
        raise _bad_cell(
            f"{field} row {row} was shortened to '...' when it was printed: write the whole list "
            "with json.dumps(vector.tolist()).",
            field,
            row,
        )
    try:
        return [float(part) for part in cell.strip().strip("[]()").replace(",", " ").split()]
    except ValueError:
        raise _bad_cell(
            f"{field} row {row} is not a list of numbers such as [0.1, 0.2].", field, row
        ) from None


def _distinct(values: pa.Array) -> Names:
    """The distinct strings, and for each row the index of its own: few, if they are labels."""
    encoded = values.dictionary_encode()
    places = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return encoded.dictionary.to_pylist(), places


def _explained(message: str, names: list[str], n_read: int) -> BadInput:
    """pyarrow's message about the row that it stopped at, in our words."""
    row = n_read + int(match[1]) - 1 if (match := _ROW.search(message)) else None
    at = f"Row {row}" if row is not None else f"A row from {n_read} on"
    if match := _WIDTH.search(message):
        return BadInput(
            "invalid_csv",
            f"{at} has {match[2]} cells, but the header has {match[1]}: is a delimiter or a quote "
            "missing?",
            field=FIELD,
            row=row,
        )
    if match := _COLUMN.search(message):
        column = int(match[1])
        name = names[column][:80] if column < len(names) else "?"
        if "UTF8" in message:
            return _not_utf8(row, name)
        value = match[1] if (match := _VALUE.search(message)) else ""
        return BadInput(
            "invalid_embeddings",
            f"{name} at {at.lower()} is {value[:40]!r}, not a number.",
            field=name,
            row=row,
            column=column,
        )
    return BadInput(
        "invalid_csv",
        f"{at} cannot be read as CSV: is a quote left open?",
        field=FIELD,
        malformed=True,
    )


def _not_utf8(row: int | None, field: str = FIELD) -> BadInput:
    at = "The header" if row is None else f"{field} at row {row}"
    return BadInput("not_utf8", f"{at} is not UTF-8: save the file as UTF-8.", field=field, row=row)


def _bad_cell(message: str, field: str, row: int) -> BadInput:
    return BadInput("invalid_embeddings", message, field=field, row=row)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
