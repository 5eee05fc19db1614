"""The home of the fast way from a JSON body of a prediction to its array.

simdjson writes the numbers into a buffer without a Python object for each: a third of orjson's and
numpy's time for many rows. It only takes what is plainly right. Whatever else comes, wrong or just
unusual, is left to the careful way, which says what is wrong, where.
"""

import threading
from typing import Any, Final, NamedTuple

import numpy as np
import simdjson
from numpy.typing import NDArray

from service.ingest.limits import MAX_COLUMNS
from service.prediction_options import OPTIONS

_KNOWN: Final = frozenset({"head", "embeddings"}) | OPTIONS
_KEPT_BYTES: Final = 64 * 1024
"""A parser keeps ten times its largest body in memory, so larger ones get a parser of their own."""

_parsers = threading.local()


class Parsed(NamedTuple):
    """A body's fields: finite rows, and the options as they came."""

    head: str
    x: NDArray[np.float32]
    options: dict[str, Any]


def parse(body: bytes, *, max_rows: int) -> Parsed | None:
    """The body, or None: it is wrong, or too large, or has a form that is not for this way."""
    try:
        return _parse(_parser(body), body, max_rows)
    except (ValueError, TypeError, KeyError, RuntimeError, UnicodeError):
        return None


def _parse(parser: simdjson.Parser, body: bytes, max_rows: int) -> Parsed | None:
    if not body.startswith(b"{"):  # white space or a mark before it, or no object
        return None
    document: Any = parser.parse(body)
    keys = list(document.keys())
    names = set(keys)
    if len(keys) != len(names) or not {"head", "embeddings"} <= names <= _KNOWN:
        return None
    head: Any = document["head"]
    if not isinstance(document["embeddings"], simdjson.Array):
        return None
    rows: Any = document["embeddings"]
    if type(head) is not str:
        return None
    options = {name: document[name] for name in names & OPTIONS}
    n_rows = len(rows)
    # Deeper lists would flatten to the same numbers: there must be one list for each row.
    if not 0 < n_rows <= max_rows or body.count(b"[") != n_rows + 1:
        return None
    first: Any = rows[0]
    n_columns = len(first)
    if not 0 < n_columns <= MAX_COLUMNS or any(len(row) != n_columns for row in rows):
        return None
    values = np.frombuffer(rows.as_buffer(of_type="d"), np.float64)
    with np.errstate(over="ignore"):
        x = values.astype(np.float32).reshape(n_rows, n_columns)
    return Parsed(head, x, options) if np.isfinite(np.einsum("ij,ij->", x, x)) else None


def _parser(body: bytes) -> simdjson.Parser:
    if len(body) > _KEPT_BYTES:
        return simdjson.Parser()
    parser: simdjson.Parser | None = getattr(_parsers, "parser", None)
    if parser is None:
        parser = _parsers.parser = simdjson.Parser()
    return parser
