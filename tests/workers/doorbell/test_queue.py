"""The doorbell over a real Redis rings and reminds; a broker in trouble delays no caller."""

import time
from collections.abc import Iterator

import orjson
import pytest
import redis
from kombu.exceptions import OperationalError

from store import jobs
from tests.servers.redis import RedisServer
from tests.support.waiting import wait_until
from tests.workers.workplace import Workplace
from workers.doorbell.app import TASK, make_app
from workers.doorbell.queue import CeleryQueue


@pytest.fixture
def bell(redis_server: RedisServer, workplace: Workplace) -> Iterator[CeleryQueue]:
    queue = CeleryQueue(make_app(redis_server.url), workplace.store, remind_seconds=0.2)
    queue.start()
    yield queue
    queue.stop()


def rings(server: RedisServer, queue: str) -> list[str]:
    """The jobs that messages at the broker name, the newest first."""
    found = []
    for message in server.client().lrange(queue, 0, -1):
        document = orjson.loads(message)
        assert document["headers"]["task"] == TASK
        assert document["content-type"] == "application/json"
        found.append(document["headers"]["argsrepr"].strip("[]'"))
    return found


def test_a_ring_is_a_message_with_the_jobs_id_alone(
    redis_server: RedisServer, bell: CeleryQueue
) -> None:
    bell.send("job_1", "cpu")
    bell.send("job_2", "gpu")
    wait_until(lambda: rings(redis_server, "gpu") == ["job_2"])
    assert rings(redis_server, "cpu") == ["job_1"]


def test_a_lost_ring_is_rung_again_as_long_as_the_job_is_due(
    redis_server: RedisServer, bell: CeleryQueue, workplace: Workplace
) -> None:
    job = workplace.submit({})
    for _ in range(2):
        wait_until(lambda: rings(redis_server, "cpu") == [job.id])
        redis_server.client().flushall()
    with workplace.store.database.begin() as tx:
        jobs.request_cancel(tx, job.tenant_id, job.id)
    wait_until(lambda: not rings(redis_server, "cpu") or redis_server.client().flushall())
    time.sleep(0.6)  # three looks
    assert rings(redis_server, "cpu") == []


def test_reminders_do_not_pile_up(
    redis_server: RedisServer, bell: CeleryQueue, workplace: Workplace
) -> None:
    for _ in range(3):
        workplace.submit({})

    def all_rung_for_at_once() -> bool:
        """It may ring for some between two submissions, or while those rings are thrown away."""
        redis_server.client().flushall()
        time.sleep(0.6)
        return len(rings(redis_server, "cpu")) == 3

    wait_until(all_rung_for_at_once)
    time.sleep(0.6)
    assert len(rings(redis_server, "cpu")) == 3


@pytest.mark.parametrize("trouble", ["kill", "freeze"])
def test_a_broker_in_trouble_holds_nobody_up_and_hears_later(
    redis_server: RedisServer, bell: CeleryQueue, workplace: Workplace, trouble: str
) -> None:
    bell.ping()
    getattr(redis_server, trouble)()
    began = time.monotonic()
    for number in range(2000):  # more than are kept
        bell.send(f"job_{number}", "cpu")
    job = workplace.submit({})
    assert time.monotonic() - began < 20, "a ring must never wait for the broker"
    with pytest.raises((redis.RedisError, OperationalError, OSError)):
        bell.ping()

    redis_server.start() if trouble == "kill" else redis_server.thaw()
    wait_until(lambda: job.id in rings(redis_server, "cpu") or redis_server.client().delete("cpu"))


def test_closing_does_not_wait_for_a_frozen_broker(
    redis_server: RedisServer, workplace: Workplace
) -> None:
    queue = CeleryQueue(make_app(redis_server.url), workplace.store)
    queue.start()
    redis_server.freeze()
    queue.send("job_1", "cpu")
    began = time.monotonic()
    queue.stop()
    assert time.monotonic() - began < 20
