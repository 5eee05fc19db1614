"""Parse the JSON body of a prediction fast, straight into an array.

simdjson writes the numbers into a buffer without a Python object for each, in a third of orjson's
and numpy's time for many rows. It takes only what is clearly right. Everything else, wrong or just
unusual, is left to the careful parser, which says what is wrong and where.
"""

import threading
from typing import Any, Final, NamedTuple

import numpy as np
import simdjson
from numpy.typing import NDArray

from service.http.fields import MAX_REFERENCE_CHARACTERS
from service.ingest.limits import MAX_COLUMNS
from service.ingest.numbers import is_finite
from service.predict.options import OPTIONS

_NEEDED: Final = frozenset({"head", "embeddings"})
_READ: Final = OPTIONS - {"class_shares"}
"""The options that are one value; an object is left to the careful parser."""
_KNOWN: Final = _NEEDED | _READ
_KEPT_BYTES: Final = 64 * 1024
"""A parser keeps ten times its largest body in memory, so larger bodies get their own parser."""

_parsers = threading.local()


class Parsed(NamedTuple):
    """A body's fields: finite rows, and the options as they came."""

    reference: str
    x: NDArray[np.float32]
    options: dict[str, Any]


def parse(body: bytes, *, max_rows: int) -> Parsed | None:
    """The body; None if it is wrong, too large, or in a form for the careful parser."""
    try:
        return _parse(_parser(body), body, max_rows)
    except (ValueError, TypeError, KeyError, RuntimeError, UnicodeError):
        return None


def _parse(parser: simdjson.Parser, body: bytes, max_rows: int) -> Parsed | None:
    if not body.startswith(b"{"):  # white space or a mark first, or not an object
        return None
    document: Any = parser.parse(body)
    keys = list(document.keys())
    names = set(keys)
    if len(keys) != len(names) or not _NEEDED <= names <= _KNOWN:
        return None
    reference, rows = document["head"], document["embeddings"]
    if not isinstance(rows, simdjson.Array):
        return None
    if type(reference) is not str or len(reference) > MAX_REFERENCE_CHARACTERS:
        return None
    lengths = {len(row) for row in rows}  # type: ignore[arg-type]
    n_rows = len(rows)
    if len(lengths) != 1 or n_rows > max_rows or not _has_lists(body, n_rows + 1):
        return None
    (n_columns,) = lengths
    if not 0 < n_columns <= MAX_COLUMNS:
        return None
    values = np.frombuffer(rows.as_buffer(of_type="d"), np.float64)
    with np.errstate(over="ignore"):
        x = values.astype(np.float32).reshape(n_rows, n_columns)
    options = {name: document[name] for name in names & _READ} if len(names) > 2 else {}
    return Parsed(reference, x, options) if is_finite(x) else None


def _has_lists(body: bytes, expected: int) -> bool:
    """Whether exactly so many lists begin: deeper ones would flatten to the same numbers."""
    at = -1
    for _ in range(expected):
        at = body.find(b"[", at + 1)
    return body.find(b"[", at + 1) == -1


def _parser(body: bytes) -> simdjson.Parser:
    if len(body) > _KEPT_BYTES:
        return simdjson.Parser()
    parser: simdjson.Parser | None = getattr(_parsers, "parser", None)
    if parser is None:
        parser = _parsers.parser = simdjson.Parser()
    return parser
