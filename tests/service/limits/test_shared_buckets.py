"""Rates that all processes share through Redis, and what happens without it."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable

import pytest

from service.app import create_app
from service.limits.buckets import Bucket
from service.limits.shared_buckets import SharedBuckets
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.servers.redis import RedisServer
from tests.service.access.asking import Asking

Work = Callable[[SharedBuckets], Awaitable[list[float | None]]]


def shared(server: RedisServer, *works: Work) -> list[list[float | None]]:
    """Each work by an event loop and connections of its own, as in a process of its own."""
    found: list[list[float | None]] = [[] for _ in works]

    async def run(place: int) -> None:
        buckets = SharedBuckets(server.url)
        found[place] = await works[place](buckets)
        await buckets.close()

    threads = [
        threading.Thread(target=lambda at=place: asyncio.run(run(at)))
        for place in range(len(works))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("option", ["", "?ssl_cert_reqs=CERT_REQUIRED", "?ssl_cert_reqs=none"])
def test_options_of_a_brokers_url_are_read(option: str) -> None:
    SharedBuckets(f"rediss://:secret@redis.example:6380/0{option}")


@pytest.mark.parametrize("option", ["?connect_timeout=3", "?ssl_cert_reqs=CERT_MAYBE"])
def test_options_that_redis_does_not_know_are_told_at_the_start(option: str) -> None:
    with pytest.raises(ValueError, match=r"connect_timeout|maybe") as refused:
        SharedBuckets(f"rediss://:secret@redis.example:6380/0{option}")
    assert "secret" not in str(refused.value)


def test_two_processes_share_a_burst(redis_server: RedisServer) -> None:
    async def take(buckets: SharedBuckets) -> list[float | None]:
        bucket = Bucket(0.01, 3000.0)  # 30 at once, then one in 100 s
        return [await buckets.take(bucket, "read", "key_a", 1) for _ in range(32)]

    found = [wait for one in shared(redis_server, take, take) for wait in one]
    # A machine at its limit may be too slow for a script now and then; nothing else is None.
    assert sum(wait == 0 for wait in found) + found.count(None) >= 30
    assert sum(wait == 0 for wait in found) <= 30
    assert all(wait is None or 0 <= wait <= 100.1 for wait in found)


def test_the_script_is_the_buckets_step(redis_server: RedisServer) -> None:
    async def take(buckets: SharedBuckets) -> list[float | None]:
        bucket = Bucket(0.01, 3000.0)
        taken = [await buckets.take(bucket, "read", "key_b", cost) for cost in (1, 29)]
        taken.append(await buckets.take(bucket, "read", "key_b", 1))
        taken.append(await buckets.take(bucket, "read", "key_c", 1))
        taken.append(await buckets.take(bucket, "read", "key_c", 40, 1))
        taken.append(await buckets.take(bucket, "read", "key_c", 40))
        return taken

    ((one, rest, over, first, more_than_it_holds, again),) = shared(redis_server, take)
    assert (one, rest, first, more_than_it_holds) == (0, 0, 0, 0)
    assert over == pytest.approx(100, abs=1)
    assert again == pytest.approx(4000, abs=1)


def test_a_redis_that_hangs_costs_50_ms_once_a_second(redis_server: RedisServer) -> None:
    pid = redis_server.client().info()["process_id"]

    async def take(buckets: SharedBuckets) -> list[float | None]:
        bucket = Bucket(1.0, 10.0)
        await buckets.take(bucket, "read", "key_a", 1)
        os.kill(pid, signal.SIGSTOP)
        try:
            return [await buckets.take(bucket, "read", "key_a", 1) for _ in range(200)]
        finally:
            os.kill(pid, signal.SIGCONT)

    (found,) = shared(redis_server, take)
    assert found == [None] * 200


def test_without_redis_the_processs_own_bucket_goes_on(
    settings: ServiceSettings, store: Store
) -> None:
    chosen = settings.model_copy(
        update={"limit_reads_per_second": 0.01, "limit_burst_seconds": 300.0}
    )
    buckets = SharedBuckets("redis://127.0.0.1:1/0")
    ask = Asking(create_app(chosen, store=store, queue=LocalQueue(), shared_buckets=buckets))
    assert [ask.get("/jobs").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert ask.app.state.limiter is not None


def test_two_apps_share_what_a_key_has_left(
    settings: ServiceSettings, store: Store, redis_server: RedisServer
) -> None:
    chosen = settings.model_copy(
        update={"limit_reads_per_second": 0.01, "limit_burst_seconds": 400.0}
    )

    async def ask_both() -> list[int]:
        found = []
        shared = [SharedBuckets(redis_server.url) for _ in range(2)]
        both = [
            Asking(create_app(chosen, store=store, queue=LocalQueue(), shared_buckets=one))
            for one in shared
        ]
        for _ in range(3):
            for ask in both:
                found.append((await ask.send("GET", "/jobs")).status_code)
        for one in shared:
            await one.close()
        return found

    assert asyncio.run(ask_both()) == [200, 200, 200, 200, 429, 429]
