"""The answers to those who want more than they may: each names the limit, the use, what to do."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from service.http.errors import Problem, problem_of
from service.limits.buckets import Bucket
from service.limits.classes import RequestClass
from store.access import quotas
from store.access.usage import Kind


def rate_limited(
    one: RequestClass,
    bucket: Bucket,
    wait: float,
    told: Sequence[tuple[bytes, bytes]],
    *,
    left: int,
) -> Problem:
    """429: somebody asks too often. told: the headers that say what is left; left: so much."""
    seconds = math.ceil(wait)
    fewer = "Send fewer at a time, or try" if left else "Try"
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "rate_limited",
        f"The limit {one.value} is {bucket.per_second:,g} {one.unit} a second, and "
        f"{bucket.burst:,} at once after a pause; {left:,} are left at the moment. {fewer} again "
        f"in {seconds} s, ask more slowly, or ask the operator for more.",
        headers={"Retry-After": str(seconds)}
        | {name.decode(): value.decode() for name, value in told},
        extensions={"limit": one.value, "allowed": bucket.per_second, "unit": one.unit},
    )


def month_over(kind: Kind, *, allowed: int, used: int, more: int) -> Problem:
    """429: the month's quota has no room for so much."""
    at = datetime.now(UTC)
    problem = problem_of(quotas.monthly(kind, allowed=allowed, used=used, more=more, at=at))
    assert problem is not None  # noqa: S101 - for the type checker: the table of errors has it
    return problem
