"""What a key may do: four scopes, each of which holds those before it."""

from collections.abc import Iterable, Sequence
from typing import Final

from store.errors import InvalidScope
from store.names import check_name

SCOPES: Final = ("predict", "read", "write", "admin")
"""`predict`: predictions, and what heads there are. `read`: all that is stored. `write`: datasets,
jobs, heads, aliases. `admin`: keys."""

MAX_HEADS: Final = 100
"""The most heads that one key can be narrowed to."""


def held(scopes: Iterable[str]) -> frozenset[str]:
    """These scopes with all those that they hold."""
    most = max((SCOPES.index(scope) for scope in scopes), default=-1)
    return frozenset(SCOPES[: most + 1])


def check(scopes: Sequence[str], heads: Sequence[str] | None) -> None:
    """Raise InvalidScope unless a key may have these scopes, narrowed to these heads."""
    if not scopes:
        raise InvalidScope(f"A key needs a scope: {', '.join(SCOPES)}.")
    for scope in scopes:
        if scope not in SCOPES:
            raise InvalidScope(
                f"There is no scope {scope[:40]!r}: the scopes are {', '.join(SCOPES)}, and each "
                "holds those before it."
            )
    if heads is None:
        return
    if set(scopes) != {"predict"}:
        raise InvalidScope(
            "Only a key of the scope predict alone can be narrowed to heads. Leave out heads, or "
            "the other scopes."
        )
    if not 1 <= len(heads) <= MAX_HEADS:
        raise InvalidScope(
            f"Name 1 to {MAX_HEADS} heads, or leave heads out and the key is good for all."
        )
    for head in heads:
        check_name("head", head)
