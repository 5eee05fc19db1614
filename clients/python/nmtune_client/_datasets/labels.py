"""What stands beside the rows: labels and splits as names, by the rule that the server has too."""

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from nmtune_client._names import OOD_PREFIX

# Beyond it neighbouring whole numbers are the same float.
_MAX_WHOLE_FLOAT = 1 << 53
_MAX_DIGITS = 200
_PLAIN = ("train", "validation", "test")
_OTHER_NAMES = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}
_NEEDLESS_ZEROS = re.compile(r"(\.[0-9]*?)0+(?=$|[+-])")


def label_list(values: object, *, n_rows: int, name: str = "labels") -> list[str]:
    """`values` as n strings: whole numbers, Booleans, dates and times are written out.

    ValueError names the row of what is missing (None, NaN, NA, NaT) or has no one way of being
    written.
    """
    rows = _rows(values, name, n_rows)
    return [_name_of(value, f"{name}, row {row}") for row, value in enumerate(rows)]


def split_list(values: object, *, n_rows: int) -> list[str]:
    """`values` as n split names: train, validation (val, valid, dev), test or ood/<domain>."""
    found: dict[str, str] = {}
    splits = []
    for row, name in enumerate(label_list(values, n_rows=n_rows, name="splits")):
        if name not in found:
            split = split_of(name)
            if split is None:
                raise ValueError(
                    f"splits, row {row}: {name!r} is none of train, validation, test, ood/<domain>"
                )
            found[name] = split
        splits.append(found[name])
    return splits


def split_of(name: str) -> str | None:
    """The split that `name` means, whatever its case and the spaces around it; None if none."""
    stripped = name.strip()
    low = stripped.casefold()
    plain = _OTHER_NAMES.get(low, low)
    if plain in _PLAIN:
        return plain
    domain = stripped[len(OOD_PREFIX) :]
    if not low.startswith(OOD_PREFIX) or not domain.strip():
        return None
    is_text = all(unicodedata.category(one) not in ("Cc", "Cs") for one in domain)
    return f"{OOD_PREFIX}{domain}" if is_text else None


def _name_of(value: Any, at: str) -> str:
    """The value as a name; ValueError begins with `at`."""
    if isinstance(value, np.datetime64):
        value = None if np.isnat(value) else _iso(str(np.datetime_as_string(value)))
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return str(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType") or _is_nan(value):
        raise ValueError(f"{at}: it is missing ({value!r}); give every row one, or leave it out")
    if isinstance(value, int):  # a Boolean is one
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_WHOLE_FLOAT:
        return str(int(value))
    if isinstance(value, Decimal) and _is_whole(value):
        return str(int(value))
    if isinstance(value, dt.datetime):
        return _iso((value.astimezone(dt.UTC) if value.tzinfo else value).isoformat())
    if isinstance(value, dt.date | dt.time):
        return _iso(value.isoformat())
    if isinstance(value, bytes):
        raise ValueError(f"{at}: {value!r} is bytes, whose encoding is not known: decode them")
    raise ValueError(f"{at}: {value!r} is neither a string nor a whole number, a date or a time")


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | Decimal) and value != value


def _is_whole(value: Decimal) -> bool:
    is_short = value.is_finite() and value.adjusted() < _MAX_DIGITS
    return is_short and value == value.to_integral_value()


def _iso(text: str) -> str:
    return _NEEDLESS_ZEROS.sub(lambda match: match[1].rstrip("."), text)


def _rows(values: Any, name: str, n_rows: int) -> Sequence[Any]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a sequence with one value a row")
    # pyarrow, pandas and polars give Python's own values, with what is missing as itself
    listed = getattr(values, "to_pylist", None) or getattr(values, "to_list", None)
    if listed is not None:
        rows = list(listed())
    elif hasattr(values, "__array__"):
        array = np.asarray(values)
        rows = list(array) if array.dtype.kind in "mM" else array.tolist()
    else:
        rows = list(values)
    if len(rows) != n_rows:
        raise ValueError(f"there are {len(rows)} {name} for {n_rows} rows of embeddings")
    return rows
