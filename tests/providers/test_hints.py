"""How long a provider asks to wait, in every form in which providers say it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from providers.http import hints


def in_an_hour() -> datetime:
    """From now, which is when a test runs and not when it is found."""
    return datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("You exceeded your current quota. Please retry in 3s.", 3),
        ("Please retry in 36.514s", 36.514),
        ("Rate limit reached. Please try again in 250ms. Visit https://x/1 to learn more.", 0.25),
        ("Please try again in 1m30s.", 90),
        ("try again in 6m0s", 360),
        ("Limit: 3 / min. Please try again in 20s.", 20),
        ("Retry after 20 seconds", 20),
        ("wait 2 minutes and 5 seconds", 125),
        ("You can retry your request after 1 hour", 3600),
        ("The limit resets in 1h2m", 3720),
        ("retry after 30000 tokens were used", None),
        ("please slow down", None),
    ],
)
def test_in_words(words: str, seconds: float | None) -> None:
    assert hints.seconds({}, {}, words) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": " 3.5 "}, 3.5),
        ({"retry-after": "3s"}, 3),
        ({"retry-after": "0"}, 0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"x-ms-retry-after-ms": "1500", "retry-after": "1"}, 1.5),
        (lambda: {"retry-after": format_datetime(in_an_hour(), usegmt=True)}, 3600),
        (
            # by the clock of the one who says it, however wrong it is
            {
                "date": "Wed, 21 Oct 2015 07:28:00 GMT",
                "retry-after": "Wed, 21 Oct 2015 07:28:20 GMT",
            },
            20,
        ),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Fri, 99 Foo 9999"}, None),
        ({"retry-after": "999999999"}, hints.MOST_SECONDS),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, hints.MOST_SECONDS),
        ({"x-ratelimit-reset-tokens": "2m59.56s"}, 179.56),
        ({"x-ratelimit-reset-requests": "8.64s"}, 8.64),
        ({"ratelimit-reset": "7"}, 7),
        (lambda: {"x-ratelimit-reset": str(int(time.time()) + 3600)}, 3600),
        (lambda: {"x-ratelimit-reset": str(int(time.time() + 3600) * 1000)}, 3600),
        (lambda: {"anthropic-ratelimit-tokens-reset": in_an_hour().isoformat()}, 3600),
        (
            # of two limits the one that is spent
            {
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-requests": "59",
                "x-ratelimit-reset-tokens": "4s",
                "x-ratelimit-remaining-tokens": "0",
            },
            4,
        ),
        (
            # none is spent: the request was larger than what was left of the one that is back first
            {
                "x-ratelimit-reset-requests": "23h",
                "x-ratelimit-remaining-requests": "9000",
                "x-ratelimit-reset-tokens": "4s",
                "x-ratelimit-remaining-tokens": "300",
            },
            4,
        ),
        # what is asked for in so many words goes before what resets
        ({"retry-after": "2", "x-ratelimit-reset-requests": "1h"}, 2),
    ],
)
def test_in_headers(
    headers: dict[str, str] | Callable[[], dict[str, str]], seconds: float | None
) -> None:
    found = hints.seconds(headers() if callable(headers) else headers, {}, "")
    assert found == (
        None if seconds is None else pytest.approx(seconds, abs=300 if seconds == 3600 else 0.01)
    )
    assert found is None or 0 <= found <= hints.MOST_SECONDS


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"details": [{"@type": "a/google.rpc.RetryInfo", "retryDelay": "3s"}]}}, 3),
        ([{"error": {"details": [{"retryDelay": "3.25s"}]}}], 3.25),
        ({"retry_delay": {"seconds": 2, "nanos": 500_000_000}}, 2.5),
        ({"retry_after": 1.5}, 1.5),
        ({"error": {"retryAfter": "20"}}, 20),
        ({"retry-after-ms": 700}, 0.7),
        ({"retry_after": -3}, None),
        ({"retry_after": True}, None),
        ({"retry_after": None}, None),
        ({"retryDelay": "soon"}, None),
        ({"retryDelay": []}, None),
    ],
)
def test_in_the_body(body: Any, seconds: float | None) -> None:
    assert hints.seconds({}, body, "") == (None if seconds is None else pytest.approx(seconds))


def test_the_longest_is_kept_to_where_there_are_several() -> None:
    assert hints.seconds({"retry-after": "0"}, {"retryDelay": "3s"}, "retry in 2s") == 3
