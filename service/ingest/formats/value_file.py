"""Read a file with one value per row (labels, splits, ...): .npy, JSON or lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from service.ingest.errors import BadInput
from service.ingest.formats import npy
from service.ingest.limits import MAX_LABEL_BYTES, MAX_LABEL_CHARACTERS
from service.ingest.names.value_columns import names_of_array

_MAX_VALUE_BYTES: Final = 12 * MAX_LABEL_CHARACTERS + 64
"""A character escaped by JSON takes up to 12 bytes; the rest is for quotes and indentation."""

_OTHER_BYTES: Final = 1 << 16
_BOM: Final = b"\xef\xbb\xbf"

Values = Sequence[object] | NDArray[Any]


def read(path: Path, *, field: str, n_rows: int) -> Values:
    """The values: an .npy of names or numbers (n,), a JSON list, or a text with one per line.

    Raises BadInput naming `field`; a file far too large for `n_rows` values is not read.
    """
    size = path.stat().st_size
    if size > MAX_LABEL_BYTES:
        raise BadInput(
            "too_large", f"{field} takes more than {MAX_LABEL_BYTES >> 20} MiB.", field=field
        )
    with path.open("rb") as file:
        if file.read(len(npy.MAGIC)) == npy.MAGIC:
            file.seek(0)
            return _from_npy(file, field, n_rows)
    if size > _OTHER_BYTES + n_rows * _MAX_VALUE_BYTES:
        raise BadInput(
            "length_mismatch",
            f"{field} takes {size:,} bytes, far more than {n_rows:,} names of at most "
            f"{MAX_LABEL_CHARACTERS} characters: each row needs one.",
            field=field,
        )
    content = path.read_bytes().removeprefix(_BOM)
    if content.lstrip()[:1] == b"[":
        return _from_json(content, field)
    if content.lstrip()[:1] == b"{" and _is_json(content):
        raise BadInput(
            "invalid_json",
            f"{field} is a JSON object: send a list with one value per row.",
            field=field,
        )
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise BadInput(
            "not_utf8",
            f"{field} is neither an .npy nor UTF-8 text: send an .npy, a JSON list, or one value "
            "per line.",
            field=field,
            malformed=True,
        ) from error
    return lines


def _is_json(content: bytes) -> bool:
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return True


def _from_npy(file: Any, field: str, n_rows: int) -> Values:
    header = npy.read_header(file, field=field)
    if header.dtype.kind not in "iufbUM" or len(header.shape) != 1:
        raise BadInput(
            "npy_dtype",
            f"{field} holds {header.dtype.name} of shape {header.shape}, but must be integers or "
            "strings, one per row.",
            field=field,
        )
    if header.shape[0] != n_rows:
        raise wrong_length(header.shape[0], n_rows, field=field)
    if header.data_bytes > MAX_LABEL_BYTES:
        raise BadInput(
            "too_large",
            f"{field} claims {header.data_bytes:,} bytes; the limit is {MAX_LABEL_BYTES:,}.",
            field=field,
        )
    parts: list[Any] = []
    start = 0
    for block in npy.blocks(file, header, field=field):
        if header.dtype.kind == "U":
            parts += npy.strings(block, field=field, first_row=start)
        else:
            parts.append(block)
        start += len(block)
    return parts if header.dtype.kind == "U" else np.concatenate(parts)


def _from_json(content: bytes, field: str) -> Values:
    try:
        values = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(
            "invalid_json",
            f"{field} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}.",
            field=field,
            malformed=True,
        ) from error
    if not isinstance(values, list):
        raise BadInput("invalid_json", f"{field} must be a JSON list.", field=field)
    return values


def slice_names(values: Values, start: int, stop: int) -> Any:
    """The values of rows `start` to `stop`, as a Spool takes them."""
    part = values[start:stop]
    return names_of_array(part) if isinstance(part, np.ndarray) else part


def wrong_length(n_values: int, n_rows: int, *, field: str) -> BadInput:
    """The error of a file whose number of values is not that of the rows."""
    return BadInput(
        "length_mismatch",
        f"{field} has {n_values:,} values, but there are {n_rows:,} rows: each row needs one.",
        field=field,
    )
