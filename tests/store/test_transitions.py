"""What workers do to jobs: claim, heartbeat, finish, give back."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from store import transitions
from store.database import tables
from store.errors import Conflict
from store.registry import heads
from store.states import JobStatus
from store.store import Store
from store.transitions import SweepResult
from tests.store.job_moves import (
    ERROR,
    ask_to_cancel,
    claim,
    claim_next,
    last_event,
    release,
    sweep,
    told,
)
from tests.store.made_rows import Rows, new_head
from tests.support.waiting import wait_until


def test_a_claim_starts_an_attempt_under_a_new_fence_and_a_lease(store: Store, rows: Rows) -> None:
    job = claim(store, rows.queued(), lease_seconds=60)
    assert job is not None
    assert job == rows.read(job)
    assert (job.status, job.attempt, job.fence, job.worker) == (JobStatus.RUNNING, 1, 1, "w2")
    assert job.lease_expires_at is not None
    assert job.started_at is not None
    left = job.lease_expires_at - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= timedelta(seconds=61)
    assert told(store, job) == ["job.queued", "job.started"]
    assert last_event(store, job) == {"attempt": 1, "max_attempts": 3}


def test_a_job_is_claimed_once(store: Store, rows: Rows) -> None:
    job = rows.running()
    assert claim(store, job) is None
    assert claim_next(store) is None
    assert rows.read(job) == job


def test_a_message_for_no_job_is_dropped(store: Store) -> None:
    with store.database.begin() as tx:
        assert transitions.claim(tx, "job_none", worker="w", lease_seconds=60) is None


def test_the_oldest_queued_job_is_next_whoever_owns_it(store: Store, rows: Rows) -> None:
    submitted = [rows.queued(tenant).id for tenant in ("b", "a", "c")]
    claimed = [job.id for _ in range(3) if (job := claim_next(store))]
    assert claimed == submitted
    assert claim_next(store) is None


def test_jobs_held_back_are_passed_over(store: Store, rows: Rows) -> None:
    held = release(store, rows.running(), delay_seconds=60)
    assert held.not_before_at is not None
    younger = rows.queued()
    found = claim_next(store)
    assert found is not None
    assert found.id == younger.id
    assert claim_next(store) is None
    assert claim(store, held) is None


def test_a_job_whose_time_has_come_is_claimed(store: Store, rows: Rows) -> None:
    held = release(store, rows.running(), delay_seconds=0.001)
    found = wait_until(lambda: claim_next(store))
    assert found.id == held.id
    assert found.not_before_at is None


def test_a_heartbeat_writes_what_it_is_given_and_leaves_the_rest(store: Store, rows: Rows) -> None:
    job = rows.running(lease_seconds=1)
    with store.database.begin() as tx:
        asked = transitions.heartbeat(
            tx,
            job,
            lease_seconds=60,
            stage="training",
            progress={"epoch": 1},
            checkpoint={"nmtune.safetensors": "c" * 64},
            events=[("job.stage", {"stage": "training"}), ("job.progress", {"epoch": 1})],
        )
    assert asked is False
    after = rows.read(job)
    assert after.stage == "training"
    assert after.progress == {"epoch": 1}
    assert after.checkpoint == {"nmtune.safetensors": "c" * 64}
    assert after.lease_expires_at is not None
    assert job.lease_expires_at is not None
    assert after.lease_expires_at > job.lease_expires_at + timedelta(seconds=50)
    assert told(store, job)[2:] == ["job.stage", "job.progress"]
    with store.database.begin() as tx:
        transitions.heartbeat(tx, job, lease_seconds=60)
    again = rows.read(job)
    assert (again.stage, again.progress, again.checkpoint) == (
        after.stage,
        after.progress,
        after.checkpoint,
    )


def test_a_heartbeat_tells_that_cancel_was_asked_for(store: Store, rows: Rows) -> None:
    job = rows.running()
    ask_to_cancel(store, job)
    with store.database.begin() as tx:
        assert transitions.heartbeat(tx, job, lease_seconds=60) is True


def test_a_heartbeat_appends_its_own_events_only(store: Store, rows: Rows) -> None:
    job = rows.running()
    for type_ in ("job.succeeded", "job.nonsense"):
        with pytest.raises(ValueError, match=r"job\."), store.database.begin() as tx:
            transitions.heartbeat(tx, job, lease_seconds=60, events=[(type_, {})])


def test_a_late_heartbeat_keeps_what_nobody_has_taken(store: Store, rows: Rows) -> None:
    job = rows.running()
    rows.expire(job)
    with store.database.begin() as tx:
        transitions.heartbeat(tx, job, lease_seconds=60)
    assert sweep(store) == SweepResult()


def test_success_publishes_the_head_its_alias_and_the_report_together(
    store: Store, rows: Rows
) -> None:
    job = rows.running()
    with store.database.begin() as tx:
        transitions.heartbeat(
            tx, job, lease_seconds=60, checkpoint={"a": "b" * 64}, stage="publishing"
        )
        done = transitions.succeed(tx, job, report_sha256="e" * 64, head=new_head(alias="prod"))
    assert done == rows.read(job)
    assert done.status is JobStatus.SUCCEEDED
    assert (done.head_name, done.head_version, done.report_sha256) == ("pets", 1, "e" * 64)
    assert done.finished_at is not None
    assert (done.lease_expires_at, done.stage, done.checkpoint) == (None, None, {})
    with store.database.read() as tx:
        version = heads.resolve(tx, "default", "pets@prod")
    assert (version.job_id, version.dataset_id, version.version) == (job.id, job.dataset_id, 1)
    assert last_event(store, job) == {
        "head": {"name": "pets", "version": 1},
        "alias": {
            "name": "prod",
            "moved": True,
            "version": 1,
            "previous_version": None,
            "reason": "pets@prod is new and names version 1.",
            "command": None,
        },
        "fraction": 1.0,
        "eta_seconds": 0.0,
    }
    assert done.alias_outcome == last_event(store, job)["alias"]


TOLD = {"candidate": "mlp", "fraction": 0.95, "eta_seconds": 24.0}


def test_job_that_ends_leaves_no_time_to_wait(store: Store, rows: Rows) -> None:
    """Whatever its last heartbeat told, and with or without one."""
    for progress in (TOLD, None):
        done, failed, cancelled, released = (rows.running() for _ in range(4))
        with store.database.begin() as tx:
            for job in (done, failed, cancelled, released):
                transitions.heartbeat(tx, job, lease_seconds=60, progress=progress)
            transitions.succeed(tx, done, report_sha256="e" * 64, head=new_head())
            transitions.fail(tx, failed, error={"code": "internal", "message": "no"})
            transitions.cancel(tx, cancelled)
            transitions.release(tx, released)
        assert rows.read(done).progress == {**(progress or {}), "fraction": 1.0, "eta_seconds": 0.0}
        rest = None if progress is None else {**progress, "eta_seconds": None}
        assert [rows.read(job).progress for job in (failed, cancelled, released)] == [rest] * 3


def test_success_wins_over_a_cancel_that_was_asked_for(store: Store, rows: Rows) -> None:
    job = rows.running()
    ask_to_cancel(store, job)
    with store.database.begin() as tx:
        done = transitions.succeed(tx, job, report_sha256="e" * 64, head=new_head())
    assert done.status is JobStatus.SUCCEEDED


def test_a_job_publishes_one_version_however_often_it_ran(store: Store, rows: Rows) -> None:
    job = rows.succeeded()
    with pytest.raises(Conflict, match="already published"), store.database.begin() as tx:
        heads.publish(
            tx, "default", job_id=job.id, dataset_id=job.dataset_id, new=new_head(name="other")
        )
    copied = select(
        *(column if column.name != "version" else (column + 1) for column in tables.head_versions.c)
    )
    with pytest.raises(Exception, match="job_id"), store.database.begin() as tx:
        tx.execute(insert(tables.head_versions).from_select(list(tables.head_versions.c), copied))


def test_a_failed_job_says_why_and_where(store: Store, rows: Rows) -> None:
    job = rows.running()
    with store.database.begin() as tx:
        transitions.heartbeat(
            tx, job, lease_seconds=60, checkpoint={"a": "b" * 64}, stage="loading"
        )
        failed = transitions.fail(tx, job, error=ERROR)
    assert failed == rows.read(job)
    assert (failed.status, failed.error, failed.stage) == (JobStatus.FAILED, ERROR, "loading")
    assert (failed.lease_expires_at, failed.checkpoint) == (None, {})
    assert last_event(store, job) == {"error": ERROR}


def test_a_cancelled_job_is_final(store: Store, rows: Rows) -> None:
    job = rows.running()
    ask_to_cancel(store, job)
    with store.database.begin() as tx:
        cancelled = transitions.cancel(tx, job)
    assert cancelled.status is JobStatus.CANCELLED
    assert told(store, job)[-2:] == ["job.cancel_requested", "job.cancelled"]
    assert claim(store, job) is None


def test_a_released_job_gets_its_attempt_and_keeps_its_checkpoint(store: Store, rows: Rows) -> None:
    job = rows.running()
    with store.database.begin() as tx:
        transitions.heartbeat(
            tx, job, lease_seconds=60, checkpoint={"a": "b" * 64}, stage="training"
        )
        released = transitions.release(tx, job)
    assert released == rows.read(job)
    assert (released.status, released.attempt, released.stage) == (JobStatus.QUEUED, 0, None)
    assert released.checkpoint == {"a": "b" * 64}
    assert (released.lease_expires_at, released.not_before_at) == (None, None)
    assert last_event(store, job) == {"reason": "released", "attempt": 1}
    again = claim(store, job)
    assert again is not None
    assert (again.attempt, again.fence) == (1, 2)
    assert again.checkpoint == {"a": "b" * 64}
    assert again.started_at == job.started_at


def test_a_job_that_waits_says_why_and_spends_no_attempt(store: Store, rows: Rows) -> None:
    job = rows.running(max_attempts=1)
    reason = {"code": "away", "message": "Nobody answers.", "memory": {"n": 1}}
    with store.database.begin() as tx:
        waiting = transitions.wait(tx, job, reason=reason, delay_seconds=30, patience_seconds=60)
    assert waiting == rows.read(job)
    assert (waiting.status, waiting.attempt) == (JobStatus.QUEUED, 0)
    assert waiting.not_before_at is not None
    assert waiting.waiting is not None
    assert waiting.waiting["memory"] == {"n": 1}
    since = datetime.fromisoformat(waiting.waiting["since"])
    assert waiting.not_before_at - since == timedelta(seconds=30)
    assert last_event(store, job) == {
        "reason": "waiting",
        "attempt": 1,
        "code": "away",
        "message": "Nobody answers.",
        "until": waiting.not_before_at.isoformat(),
    }
    assert claim(store, job) is None, "not yet"
    ask_to_cancel(store, waiting)
    cancelled = rows.read(job)
    assert cancelled.status is JobStatus.CANCELLED
    assert cancelled.waiting is None


def test_a_job_waits_no_longer_than_patience_in_all(store: Store, rows: Rows) -> None:
    job = rows.running()
    with store.database.begin() as tx:
        failed = transitions.wait(tx, job, reason=ERROR, delay_seconds=30, patience_seconds=29)
    assert failed.status is JobStatus.FAILED
    assert failed.error is not None
    assert failed.error["code"] == ERROR["code"]
    assert ERROR["message"] in failed.error["message"]


def test_a_job_held_back_after_a_passing_error_says_which(store: Store, rows: Rows) -> None:
    job = rows.running()
    released = release(store, job, count_attempt=True, delay_seconds=30, error=ERROR)
    assert released.waiting is not None
    assert released.waiting | {"since": ""} == ERROR | {"since": ""}
    assert last_event(store, job)["message"] == ERROR["message"]


def test_a_transient_error_costs_an_attempt_and_the_last_one_fails_the_job(
    store: Store, rows: Rows
) -> None:
    job = rows.running(max_attempts=2)
    released = release(store, job, count_attempt=True, delay_seconds=0)
    assert (released.status, released.attempt) == (JobStatus.QUEUED, 1)
    second = rows.claimed(released)
    failed = release(store, second, count_attempt=True, error=ERROR)
    assert (failed.status, failed.attempt, failed.error) == (JobStatus.FAILED, 2, ERROR)


def test_attempts_that_ran_out_have_an_error_of_their_own(store: Store, rows: Rows) -> None:
    failed = release(store, rows.running(max_attempts=1), count_attempt=True)
    assert failed.error is not None
    assert failed.error["code"] == "attempts_exhausted"
    assert "Submit it again" in failed.error["message"]


def test_a_graceful_stop_never_uses_attempts_up(store: Store, rows: Rows) -> None:
    job = rows.running(max_attempts=1)
    for _ in range(5):
        released = release(store, job)
        assert released.status is JobStatus.QUEUED
        job = rows.claimed(released)
    assert (job.attempt, job.fence) == (1, 6)


def test_a_release_honours_a_cancel_that_was_asked_for(store: Store, rows: Rows) -> None:
    job = rows.running()
    ask_to_cancel(store, job)
    assert release(store, job).status is JobStatus.CANCELLED
