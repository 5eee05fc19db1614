"""Leases that run out: the sweep takes the job, and the worker that lost it writes nothing."""

import pytest
from sqlalchemy import literal, select

from store import leases, transitions
from store.database.clock import UtcDateTime, now
from store.errors import LeaseLost
from store.registry import heads
from store.states import JobStatus
from store.store import Store
from store.transitions import SweepResult
from tests.store.job_moves import WRITES, ask_to_cancel, claim, last_event, sweep, told
from tests.store.made_rows import Rows, new_head


def test_the_sweep_leaves_living_leases_and_queued_jobs_alone(store: Store, rows: Rows) -> None:
    rows.queued()
    rows.running()
    assert sweep(store) == SweepResult()


@pytest.mark.parametrize("lease_seconds", [0, -5])
def test_the_sweep_takes_a_lease_that_has_run_out(
    store: Store, rows: Rows, lease_seconds: float
) -> None:
    job = rows.running(lease_seconds=lease_seconds)
    assert sweep(store) == SweepResult(requeued=(job.id,))
    after = rows.read(job)
    assert (after.status, after.attempt, after.fence) == (JobStatus.QUEUED, 1, 1)
    assert last_event(store, job) == {"reason": "worker_lost", "attempt": 1}


def test_a_lease_has_run_out_in_its_last_moment(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = rows.read(rows.running())
    last = literal(job.lease_expires_at, UtcDateTime())
    monkeypatch.setattr(leases, "now", lambda: last)
    assert sweep(store).requeued == (job.id,)


def test_a_job_that_keeps_losing_its_worker_fails_and_says_what_to_do(
    store: Store, rows: Rows
) -> None:
    job = rows.queued(max_attempts=3)
    for _ in range(3):
        job = rows.claimed(job, lease_seconds=-1)
        result = sweep(store)
    assert result == SweepResult(failed=(job.id,))
    failed = rows.read(job)
    assert failed.error is not None
    assert failed.error["code"] == "worker_lost"
    assert "attempt 3 of 3" in failed.error["message"]
    assert "memory" in failed.error["message"]
    assert claim(store, job) is None


def test_the_sweep_ends_a_job_whose_cancel_nobody_was_left_to_hear(
    store: Store, rows: Rows
) -> None:
    job = rows.running(lease_seconds=-1, max_attempts=1)
    ask_to_cancel(store, job)
    assert sweep(store) == SweepResult(cancelled=(job.id,))
    assert rows.read(job).status is JobStatus.CANCELLED


def test_a_sweep_has_a_limit_and_takes_the_longest_lost_first(store: Store, rows: Rows) -> None:
    ids = [rows.running(lease_seconds=seconds).id for seconds in (-10, -30, -20)]
    assert sweep(store, limit=2).requeued == (ids[1], ids[2])
    assert sweep(store, limit=2).requeued == (ids[0],)


@pytest.mark.parametrize("write", WRITES)
def test_a_worker_whose_job_was_taken_over_writes_nothing(
    store: Store, rows: Rows, write: str
) -> None:
    stale = rows.running(lease_seconds=-1)
    sweep(store)
    rows.claimed(stale)
    before, told_before = rows.read(stale), told(store, stale)
    with pytest.raises(LeaseLost, match=stale.id), store.database.begin() as tx:
        WRITES[write](tx, stale)
    assert (rows.read(stale), told(store, stale)) == (before, told_before)
    with store.database.read() as tx:
        assert heads.page(tx, "default").items == ()


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("ending", ["fail", "cancel", "release", "succeed"])
def test_a_job_that_is_not_running_takes_no_write(
    store: Store, rows: Rows, write: str, ending: str
) -> None:
    job = rows.running()
    with store.database.begin() as tx:
        WRITES[ending](tx, job)
    before = rows.read(job)
    with pytest.raises(LeaseLost), store.database.begin() as tx:
        WRITES[write](tx, job)
    assert rows.read(job) == before


def test_a_lost_success_has_written_nothing_even_if_the_caller_goes_on(
    store: Store, rows: Rows
) -> None:
    stale = rows.running(lease_seconds=-1)
    sweep(store)
    with store.database.begin() as tx, pytest.raises(LeaseLost):
        transitions.succeed(tx, stale, report_sha256="e" * 64, head=new_head())
    with store.database.read() as tx:
        assert heads.page(tx, "default").items == ()


def test_all_or_nothing_a_success_that_breaks_late_leaves_the_job_running(
    store: Store, rows: Rows
) -> None:
    job = rows.running()

    def succeed_and_break() -> None:
        with store.database.begin() as tx:
            transitions.succeed(tx, job, report_sha256="e" * 64, head=new_head(alias="prod"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        succeed_and_break()
    assert rows.read(job) == job
    with store.database.read() as tx:
        assert heads.page(tx, "default").items == ()


def test_leases_are_judged_by_the_databases_clock(store: Store, rows: Rows) -> None:
    """No worker's clock takes part: the lease is `now()` of the database plus its seconds."""
    job = rows.running(lease_seconds=0)
    with store.database.read() as tx:
        assert job.lease_expires_at is not None
        assert job.lease_expires_at <= tx.execute(select(now())).scalar_one()
