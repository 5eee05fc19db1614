"""A database whose clock is set ahead and back loses no job, and no stored time runs backwards."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select

from store import events, jobs, transitions
from store.database.clock import now
from store.jobs import Job
from store.leases import LONGEST_LEASE_SECONDS, running_leases
from store.registry import heads
from store.store import Store
from store.transitions import SweepResult
from tests.store.made_rows import Rows, clock_ahead, new_head

HOURS = 2 * 3600.0


def sweep(store: Store) -> SweepResult:
    with store.database.begin() as tx:
        return transitions.sweep(tx)


def test_the_tests_clock_is_ahead_and_comes_back(store: Store) -> None:
    def off() -> timedelta:
        with store.database.read() as tx:
            return tx.execute(select(now())).scalar_one() - datetime.now(UTC)

    with clock_ahead(HOURS):
        assert abs(off() - timedelta(seconds=HOURS)) < timedelta(seconds=60)
    assert abs(off()) < timedelta(seconds=60)


def assert_in_order(store: Store, job: Job) -> None:
    with store.database.read() as tx:
        found = jobs.get(tx, job.tenant_id, job.id)
        told = [event.created_at for event in events.page(tx, job.tenant_id, job.id)]
    moments = [found.created_at, found.started_at, found.finished_at]
    known = [moment for moment in moments if moment is not None]
    assert known == sorted(known)
    assert found.updated_at >= known[-1]
    assert all(before <= after for before, after in pairwise([found.created_at, *told]))
    assert told[-1] <= found.updated_at


@pytest.mark.parametrize("ending", ["succeed", "fail", "cancel", "release", "sweep"])
def test_no_time_of_a_job_runs_backwards(store: Store, rows: Rows, ending: str) -> None:
    with clock_ahead(HOURS):
        job = rows.running()
        with store.database.begin() as tx:
            transitions.heartbeat(
                tx, job, lease_seconds=60, events=[("job.progress", {"epoch": 1})]
            )
    with store.database.begin() as tx:
        jobs.request_cancel(tx, "default", job.id) if ending == "cancel" else None
        transitions.heartbeat(tx, job, lease_seconds=-1, events=[("job.progress", {"epoch": 2})])
        if ending == "succeed":
            transitions.succeed(tx, job, report_sha256="e" * 64, head=new_head())
            version = heads.version(tx, "default", "pets", 1)
            assert version.created_at >= rows_updated(job)
        elif ending == "fail":
            transitions.fail(tx, job, error={"code": "x", "message": "y"})
        elif ending == "cancel":
            transitions.cancel(tx, job)
        elif ending == "release":
            transitions.release(tx, job)
        else:
            assert transitions.sweep(tx).requeued == (job.id,)
    assert_in_order(store, job)


def rows_updated(job: Job) -> datetime:
    assert job.started_at is not None
    return job.started_at


def test_a_queued_job_that_is_cancelled_after_the_clock_went_back(store: Store, rows: Rows) -> None:
    with clock_ahead(HOURS):
        job = rows.queued()
    with store.database.begin() as tx:
        jobs.request_cancel(tx, "default", job.id)
    assert_in_order(store, job)


def test_a_lease_that_ends_later_than_any_may_is_void(store: Store, rows: Rows) -> None:
    with clock_ahead(HOURS):
        job = rows.running(lease_seconds=12)
        living = rows.running(lease_seconds=12)
    longest = rows.running(lease_seconds=LONGEST_LEASE_SECONDS)
    with store.database.begin() as tx:
        transitions.heartbeat(tx, living, lease_seconds=12)
    assert sweep(store) == SweepResult(requeued=(job.id,))
    assert rows.read(living).status == rows.read(longest).status == "running"


def test_a_cancelled_job_under_such_a_lease_ends(store: Store, rows: Rows) -> None:
    with clock_ahead(HOURS):
        job = rows.running(lease_seconds=12)
    with store.database.begin() as tx:
        jobs.request_cancel(tx, "default", job.id)
    assert sweep(store) == SweepResult(cancelled=(job.id,))
    assert_in_order(store, job)


def test_a_job_held_back_until_later_than_any_may_is_due(store: Store, rows: Rows) -> None:
    with clock_ahead(HOURS):
        held = rows.running()
        with store.database.begin() as tx:
            transitions.release(tx, held, delay_seconds=60)
    with store.database.begin() as tx:
        found = transitions.claim_next(tx, worker="w", lease_seconds=60)
    assert found is not None
    assert found.id == held.id


def test_leases_that_were_renewed_since_they_were_seen_are_not_swept(
    store: Store, rows: Rows
) -> None:
    living, dead = rows.running(), rows.running()
    with clock_ahead(HOURS):
        with store.database.read() as tx:
            seen = running_leases(tx)
        assert all(lease.is_over for lease in seen)
        with store.database.begin() as tx:
            transitions.heartbeat(tx, living, lease_seconds=60)
        with store.database.begin() as tx:
            result = transitions.sweep(tx, leases=seen)
    assert result == SweepResult(requeued=(dead.id,))
    assert rows.read(living).status == "running"
