"""Class names that Hugging Face's datasets keep in the metadata of a Parquet file's schema.

A column with the feature `ClassLabel` holds indices into its names; -1 means no label.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson
import pyarrow as pa

_KEY: Final = b"huggingface"
_NO_LABEL: Final = -1


def class_names(schema: pa.Schema) -> dict[str, list[object]]:
    """The names of each column of class labels; {} for files from other writers."""
    try:
        features = orjson.loads((schema.metadata or {})[_KEY])["info"]["features"]
        found = {name: _names(feature) for name, feature in features.items()}
    except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError):
        return {}
    return {
        name: names
        for name, names in found.items()
        if names and name in schema.names and _is_number(schema.field(name).type)
    }


def is_index(value: Any, names: Sequence[object]) -> bool:
    """Whether `value` stands for one of `names`, or for no label."""
    if value is None or value != value:  # NaN, as pandas writes a missing integer
        return True
    return float(value).is_integer() and _NO_LABEL <= value < len(names)


def named(value: Any, names: Sequence[object]) -> object:
    """The class name that `value` stands for, None for no label."""
    is_none = value is None or value != value or value == _NO_LABEL
    return None if is_none else names[int(value)]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _names(feature: Any) -> list[object] | None:
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    return names if isinstance(names, list) else None
