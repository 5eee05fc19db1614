"""Read the objects of a JSON file one after the other: one per line, or the elements of a list.

A file is never parsed as a whole: a list is cut where its elements end, and only their bytes are
kept. Other ways of writing a table as JSON are recognised by the start of the file, and refused
with advice what to write instead.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from service.ingest.errors import FIELD, BadInput
from service.ingest.formats.unpacked import Unpacked

MAX_LINE_BYTES: Final = 4 << 20
"""The longest object; 16,384 numbers of 24 characters take a tenth of this."""

_READ_BYTES: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r\n"
_SPACES: Final = re.compile(rb"[ \t\r\n]*")
_TOKEN: Final = re.compile(rb'[\[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*("?)', re.DOTALL)
_LINES: Final = 'df.to_json("rows.jsonl", orient="records", lines=True)'
_KEY: Final = rb'\s*\{\s*"[^"\\]*(?:\\.[^"\\]*)*"\s*:\s*'
_TABLE: Final = 'a table with its schema (pandas orient="table")'
_SPLIT: Final = 'one object of columns, index and data (pandas orient="split")'
_BODY: Final = "the JSON body of POST /datasets, to be sent as application/json"
_OBJECTS: Final = 'one object of objects (pandas orient="columns" or orient="index")'
_LISTS: Final = "one object with a list for each column"
_OVER_LINES: Final = "objects over several lines"
_BEGINNINGS: Final = (
    (re.compile(rb'\s*\{\s*"schema"\s*:\s*\{'), _TABLE),
    (re.compile(rb'\s*\{\s*"(columns|index|data)"\s*:\s*\['), _SPLIT),
    (re.compile(rb'\s*\{\s*"embeddings"\s*:\s*(\[\s*\[|\{)'), _BODY),
    (re.compile(_KEY + rb"\{"), _OBJECTS),
    (re.compile(_KEY + rb'\[\s*[\[{"]'), _LISTS),
    (re.compile(rb"\s*\{\s*\n"), _OVER_LINES),
)
"""How files begin whose first line is not an object."""


class Records:
    """The objects of `source` as bytes, in their order."""

    def __init__(self, source: Unpacked) -> None:
        self._source = source
        content = source.read(_READ_BYTES).removeprefix(_BOM)
        while not content.strip(_SPACE) and (more := source.read(_READ_BYTES)):
            content = more
        self._start = content

    @property
    def is_list(self) -> bool:
        """Whether the file is one list."""
        return self._start.lstrip(_SPACE).startswith(b"[")

    def __iter__(self) -> Iterator[bytes]:
        """The objects; raises BadInput where one is too long, or the list is broken."""
        return self._elements() if self.is_list else self._lines()

    def explained(self, error: BadInput) -> BadInput:
        """The error for the first line: what the file seems to be, else `error` itself."""
        found = (what for beginning, what in _BEGINNINGS if beginning.match(self._start))
        what = None if self.is_list else next(found, None)
        return error if what is None else _other_form(what)

    def _lines(self) -> Iterator[bytes]:
        content, rest = self._start, b""
        while content:
            *lines, rest = (rest + content).split(b"\n")
            for line in lines:
                if len(line) > MAX_LINE_BYTES:
                    raise _too_long("A line")
                if line.strip():
                    yield line
            if len(rest) > MAX_LINE_BYTES:
                raise _too_long("A line")
            content = self._source.read(_READ_BYTES)
        if rest.strip():
            yield rest

    def _elements(self) -> Iterator[bytes]:
        content, at = self._start, self._start.index(b"[") + 1
        n_found, is_due = 0, True
        while True:
            at = _end_of_space(content, at)
            begin = content[at : at + 1]
            if not begin:
                content, at = self._more(n_found), 0
            elif begin == b"]" and (n_found == 0 or not is_due):
                self._check_end(content[at + 1 :])
                return
            elif not is_due:
                if begin != b",":
                    raise _broken(n_found, "a comma is missing before it.")
                at, is_due = at + 1, True
            else:
                while (end := _end_of_object(content, at, n_found)) is None:
                    _check_length(len(content) - at, n_found)
                    content, at = content[at:] + self._more(n_found), 0
                _check_length(end - at, n_found)
                yield content[at:end]
                at, n_found, is_due = end, n_found + 1, False

    def _more(self, n_found: int) -> bytes:
        content = self._source.read(_READ_BYTES)
        if not content:
            raise _broken(n_found, "the file ends inside the list. Was it cut off?")
        return content

    def _check_end(self, content: bytes) -> None:
        while content:
            if content.strip(_SPACE):
                raise BadInput(
                    "invalid_json",
                    "There is more text after the end of the list: the file must be one list, or "
                    "one object per line.",
                    field=FIELD,
                    malformed=True,
                )
            content = self._source.read(_READ_BYTES)


def check_row(value: Mapping[str, Any]) -> None:
    """Raise BadInput if an object is a whole table instead of a row."""
    values = list(value.values())
    if {"schema", "data"} <= value.keys():
        what = _TABLE
    elif {"columns", "data"} <= value.keys():
        what = _SPLIT
    elif isinstance(value.get("labels"), list) and "embeddings" in value:
        what = _BODY
    elif values and all(isinstance(one, dict) for one in values):
        what = _OBJECTS
    elif _are_columns(values):
        what = _LISTS
    else:
        return
    raise _other_form(what)


def _are_columns(values: Sequence[Any]) -> bool:
    if not values or not all(isinstance(one, list) for one in values):
        return False
    first = values[0]
    return len(values) > 1 or (len(first) > 0 and isinstance(first[0], list))


def _other_form(what: str) -> BadInput:
    return BadInput(
        "json_form",
        f"The file is {what}, not one object per row: write one per line ({_LINES}), or a list "
        'of them (orient="records").',
        field=FIELD,
    )


def _end_of_space(content: bytes, at: int) -> int:
    found = _SPACES.match(content, at)
    return found.end() if found else at


def _end_of_object(content: bytes, at: int, row: int) -> int | None:
    """Where the object that begins at `at` ends, None if it goes on; raises BadInput."""
    begin = content[at : at + 1]
    if begin != b"{":
        what = "a list of values" if begin == b"[" else "not an object"
        raise BadInput(
            "invalid_json",
            f"Row {row} is {what}: the elements of the list must be like "
            '{"embedding": [0.1, 0.2], "label": "cat"} (pandas orient="records").',
            field=FIELD,
            row=row,
        )
    depth = 0
    for token in _TOKEN.finditer(content, at):
        match token[0][:1]:
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
                if depth == 0:
                    return token.end()
            case _ if not token[1]:  # a string that goes on
                return None
    return None


def _check_length(n_bytes: int, row: int) -> None:
    if n_bytes > MAX_LINE_BYTES:
        raise _too_long(f"Element {row} of the list")


def _broken(row: int, why: str) -> BadInput:
    return BadInput(
        "invalid_json", f"Row {row} is not JSON: {why}", field=FIELD, row=row, malformed=True
    )


def _too_long(what: str) -> BadInput:
    return BadInput(
        "line_too_long",
        f"{what} has more than {MAX_LINE_BYTES:,} bytes: write one object per row, and leave out "
        "what is not the embedding.",
        field=FIELD,
        malformed=True,
    )
