"""Decide whether, and after how long, a request is sent again; no I/O."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_RETRIED_STATUSES = frozenset({408, 429, 502, 503, 504})
_TOO_MANY = 429
_NO_USE_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often a request is sent again, and after how long. By default there are three tries.

    A request is sent again after a broken connection, a timeout, or an answer 408, 429, 502, 503
    or 504; after 409 only if the server sends Retry-After, which means that the first request is
    still running. The delay is random between half and all of first_delay_seconds * 2**(tries - 1),
    at most longest_delay_seconds; Retry-After is honoured up to longest_retry_after_seconds. A
    429 that asks for more than an hour is not retried: the month's quota is used up.
    Sending again is safe: each POST carries one Idempotency-Key over all its tries, and what would
    be done twice nevertheless (making a key or a webhook, rotating either) is sent once, unless the
    server says that it did nothing (429, 503).
    """

    tries: int = 3
    first_delay_seconds: float = 0.5
    longest_delay_seconds: float = 8.0
    longest_retry_after_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ValueError(f"tries must be at least 1, got {self.tries}")

    def delay(
        self,
        tries_made: int,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> float | None:
        """Seconds to wait before the next try, or None if there is to be none.

        `status` None means that no answer came. The keys of `headers` are lower case.
        """
        retry_after = _retry_after_seconds(headers or {})
        wanted = (
            status is None
            or status in _RETRIED_STATUSES
            or (status == 409 and retry_after is not None)
        )
        if not wanted or tries_made >= self.tries:
            return None
        if status == _TOO_MANY and retry_after is not None and retry_after > _NO_USE_SECONDS:
            return None
        if retry_after is not None:
            return min(retry_after, self.longest_retry_after_seconds)
        longest: float = min(
            self.first_delay_seconds * 2 ** (tries_made - 1), self.longest_delay_seconds
        )
        # jitter: clients that failed together must not come back together
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, keeps no secret)


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """The Retry-After header as seconds from now: a number, or an HTTP date; None if neither."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())
