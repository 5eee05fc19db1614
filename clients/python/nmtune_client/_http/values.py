"""What the server's answers are read into: dataclasses that ignore what they do not know."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

Json = Mapping[str, Any]


T = TypeVar("T")


def known_in(cls: type[Any], data: object, /, **converted: object) -> dict[str, Any]:
    """Arguments for `cls` out of a JSON object: what `cls` knows, `converted` first, the rest left.

    A newer server may send more than this client knows; a field that is required and missing, or
    an answer that is no object, raises ValueError (the caller makes it a `BadResponseError`).
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"expected an object for {cls.__name__}, got {type(data).__name__}")
    names = {spec.name for spec in fields(cls)}
    arguments: dict[str, Any] = {name: data[name] for name in names & data.keys()}
    arguments.update(converted)
    if "raw" in names:
        arguments["raw"] = data
    return arguments


def build(cls: type[T], arguments: dict[str, Any]) -> T:
    """Make a value; ValueError if a required argument is missing."""
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ValueError(str(error).replace("__init__()", "answer")) from error


def time_of(data: object, name: str) -> datetime | None:
    """Read a member that is a time; None if it is missing."""
    value = data.get(name) if isinstance(data, Mapping) else None
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def member(data: object, name: str) -> Any:
    """Read a member of what should be an object; None if it is missing."""
    return data.get(name) if isinstance(data, Mapping) else None


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a listing; `next_cursor` is None on the last."""

    items: tuple[T, ...]
    next_cursor: str | None
