"""When a request is sent again, and after how long."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from nmtune_client import RetryPolicy

POLICY = RetryPolicy()


@pytest.mark.parametrize("status", [None, 408, 429, 502, 503, 504])
def test_passing_trouble_is_repeated_twice(status: int | None) -> None:
    assert POLICY.delay(1, status=status) is not None
    assert POLICY.delay(2, status=status) is not None
    assert POLICY.delay(3, status=status) is None


@pytest.mark.parametrize("status", [200, 202, 302, 400, 404, 409, 413, 422, 500, 501])
def test_other_answers_stand(status: int) -> None:
    assert POLICY.delay(1, status=status) is None


def test_a_conflict_is_repeated_only_where_the_server_says_when() -> None:
    assert POLICY.delay(1, status=409, headers={"retry-after": "1"}) == 1.0


def test_waits_double_with_jitter_up_to_the_longest() -> None:
    policy = RetryPolicy(tries=20)
    for tries_made in range(1, 12):
        longest = min(0.5 * 2 ** (tries_made - 1), 8.0)
        delays = [policy.delay(tries_made) or 0.0 for _ in range(50)]
        assert all(longest / 2 <= delay <= longest for delay in delays)
        assert len(set(delays)) > 1


def test_a_month_is_not_waited_for() -> None:
    assert POLICY.delay(1, status=429, headers={"retry-after": "3601"}) is None
    assert POLICY.delay(1, status=429, headers={"retry-after": "3600"}) == 60.0


def test_retry_after_in_seconds_is_honoured_and_capped() -> None:
    assert POLICY.delay(1, status=503, headers={"retry-after": "7"}) == 7.0
    assert POLICY.delay(1, status=503, headers={"retry-after": "86400"}) == 60.0


def test_retry_after_as_a_date_is_honoured() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    delay = POLICY.delay(1, status=429, headers={"retry-after": then})
    assert delay is not None
    assert 25 < delay <= 30
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert POLICY.delay(1, status=429, headers={"retry-after": past}) == 0.0


@pytest.mark.parametrize("value", ["", "soon", "-3", "1e3", "١"])
def test_an_unreadable_retry_after_is_ignored(value: str) -> None:
    delay = POLICY.delay(1, status=503, headers={"retry-after": value})
    assert delay is not None
    assert delay <= 0.5


def test_at_least_one_try() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RetryPolicy(tries=0)
