"""How long a provider asks to wait: in headers, in fields of the body, and in words.

This is a hint, not a promise: nonsense is ignored, and the caller has a limit of its own.
"""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

MOST_SECONDS: Final = 31 * 86_400.0
"""A month is as good as forever."""

_EPOCH: Final = 1e9
"""A number of seconds from this on is a moment, not a duration."""
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_NUMBER: Final = r"\d{1,15}(?:\.\d{1,12})?"
_PART: Final = re.compile(
    rf"({_NUMBER})\s*(ms|milli(?:s|sec|second)s?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?"
    r"|d|days?)(?![a-z])",
    re.IGNORECASE,
)
_DURATION: Final = rf"{_PART.pattern}(?:(?:\s|,|and)*{_PART.pattern})*"
_IN_WORDS: Final = re.compile(
    r"(?:retry|retried|try(?: it)?(?: again)?|again|wait(?:ing)?|resets?|available|resume\w*"
    rf"|back|later)\b[^.\d]{{0,40}}?({_DURATION})",
    re.IGNORECASE,
)
_FIELDS: Final = {  # without case, "-" and "_": the unit of a bare number
    "retrydelay": 1.0,
    "retryafter": 1.0,
    "retryafterseconds": 1.0,
    "retryafterms": 0.001,
    "retryinseconds": 1.0,
}
_DEEPEST: Final = 8


def seconds(headers: Mapping[str, str], body: Any, text: str) -> float | None:
    """The seconds that the provider asked for; the longest if it says so in several ways.

    `headers` have names in lower case, `body` is JSON, `text` has all its words. The reset times of
    limits count only if nothing else is stated.
    """
    stated = [
        *_of_headers(headers),
        *_of_fields(body),
        *(_duration(found.group(1)) for found in _IN_WORDS.finditer(text)),
    ]
    asked = [one for one in stated if one is not None]
    found = max(asked) if asked else _of_resets(headers)
    return None if found is None else min(found, MOST_SECONDS)


def _of_headers(headers: Mapping[str, str]) -> Iterator[float | None]:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (milliseconds := _number(headers.get(name, ""))) is not None:
            yield milliseconds / 1000
    if (value := headers.get("retry-after")) is not None:
        yield _moment_or_duration(value, headers)


def _of_fields(body: Any, depth: int = 0) -> Iterator[float | None]:
    """Google's RetryInfo (`"retryDelay": "3s"`) and similar fields, at any depth."""
    if depth > _DEEPEST:
        return
    if isinstance(body, list):
        for one in body[:100]:
            yield from _of_fields(one, depth + 1)
    elif isinstance(body, dict):
        for name, value in list(body.items())[:100]:
            unit = _FIELDS.get(re.sub(r"[-_ ]", "", name).lower())
            if unit is not None and not isinstance(value, bool | None):
                yield _field(value, unit)
            else:
                yield from _of_fields(value, depth + 1)


def _field(value: Any, unit: float) -> float | None:
    if isinstance(value, int | float):
        return _sensible(value * unit)
    if isinstance(value, dict):  # a protobuf Duration
        whole, nanos = value.get("seconds", 0), value.get("nanos", 0)
        number = _number(str(whole))
        return None if number is None else number + (_number(str(nanos)) or 0.0) / 1e9
    text = str(value)
    number = _number(text)
    return _duration(text) if number is None else number * unit


def _of_resets(headers: Mapping[str, str]) -> float | None:
    """`x-ratelimit-reset-requests: 1s` and similar: the last reset of the limits that are spent.

    If no limit is spent, the request was larger than what was left: the first reset.
    """
    spent: list[float] = []
    others: list[float] = []
    for name, value in headers.items():
        if re.search(r"rate-?limit.*reset", name):
            reset = _moment_or_duration(value, headers)
            left = _number(headers.get(name.replace("reset", "remaining"), "0"))
            if reset is not None:
                (others if left else spent).append(reset)
    if spent:
        return max(spent)
    return min(others, default=None)


def _moment_or_duration(value: str, headers: Mapping[str, str]) -> float | None:
    """Seconds from now until a number, a duration, a moment since 1970 or a date."""
    number = _number(value)
    if number is not None:
        for epoch, unit in ((_EPOCH * 1000, 1000.0), (_EPOCH, 1.0)):
            if number >= epoch:
                return _sensible(number / unit - time.time())
        return number
    duration = _duration(value) if re.fullmatch(_DURATION, value.strip(), re.IGNORECASE) else None
    return _until(value, headers) if duration is None else duration


def _until(date: str, headers: Mapping[str, str]) -> float | None:
    """Seconds by the provider's own clock if it states it; a past date is no hint."""
    moment = _timestamp(date)
    now = _timestamp(headers.get("date", ""))
    return None if moment is None else _sensible(moment - (time.time() if now is None else now))


def _timestamp(date: str) -> float | None:
    """The timestamp of an HTTP or ISO 8601 date."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return read(date.strip()).timestamp()
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def _duration(text: str) -> float | None:
    """`3s`, `3.2s`, `1m30s`, `250ms`, `2 minutes and 5 seconds` in seconds."""
    parts = _PART.findall(text)
    if not parts:
        return None
    return sum(float(number) * _UNITS[_unit(word)] for number, word in parts)


def _unit(word: str) -> str:
    word = word.lower()
    return "ms" if word == "ms" or word.startswith("milli") else word[0]


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(_NUMBER, text.strip()) else None


def _sensible(found: float) -> float | None:
    """The number, or None if it is negative, infinite or NaN."""
    return found if 0 <= found < float("inf") else None
