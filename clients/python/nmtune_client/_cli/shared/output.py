"""Write data on stdout, and messages for people on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from nmtune_client._show import plain

T = TypeVar("T")


def say(text: str) -> None:
    """Write a line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_json(data: object) -> None:
    """One JSON document on stdout."""
    print(json.dumps(data, ensure_ascii=False, indent=2))


def print_list(
    items: Iterable[T],
    *,
    as_json: Callable[[T], Mapping[str, Any]] | None,
    header: Sequence[str],
    row: Callable[[T], Sequence[str]],
    none: str,
) -> None:
    """A listing: a JSON list if `as_json` is given, else `header` and a line for each item."""
    if as_json is not None:
        print_json([as_json(item) for item in items])
    elif rows := [row(item) for item in items]:
        print(plain.columns([header, *rows]))
    else:
        say(none)
