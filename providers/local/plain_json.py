"""Read JSON that a stranger wrote: an object, without repeated names, not too deep."""

import json
from typing import Any

from providers.errors import InvalidEncoder


def read_object(data: bytes, *, file: str) -> dict[str, Any]:
    """The object that `data` is. Raises InvalidEncoder, which names the file."""
    value = read(data, file=file)
    if not isinstance(value, dict):
        raise InvalidEncoder(file, "is not a JSON object.")
    return value


def read(data: bytes, *, file: str) -> Any:
    """The value that `data` is. Raises InvalidEncoder, which names the file."""
    try:
        return json.loads(data, object_pairs_hook=_unrepeated)
    except _RepeatedNameError as error:
        raise InvalidEncoder(file, f"has the name {error.args[0]!r} twice.") from None
    except (ValueError, RecursionError):
        raise InvalidEncoder(file, "is not JSON that can be read: save it again.") from None


class _RepeatedNameError(ValueError):
    """A name that one object has twice."""


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _RepeatedNameError(name[:80])
        found[name] = value
    return found
