"""Events: numbered without gaps, in order, after a cursor."""

import threading
from itertools import pairwise

import pytest

from store import events, transitions
from store.events import EventType
from store.store import Store
from tests.store.conftest import OpenStore
from tests.store.made_rows import Rows


def test_events_are_numbered_from_one_and_continue_after_any(store: Store, rows: Rows) -> None:
    job = rows.running()
    with store.database.begin() as tx:
        transitions.heartbeat(
            tx,
            job,
            lease_seconds=60,
            events=[(EventType.PROGRESS, {"epoch": epoch}) for epoch in range(5)],
        )
    with store.database.read() as tx:
        everything = events.page(tx, "default", job.id)
        tail = events.page(tx, "default", job.id, after=4, limit=2)
    assert [event.sequence for event in everything] == [1, 2, 3, 4, 5, 6, 7]
    assert [event.data for event in everything[2:]] == [{"epoch": epoch} for epoch in range(5)]
    assert tail == everything[4:6]
    assert tail[0].id == "evt_000005"
    assert all(a.created_at <= b.created_at for a, b in pairwise(everything))


def test_the_past_the_end_is_empty(store: Store, rows: Rows) -> None:
    job = rows.queued()
    with store.database.read() as tx:
        assert events.page(tx, "default", job.id, after=1) == []
        assert events.page(tx, "default", "job_none") == []


def test_an_unknown_type_is_refused(store: Store, rows: Rows) -> None:
    job = rows.running()
    with pytest.raises(ValueError, match="sang"), store.database.begin() as tx:
        transitions.heartbeat(tx, job, lease_seconds=60, events=[("job.sang", {})])


def test_writers_at_the_same_time_leave_no_gap_and_no_double(
    open_store: OpenStore, rows: Rows
) -> None:
    job = rows.running()
    stores = [open_store() for _ in range(3)]

    def write(store: Store) -> None:
        for epoch in range(10):
            with store.database.begin() as tx:
                transitions.heartbeat(
                    tx,
                    job,
                    lease_seconds=60,
                    events=[("job.progress", {"epoch": epoch}), ("job.stage", {})],
                )

    threads = [threading.Thread(target=write, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with stores[0].database.read() as tx:
        sequences = [event.sequence for event in events.page(tx, "default", job.id)]
    assert sequences == list(range(1, 2 + 3 * 10 * 2 + 1))
