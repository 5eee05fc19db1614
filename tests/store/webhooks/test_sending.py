"""The queue of deliveries: schedule, leases, fences, and what an endpoint's health is made of."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from store.store import Store
from store.webhooks import deliveries, endpoints, schedule, sending
from store.webhooks.endpoints import Endpoint
from store.webhooks.outbox import EventName, Happened, write
from store.webhooks.sending import Claimed, Outcome
from tests.store.made_rows import clock_ahead
from tests.store.webhooks.subscribed import (
    BROKEN,
    OK,
    claim,
    claimed,
    endpoint,
    log,
    read,
    record,
    told,
)

DAY = 86_400.0
OpenStore = Callable[[], Store]


def happen(store: Store, times: int = 1, tenant_id: str = "default") -> None:
    for _ in range(times):
        with store.database.begin() as tx:
            write(tx, tenant_id, Happened(EventName.DATASET_CREATED, {"dataset_id": "ds_1"}))


def attempts(store: Store, one: Claimed) -> list[tuple[int, int | None, str | None]]:
    with store.database.read() as tx:
        found = deliveries.attempts(tx, one.tenant_id, one.id)
    return [(attempt.n, attempt.status, attempt.error) for attempt in found]


def fail_for(store: Store, one: Endpoint, seconds: float) -> None:
    """An event fails now, and another one so many seconds later."""
    happen(store, 2)
    first = claimed(store)
    record(store, first, BROKEN)
    with clock_ahead(seconds):
        second = claimed(store)
        record(store, second, BROKEN)


def test_the_schedule_has_ten_attempts_over_76_hours() -> None:
    assert len(schedule.DELAYS_SECONDS) == 10
    assert sum(schedule.DELAYS_SECONDS) / 3600 == pytest.approx(76, abs=0.5)


def test_the_clock_moved_through_all_ten_attempts(store: Store) -> None:
    one = endpoint(store)
    happen(store)
    at = 0.0
    for n, pause in enumerate(schedule.DELAYS_SECONDS, start=1):
        if pause:
            with clock_ahead(at + pause * (1 - schedule.JITTER) - 3):
                assert claim(store) is None, f"attempt {n} comes no sooner"
        at += pause * (1 + schedule.JITTER) + 3
        with clock_ahead(at):
            found = claimed(store)
            assert found.step == found.n_attempts == n
            assert record(store, found, BROKEN)
    with clock_ahead(at + 10 * DAY):
        assert claim(store) is None, "there is no eleventh"
    [delivery] = log(store, one)
    assert delivery.status == "failed"
    assert attempts(store, found) == [(n, 500, None) for n in range(1, 11)]


def test_a_success_ends_it(store: Store) -> None:
    one = endpoint(store)
    happen(store)
    record(store, claimed(store), OK)
    [delivery] = log(store, one)
    assert (delivery.status, delivery.n_attempts) == ("succeeded", 1)
    with clock_ahead(DAY):
        assert claim(store) is None


@pytest.mark.parametrize(
    ("status", "ends"), [(200, True), (204, True), (299, True), (301, False), (404, False)]
)
def test_only_2xx_is_a_success(store: Store, status: int, ends: bool) -> None:
    one = endpoint(store)
    happen(store)
    record(store, claimed(store), replace(OK, status=status))
    [delivery] = log(store, one)
    assert delivery.status == ("succeeded" if ends else "pending")


def test_a_broken_off_answer_is_no_success_whatever_its_status(store: Store) -> None:
    one = endpoint(store)
    happen(store)
    record(store, claimed(store), replace(OK, error="timed_out"))
    assert [delivery.status for delivery in log(store, one)] == ["pending"]


@pytest.mark.parametrize(
    ("asked", "longest"), [(600.0, 600.0), (1.0, 5.5), (30 * DAY, DAY)], ids=["10min", "1s", "30d"]
)
def test_retry_after_is_obeyed_up_to_a_day(store: Store, asked: float, longest: float) -> None:
    endpoint(store)
    happen(store)
    record(store, claimed(store), replace(BROKEN, retry_after=asked))
    if longest > 60:
        with clock_ahead(longest - 5):
            assert claim(store) is None
    with clock_ahead(longest + 2):
        assert claim(store) is not None


def test_one_endpoint_has_one_delivery_in_hand_and_others_do_not_wait(store: Store) -> None:
    first, second = endpoint(store), endpoint(store, "theirs")
    happen(store, 2)
    happen(store, tenant_id="theirs")
    assert [claimed(store).endpoint_id for _ in range(2)] == [first.id, second.id]
    assert claim(store) is None, "both have one in hand"


def test_two_workers_never_hold_one_delivery_or_one_endpoint(open_store: OpenStore) -> None:
    """Many threads over two connections' worth of processes claim at once."""
    stores = [open_store(), open_store()]
    for _ in range(3):
        endpoint(stores[0])
    happen(stores[0], 5)
    n_done = 15
    held: dict[str, int] = {}
    seen: list[str] = []
    doubled: list[str] = []
    lock = threading.Lock()

    def work(store: Store) -> None:
        idle = 0
        while idle < 50 and len(seen) < n_done:
            found = claim(store)
            if found is None:
                idle += 1
                continue
            idle = 0
            with lock:
                held[found.endpoint_id] = held.get(found.endpoint_id, 0) + 1
                if held[found.endpoint_id] > 1:
                    doubled.append(found.endpoint_id)
                seen.append(found.id)
            with lock:
                held[found.endpoint_id] -= 1
            record(store, found, OK)

    threads = [threading.Thread(target=work, args=(stores[n % 2],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert doubled == []
    assert len(seen) == len(set(seen)) == n_done


def test_a_worker_that_died_after_sending_leads_to_the_same_message_again(store: Store) -> None:
    one = endpoint(store)
    happen(store)
    dead = claimed(store)
    with clock_ahead(sending.LEASE_SECONDS + 1):
        assert claim(store) is None, "it is put back, to be tried in five seconds"
    with clock_ahead(sending.LEASE_SECONDS + 10):
        again = claimed(store)
        assert (again.message_id, again.body) == (dead.message_id, dead.body)
        assert again.n_attempts == 2
        assert not record(store, dead, OK), "the first has lost its fence"
        assert record(store, again, OK)
    assert attempts(store, again) == [(1, None, "worker_lost"), (2, 204, None)]
    assert read(store, one).failing_since is None, "and the receiver is not to blame"


def test_a_clock_set_back_holds_nothing_up(store: Store) -> None:
    endpoint(store)
    with clock_ahead(3 * DAY):
        happen(store)
        record(store, claimed(store), BROKEN)
    assert claim(store) is not None


def test_what_is_given_back_counts_as_no_attempt(store: Store) -> None:
    endpoint(store)
    happen(store)
    held = claimed(store)
    with store.database.begin() as tx:
        sending.give_back(tx, held)
    assert claimed(store).n_attempts == 1


def test_five_days_of_failures_disable_an_endpoint_and_tell_the_others(store: Store) -> None:
    bad, good = endpoint(store), endpoint(store, events=["endpoint.disabled"])
    fail_for(store, bad, 5 * DAY - 60)
    assert read(store, bad).disabled_at is None
    with clock_ahead(6 * DAY):
        record(store, claimed(store), BROKEN)
        assert read(store, bad).disabled_why == "failing"
        happen(store)
        assert claimed(store).endpoint_id == good.id, "it is told nothing more"
    assert {delivery.status for delivery in log(store, bad)} == {"failed"}
    [message] = told(store, good)
    assert message["type"] == "endpoint.disabled"
    assert message["data"] == {
        "endpoint_id": bad.id,
        "why": "failing",
        "path": f"/webhooks/{bad.id}",
    }


def test_one_success_among_failures_starts_the_five_days_again(store: Store) -> None:
    one = endpoint(store)
    happen(store, 3)
    record(store, claimed(store), BROKEN)
    assert read(store, one).failing_since is not None
    record(store, claimed(store), OK)
    assert read(store, one).failing_since is None
    with clock_ahead(6 * DAY):
        record(store, claimed(store), BROKEN)
        assert read(store, one).disabled_at is None


def test_410_disables_at_once(store: Store) -> None:
    one = endpoint(store)
    happen(store, 2)
    record(store, claimed(store), replace(BROKEN, status=410))
    assert read(store, one).disabled_why == "gone"
    assert [delivery.status for delivery in log(store, one)] == ["failed", "failed"]


def test_what_is_in_hand_while_its_endpoint_is_disabled_is_not_tried_again(store: Store) -> None:
    one, other = endpoint(store), endpoint(store)
    happen(store)
    held, lost = claimed(store), claimed(store)
    for disabled in (one, other):
        with store.database.begin() as tx:
            endpoints.disable(tx, "default", disabled.id, endpoints.Disabled.BY_HAND)
    record(store, held, BROKEN)
    with clock_ahead(sending.LEASE_SECONDS + 1):
        assert claim(store) is None
    states = {(each.id, each.status) for ep in (one, other) for each in log(store, ep)}
    assert {(held.id, "failed"), (lost.id, "failed")} <= states
    assert all(status == "failed" for _, status in states)


def _replay(store: Store, one: Endpoint, outcome: Outcome) -> None:
    delivery = log(store, one)[0]
    with store.database.begin() as tx:
        deliveries.replay(tx, "default", delivery.id)
    again = claimed(store)
    assert again.message_id == delivery.message_id
    record(store, again, outcome)


def test_a_replay_counts_neither_for_nor_against_health(store: Store) -> None:
    one = endpoint(store)
    happen(store)
    record(store, claimed(store), OK)
    _replay(store, one, BROKEN)
    assert read(store, one).failing_since is None
    _replay(store, one, replace(BROKEN, status=410))
    assert read(store, one).disabled_at is None
    happen(store)
    record(store, claimed(store), BROKEN)
    since = read(store, one).failing_since
    assert since is not None
    _replay(store, one, OK)
    assert read(store, one).failing_since == since


def test_a_ping_is_tried_once_and_says_nothing_of_health(store: Store) -> None:
    one = endpoint(store, events=["job.failed"])
    with store.database.begin() as tx:
        endpoints.ping(tx, "default", one.id)
    found = claimed(store)
    record(store, found, BROKEN)
    [delivery] = log(store, one)
    assert (delivery.type, delivery.status, delivery.kind) == ("ping", "failed", "ping")
    assert read(store, one).failing_since is None


def test_the_old_secret_signs_for_a_day(store: Store) -> None:
    one = endpoint(store)
    with store.database.begin() as tx:
        endpoints.rotate(tx, "default", one.id, sealed=b"new")
    happen(store, 2)
    found = claimed(store)
    assert (found.sealed, found.sealed_old) == (b"new", b"sealed")
    record(store, found, OK)
    with clock_ahead(DAY + 5):
        assert claimed(store).sealed_old is None


def test_a_deleted_endpoint_leaves_nothing_in_hand(store: Store) -> None:
    one = endpoint(store)
    happen(store)
    held = claimed(store)
    with store.database.begin() as tx:
        endpoints.delete(tx, "default", one.id)
    assert not record(store, held, OK)
    assert claim(store) is None
