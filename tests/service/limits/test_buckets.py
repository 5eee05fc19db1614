"""The token bucket: what it lets through, when, and what it says is left."""

import random

import pytest

from service.limits.buckets import Bucket


def test_a_burst_and_then_the_rate() -> None:
    bucket = Bucket(10.0, 2.0)
    assert bucket.burst == 20
    taken = sum(bucket.take("k", 1, 100.0) == 0 for _ in range(50))
    assert taken == 20
    assert bucket.take("k", 1, 100.0) == pytest.approx(0.1)
    assert bucket.take("k", 1, 100.1) == 0
    assert bucket.take("k", 1, 100.1) > 0
    assert sum(bucket.take("k", 1, 101.1) == 0 for _ in range(50)) == 10


def test_each_key_has_its_own() -> None:
    bucket = Bucket(1.0, 1.0)
    assert bucket.take("a", 1, 5.0) == 0
    assert bucket.take("a", 1, 5.0) == 1
    assert bucket.take("b", 1, 5.0) == 0


def test_over_any_time_no_more_passes_than_burst_and_rate() -> None:
    rng = random.Random(0)
    bucket = Bucket(7.0, 3.0)
    at, passed = 0.0, 0
    for _ in range(5_000):
        at += rng.expovariate(20.0)
        cost = rng.randint(1, 9)
        passed += cost if bucket.take("k", cost, at) == 0 else 0
        assert passed <= 21 + 7 * at + 1e-6
    assert passed >= 7 * at - 9  # and the rate is made use of


def test_the_wait_that_is_told_is_enough() -> None:
    bucket = Bucket(3.0, 4.0)
    for cost in (12, 5, 7, 1):
        wait = bucket.take("k", cost, 50.0)
        if wait:
            assert bucket.take("k", cost, 50.0 + wait * 0.99) > 0
            assert bucket.take("k", cost, 50.0 + wait) == 0
            bucket.full_at.clear()


def test_what_no_bucket_holds_passes_a_full_one_and_is_paid_for() -> None:
    bucket = Bucket(10.0, 1.0)
    assert bucket.take("k", 50, 0.0) == 0
    assert bucket.take("k", 1, 0.0) == pytest.approx(4.1)
    assert bucket.take("k", 50, 4.9) == pytest.approx(0.1)
    assert bucket.take("k", 50, 5.0) == 0


def test_what_was_paid_before_is_no_cost() -> None:
    bucket = Bucket(10.0, 1.0)
    assert bucket.take("k", 1, 0.0) == 0
    assert bucket.take("k", 10, 0.0, paid=1) == 0
    assert bucket.left("k", 0.0)[0] == 0
    assert bucket.take("k", 1, 0.5) == 0
    wait = bucket.take("k", 9, 0.5, paid=1)  # 4 are left, and the one that was paid
    assert wait == pytest.approx(0.5)
    assert bucket.left("k", 0.5)[0] == 4
    assert bucket.take("k", 1, 0.5 + wait) == bucket.take("k", 9, 0.5 + wait, paid=1) == 0


def test_what_no_bucket_holds_passes_though_one_was_paid_before() -> None:
    bucket = Bucket(10.0, 1.0)
    assert bucket.take("k", 1, 0.0) == bucket.take("k", 50, 0.0, paid=1) == 0
    assert bucket.take("k", 1, 0.0) == pytest.approx(4.1)


def test_a_rate_below_one_still_lets_one_through() -> None:
    bucket = Bucket(0.01, 1.0)
    assert bucket.burst == 1
    assert bucket.take("k", 1, 0.0) == 0
    assert bucket.take("k", 1, 0.0) == pytest.approx(100.0)


def test_what_is_left() -> None:
    bucket = Bucket(10.0, 2.0)
    assert bucket.left("k", 0.0) == (20, 0)
    bucket.take("k", 5, 0.0)
    assert bucket.left("k", 0.0) == (15, 1)
    bucket.take("k", 15, 0.0)
    assert bucket.left("k", 0.0) == (0, 2)
    bucket.forget_full(1.9)
    assert bucket.full_at
    bucket.forget_full(2.0)
    assert not bucket.full_at
