"""Home of reading JSON Lines: one object a line, its embedding a list of numbers, or a text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from service.ingest import columns
from service.ingest.columns import Columns, Wanted
from service.ingest.errors import BadInput
from service.ingest.formats import FIELD
from service.ingest.id_column import Names
from service.ingest.limits import BLOCK_BYTES
from service.ingest.spool import Spool
from service.ingest.unpacked import Unpacked
from service.ingest.vectors import as_rows

MAX_LINE_BYTES: Final = 4 << 20
"""16,384 numbers of 24 characters are a tenth of this."""

_READ_BYTES: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"


def read(source: Unpacked, *, wanted: Wanted, folder: Path, max_bytes: int, size: int) -> None:
    """Spool the rows of `source`, a file of `size` bytes, to `folder`; raises BadInput.

    The first object decides which fields there are.
    """
    spool: Spool | None = None
    chosen: Columns | None = None
    found: list[Any] = []
    single: list[tuple[str, str]] = []
    singles: dict[str, list[Any]] = {}
    n_columns: int | None = None
    n_bytes = 0
    for row, line in enumerate(_lines(source)):
        value = _object(line, row)
        if chosen is None or spool is None:
            chosen = _choose(value, wanted)
            single = list(chosen.single.items())
            singles = {part: [] for part, _ in single}
            spool = Spool.of(chosen, folder, max_bytes=max_bytes, file_size=size)
        found.append(_vector(value, chosen))
        for part, name in single:
            singles[part].append(value.get(name))
        n_bytes += len(line)
        if n_bytes > BLOCK_BYTES:
            n_columns = _add(spool, chosen, found, singles, n_columns)
            found, singles, n_bytes = [], {part: [] for part in singles}, 0
    if chosen is None or spool is None:
        raise BadInput("no_rows", "The file has no rows.", field=FIELD)
    if found:
        _add(spool, chosen, found, singles, n_columns)
    spool.finish()


def _add(
    spool: Spool,
    chosen: Columns,
    found: list[Any],
    singles: dict[str, list[Any]],
    n_columns: int | None,
) -> int | None:
    """Spool the next rows; their width, if they have one."""
    values: dict[str, Names] = dict(singles)
    if chosen.text is not None:
        spool.add_texts(found, values)
        return None
    x = as_rows(found, field=spool.x_field, first_row=spool.n_rows, n_columns=n_columns)
    spool.add(x, values)
    return int(x.shape[1])


def _choose(value: dict[str, Any], wanted: Wanted) -> Columns:
    return columns.choose(list(value), wanted)


def _vector(value: dict[str, Any], chosen: Columns) -> object:
    if chosen.text is not None:
        return value.get(chosen.text)
    if not chosen.is_family:
        return value.get(chosen.embedding[0])
    return [value.get(name) for name in chosen.embedding]


def _object(line: bytes, row: int) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        reason = _reason(error.msg, line[error.pos : error.pos + 9])
        raise BadInput(
            "invalid_json",
            f"Row {row} is not JSON: character {error.colno}: {reason}.",
            field=FIELD,
            row=row,
            malformed=True,
        ) from None
    if not isinstance(value, dict):
        raise BadInput(
            "invalid_json",
            f"Row {row} is no object: each line is like "
            '{"embedding": [0.1, 0.2], "label": "cat"}.',
            field=FIELD,
            row=row,
        )
    return value


def _reason(message: str, found: bytes) -> str:
    if found.lstrip(b"-").lower().startswith((b"nan", b"inf")):
        return "NaN and Infinity are not JSON; leave such rows out"
    if "depth" in message:
        return "lists and objects are nested too deeply"
    if "infinity" in message:
        return "this number is too large"
    return message


def _lines(source: Unpacked) -> Iterator[bytes]:
    """The lines with something on them; raises BadInput where one is too long."""
    rest = b""
    is_first = True
    while content := source.read(_READ_BYTES):
        if is_first:
            content, is_first = content.removeprefix(_BOM), False
        *lines, rest = (rest + content).split(b"\n")
        for line in lines:
            if line.strip():
                yield line
        if len(rest) > MAX_LINE_BYTES:
            raise BadInput(
                "line_too_long",
                f"A line has over {MAX_LINE_BYTES:,} bytes: write one object a line, and leave "
                "out what is no embedding.",
                field=FIELD,
                malformed=True,
            )
    if rest.strip():
        yield rest
