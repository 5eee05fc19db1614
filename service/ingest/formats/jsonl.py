"""Read rows that are JSON objects, each with a list of numbers or a text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from service.ingest.errors import FIELD, BadInput
from service.ingest.formats.json_records import Records, check_row
from service.ingest.formats.spool import Spool
from service.ingest.formats.unpacked import Unpacked
from service.ingest.formats.vectors import as_rows
from service.ingest.limits import BLOCK_BYTES, MAX_COLUMNS
from service.ingest.names import columns
from service.ingest.names.columns import Columns, Wanted
from service.ingest.names.value_columns import Names


def read(source: Unpacked, *, wanted: Wanted, folder: Path, max_bytes: int, size: int) -> None:
    """Spool the rows of `source`, a file of `size` bytes, to `folder`; raises BadInput.

    The first object decides which fields count. A later field that would have counted is refused:
    dropping the splits of a file silently would mix its rows.
    """
    spool: Spool | None = None
    chosen: Columns | None = None
    found: list[Any] = []
    single: list[tuple[str, str]] = []
    singles: dict[str, list[Any]] = {}
    n_columns: int | None = None
    n_bytes = 0
    known: set[str] = set()
    late: list[str] = []
    for row, (value, size_of_row) in enumerate(_rows(source)):
        if chosen is None or spool is None:
            check_row(value)
            chosen = columns.choose(list(value), wanted)
            single = list(chosen.single.items())
            singles = {part: [] for part, _ in single}
            spool = Spool.of(chosen, folder, max_bytes=max_bytes, file_size=size)
            known.update(value)
        for name in sorted(value.keys() - known):
            warning = columns.check_late(name, row=row, chosen=chosen, wanted=wanted)
            if warning is not None:
                spool.warn(warning)
            if len(known) < MAX_COLUMNS:  # what is known only saves looking again
                known.add(name)
                late += [name] if warning is None else []
        found.append(_vector(value, chosen))
        for part, name in single:
            singles[part].append(value.get(name))
        n_bytes += size_of_row
        if n_bytes > BLOCK_BYTES:
            n_columns = _add(spool, chosen, found, singles, n_columns)
            found, singles, n_bytes = [], {part: [] for part in singles}, 0
    if chosen is None or spool is None:
        raise BadInput("no_rows", "The file has no rows.", field=FIELD)
    if late:
        spool.warn(columns.late_ignored(late))
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


def _rows(source: Unpacked) -> Iterator[tuple[dict[str, Any], int]]:
    """Each object and how many bytes it takes; raises BadInput."""
    records = Records(source)
    row, content = 0, b""
    try:
        for content in records:
            yield _object(content, row), len(content)
            row += 1
    except BadInput as error:
        is_whole = content.rstrip().endswith(b"}")  # a line that is an object, though a broken one
        raise error if row or is_whole else records.explained(error) from None


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
            f"Row {row} is not an object: each line must be like "
            '{"embedding": [0.1, 0.2], "label": "cat"}.',
            field=FIELD,
            row=row,
        )
    return value


def _reason(message: str, found: bytes) -> str:
    if found.lstrip(b"-").lower().startswith((b"nan", b"inf")):
        return "NaN and Infinity are not JSON; leave out these rows"
    if "depth" in message:
        return "lists and objects are nested too deeply"
    if "infinity" in message:
        return "this number is too large"
    return message
