"""Parts of a report's JSON as frozen dataclasses, whatever version of the server wrote it."""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import (
    Any,
    Self,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from nmtune_client._show.reprs import Shown

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a frozen dataclass, equal to what has the same JSON."""
    return dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)


@record
class Record(Shown, Mapping[str, Any]):
    """A part of a report: its attributes have types, and as a mapping it is the JSON itself.

    An attribute that the report lacks is None, or empty; a member that this client does not know
    is in the mapping only. `raw` is the JSON.
    """

    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what the class knows."""
        found = {
            name: read(data[member])
            for name, (member, read) in _readers(cls).items()
            if data.get(member) is not None
        }
        return cls(raw=data, **{name: value for name, value in found.items() if value is not None})

    def __getitem__(self, name: str) -> Any:
        return self.raw[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)


@cache
def _readers(cls: type[Record]) -> Mapping[str, Any]:
    """By attribute, the member of the JSON and what reads it; None from it: the default."""
    hints = get_type_hints(cls)
    return {
        one.name: (one.metadata.get("member", one.name), _reader(hints[one.name]))
        for one in fields(cls)
        if one.name != "raw"
    }


def _reader(hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _reader(next(one for one in arguments if one is not types.NoneType))
    if origin is tuple:
        of_item = _reader(arguments[0])
        return lambda data: tuple(map(of_item, data)) if isinstance(data, list | tuple) else None
    if origin is not None and issubclass(origin, Mapping):
        of_value = _reader(arguments[1])
        return lambda data: (
            {name: of_value(value) for name, value in data.items()}
            if isinstance(data, Mapping)
            else None
        )
    if isinstance(hint, type) and issubclass(hint, Record):
        return lambda data: hint.from_json(data) if isinstance(data, Mapping) else None
    return lambda data: data
