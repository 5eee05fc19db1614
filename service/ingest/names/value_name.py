"""Turn a row's label, split, domain, group or id into a name: one rule for every format and route.

A name is a string. Whole numbers become their digits, however they came (7, 7.0, Decimal(7)),
Booleans True and False, dates and times ISO 8601. Missing values, and those that can be written in
more than one way, are refused with their row. A text has a rule of its own, `check_text`.
"""

import datetime as dt
import math
import re
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.errors import BadInput

MAX_WHOLE_FLOAT: Final = 1 << 53
"""Beyond it several whole numbers are the same float, so the meant one is unknown."""

MAX_TEXT_CHARACTERS: Final = 100_000

_MAX_DIGITS: Final = 200
_TOO_LONG: Final = 10**_MAX_DIGITS
_NEEDLESS_ZEROS: Final = re.compile(r"(\.[0-9]*?)0+(?=$|[+-])")
_KINDS: Final[dict[type[Any], str]] = {list: "a list", tuple: "a list", dict: "an object"}


def name_of(value: object, *, part: str, field: str, row: int) -> str:
    """The value at `row` as a name; raises BadInput, which never repeats the value.

    part: its meaning (label, split, domain, group, id); field: the sender's name of the column.
    """
    if type(value) is str:
        return value
    name = _written(value)
    if name is None:
        raise BadInput(
            f"invalid_{part}",
            f"{place(part, field, row)} {_wrong(value, part)}",
            field=field,
            row=row,
        )
    return name


def check_text(text: object, *, field: str, row: int) -> str:
    """Return `text`, a string with something in it; raises BadInput, which never repeats it."""
    if not isinstance(text, str):
        wrong = "is missing" if text is None else "is not a string"
    elif not text.strip():
        wrong = "is empty: leave the row out"
    elif len(text) > MAX_TEXT_CHARACTERS:
        wrong = f"has {len(text):,} characters; the limit is {MAX_TEXT_CHARACTERS:,}"
    else:
        return text
    raise BadInput("invalid_texts", f"{place('text', field, row)} {wrong}.", field=field, row=row)


def place(part: str, field: str, row: int | None) -> str:
    """The beginning of a sentence about one value; it names the column if that has another name.

    Without a row it is about the name `field` itself.
    """
    if row is None:
        return f"The {part} in the name {field[:80]!r}"
    of = "" if field in (part, f"{part}s", part.replace(" ", "_") + "s") else f" of {field[:80]}"
    return f"The {part} at row {row}{of}"


def _written(value: object) -> str | None:
    """The name, None if there is none. Missing values (NaN, NaT) do not equal themselves."""
    match value:
        case bool() | int():
            return str(value) if abs(value) < _TOO_LONG else None
        case float():
            is_whole = value.is_integer() and abs(value) <= MAX_WHOLE_FLOAT
            return str(int(value)) if is_whole else None
        case Decimal():
            is_short = value.is_finite() and value.adjusted() < _MAX_DIGITS
            is_whole = is_short and value == value.to_integral_value()
            return str(int(value)) if is_whole else None
        case dt.datetime():
            utc = value.astimezone(dt.UTC) if value.tzinfo is not None else value
            return iso(utc.isoformat()) if value == value else None
        case dt.date() | dt.time():
            return iso(value.isoformat())
    return None


def iso(text: str) -> str:
    """A date or time as ISO 8601, without trailing zeros in its fraction: units differ in them."""
    return _NEEDLESS_ZEROS.sub(lambda match: match[1].rstrip("."), text)


def iso_times(times: NDArray[Any], *, zone: str = "") -> list[str | None]:
    """numpy's dates and times (n,) as ISO 8601, None for NaT; `zone` follows each."""
    texts: list[str] = np.datetime_as_string(times).tolist()
    return [None if text == "NaT" else iso(text) + zone for text in texts]


def a(part: str) -> str:
    """The part with its article: a label, an id."""
    return f"an {part}" if part == "id" else f"a {part}"


def _wrong(value: object, part: str) -> str:
    if value is None or value != value:
        return "is missing: give every row one, or leave the row out."
    if isinstance(value, bytes):
        return "is bytes of an unknown encoding: decode them to strings."
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return "is a whole number too large for a float to hold exactly: send it as a string."
    if isinstance(value, (float, Decimal)):
        return f"is a fraction or infinite: {a(part)} must be a string or a whole number."
    if isinstance(value, int):
        return f"is a number of more than {_MAX_DIGITS} digits."
    kind = _KINDS.get(type(value), f"a {type(value).__name__}")
    return f"is {kind}: {a(part)} must be a string or a whole number."
