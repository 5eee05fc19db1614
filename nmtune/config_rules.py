"""Rules for the values of a config; each can state itself in words."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

import numpy as np

_LONGEST_SHOWN = 40
_LARGEST_SHOWN = 10**15


class Rule(Protocol):
    """What a value may be; `str(rule)` says so in words."""

    def accept(self, value: object) -> object:
        """The value as a plain Python object; ValueError states the rule and the value."""


@dataclass(frozen=True)
class Number:
    """A number from low to high; never NaN, infinite or a bool."""

    low: float
    high: float
    optional: bool = False

    def __str__(self) -> str:
        words = f"a number from {self.low:g} to {self.high:g}"
        return f"{words}, or nothing" if self.optional else words

    def accept(self, value: object) -> float | None:
        if value is None and self.optional:
            return None
        # The comparison comes before float(): an int may be too large for a float.
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise _refusal(self, value)
        if not self.low <= value <= self.high:
            raise _refusal(self, value)
        return float(value)


@dataclass(frozen=True)
class Whole:
    """A whole number from low to high; never a bool or a float."""

    low: int
    high: int
    optional: bool = False

    def __str__(self) -> str:
        words = f"a whole number from {self.low} to {self.high}"
        return f"{words}, or nothing" if self.optional else words

    def accept(self, value: object) -> int | None:
        if value is None and self.optional:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise _refusal(self, value)
        if not self.low <= value <= self.high:
            raise _refusal(self, value)
        return int(value)


@dataclass(frozen=True)
class Flag:
    """True or false; no other truthy value."""

    def __str__(self) -> str:
        return "true or false"

    def accept(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise _refusal(self, value)


@dataclass(frozen=True, init=False)
class OneOf:
    """One of some words."""

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def __str__(self) -> str:
        return "one of " + ", ".join(map(repr, self.words))

    def accept(self, value: object) -> str:
        if isinstance(value, str) and value in self.words:
            return value
        raise _refusal(self, value)


def _refusal(rule: Rule, value: object) -> ValueError:
    hint = ""
    if isinstance(rule, OneOf) and isinstance(value, str):
        close = get_close_matches(value[:_LONGEST_SHOWN], rule.words, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
    return ValueError(f"must be {rule}, got {_shown(value)}{hint}")


def _shown(value: object) -> str:
    """A value for an error message, never long."""
    if isinstance(value, str):
        cut = value[:_LONGEST_SHOWN]
        return repr(cut) if cut == value else f"{cut!r}... ({len(value)} characters)"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST_SHOWN:
        return "a far larger whole number" if value > 0 else "a far smaller whole number"
    if value is None:
        return "nothing"
    if isinstance(value, (bool, int, float)):
        return repr(value)
    return f"a {type(value).__name__}"
