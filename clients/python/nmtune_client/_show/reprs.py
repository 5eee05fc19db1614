"""How this package's values show themselves: in a line or a few, never as all that they hold."""

import itertools
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Generic, TypeVar

from nmtune_client._show import plain

T = TypeVar("T")

_MOST_CHARACTERS = 800
_ROWS_SHOWN = 20

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
_short.maxdict = _short.maxlist = _short.maxtuple = 5
_short.maxlevel = 2


def short(value: object) -> str:
    """The repr of one value, cut where it is long."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return _short.repr(dict(value) if isinstance(value, Mapping) else value)


class Shown:
    """A dataclass whose repr leaves out what is empty or hidden, and is short."""

    def __repr__(self) -> str:
        found = [(one.name, getattr(self, one.name)) for one in fields(self) if one.repr]  # type: ignore[arg-type]  # a dataclass
        parts = [f"{name}={short(value)}" for name, value in found if not _is_empty(value)]
        text = f"{type(self).__name__}({', '.join(parts)})"
        return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 4]}...)"


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, tuple | Mapping) and not value)


class OfClient:
    """A part of a client, which shows whose it is."""

    def __repr__(self) -> str:
        client = self._sender  # type: ignore[attr-defined]  # of either colour
        return f"{type(self).__name__}({client!r})"


class Table:
    """What is read as a text of several lines, also by a notebook that shows a cell's value."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self) if cycle else str(self))


class Listing(Generic[T], Iterator[T]):
    """Items that are fetched page by page as they are reached; shown, those at its beginning."""

    def __init__(
        self,
        items: Iterator[T],
        *,
        header: tuple[str, ...],
        row: Callable[[T], tuple[str, ...]],
    ) -> None:
        self._items = items
        self._header = header
        self._row = row

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return next(self._items)

    def __repr__(self) -> str:
        """A table of the items that come next; it takes none away."""
        coming = list(itertools.islice(self._items, _ROWS_SHOWN + 1))
        self._items = itertools.chain(coming, self._items)
        if not coming:
            return "(none)"
        text = plain.columns([self._header, *map(self._row, coming[:_ROWS_SHOWN])])
        return text if len(coming) <= _ROWS_SHOWN else f"{text}\n..."
