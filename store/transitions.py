"""What workers do to jobs: claim, heartbeat, finish, give back, and the sweep.

Every write after a claim has the condition `leases.is_mine` (running, with our fence): a worker
whose lease was taken over writes nothing and gets LeaseLost. Leases go by the database's clock, and
a moment that no lease or delay can reach counts as past: the clock was set back since.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, or_, select, update

from store import events, first_head
from store.access import usage
from store.database import tables
from store.database.clock import now, read_clock, seconds_from_now
from store.database.conditions import has_kind, has_status
from store.database.connection import Transaction
from store.events import EventType
from store.job_encoder import note_encoder as note_encoder
from store.jobs import COLUMNS, DONE, NOT_BEFORE_NOW, QUEUES, Job, job_of, move
from store.leases import (
    SLACK_SECONDS,
    RunningLease,
    hold,
    is_mine,
    is_over,
    lost,
    stands,
    worker_lost,
)
from store.registry.heads import NewHeadVersion
from store.states import JobKind, JobStatus

log = logging.getLogger(__name__)

LONGEST_DELAY_SECONDS: Final = 3600.0
"""The longest time that a job is held back; longer delays are cut to it."""

_jobs = tables.jobs.c
_SHOWN = ("code", "message", "stage", "row", "split")  # what an owner sees of a reason
_HEARTBEAT_EVENTS = frozenset({EventType.STAGE, EventType.PROGRESS})


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """The ids of the jobs a sweep moved on."""

    requeued: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()


def claim(tx: Transaction, job_id: str, *, worker: str, lease_seconds: float) -> Job | None:
    """Take this job if it is queued and due; None means drop the message.

    Crosses tenants by nature: a message carries only the id, and every later write uses the claimed
    job's own tenant.
    """
    return _claim(tx, _jobs.id == job_id, worker=worker, lease_seconds=lease_seconds)


def claim_next(
    tx: Transaction,
    *,
    worker: str,
    lease_seconds: float,
    queues: Sequence[str] = QUEUES,
    kind: JobKind | None = None,
) -> Job | None:
    """Take the first due job from the first of `queues` that has one; None if no job is due.

    kind: take only jobs of this kind. The order is by priority, then by turn, which shares the
    workers fairly between tenants, then by age. Crosses tenants by nature.
    """
    for queue in queues:
        first = _in_order(queue, kind).limit(1).with_for_update(skip_locked=True)
        which = _jobs.id == first.scalar_subquery()
        job = _claim(tx, which, worker=worker, lease_seconds=lease_seconds)
        if job is not None:
            return job
    return None


def due(tx: Transaction, queue: str, *, limit: int, kind: JobKind | None = None) -> tuple[str, ...]:
    """The ids of up to `limit` due jobs of the queue, in the order in which they start."""
    return tuple(tx.execute(_in_order(queue, kind).limit(limit)).scalars())


def heartbeat(
    tx: Transaction,
    job: Job,
    *,
    lease_seconds: float,
    stage: str | None = None,
    progress: Mapping[str, object] | None = None,
    checkpoint: Mapping[str, str] | None = None,
    events: Sequence[tuple[EventType | str, Mapping[str, object]]] = (),
) -> bool:
    """Renew the lease, write what is given, and return whether cancel was requested.

    None leaves a field as it is; `checkpoint` replaces the whole mapping. `events` are
    `("job.stage" | "job.progress", data)` pairs, appended in order. Raises LeaseLost.
    """
    if any(EventType(type_) not in _HEARTBEAT_EVENTS for type_, _ in events):
        raise ValueError("a heartbeat appends job.stage and job.progress events only")
    given = {"stage": stage, "progress": progress, "checkpoint": checkpoint}
    row = tx.execute(
        update(tables.jobs)
        .where(*is_mine(job))
        .values(
            lease_expires_at=seconds_from_now(lease_seconds),
            updated_at=NOT_BEFORE_NOW,
            n_events=_jobs.n_events + len(events),
            **{name: value for name, value in given.items() if value is not None},
        )
        .returning(_jobs.cancel_requested_at, _jobs.n_events, _jobs.updated_at)
    ).one_or_none()
    if row is None:
        raise lost(job)
    _append(tx, job.tenant_id, job.id, last=row.n_events, at=row.updated_at, new=events)
    return row.cancel_requested_at is not None


_append = events.add  # `events` is a parameter's name above


def succeed(
    tx: Transaction, job: Job, *, report_sha256: str | None, head: NewHeadVersion, **values: Any
) -> Job:
    """Finish the job: report, alias and status in one transaction, and the head if it is not out.

    report_sha256: None for a migration, which has no report. values: further columns to write.
    A head that was published before stays the version that it is. The row and the event say what
    happened to the alias. The bytes must be stored before. Wins over a requested cancel. Raises
    LeaseLost before anything is written.
    """
    held = hold(tx, job)
    if held.head_version is None:
        held = first_head.put(tx, held, head=head)
        alias = held.alias_outcome
    else:
        alias = first_head.settle_alias(tx, held, head=head)
    data = {"head": first_head.reference(held), "alias": alias, **DONE}
    return _leave(
        tx,
        held,
        JobStatus.SUCCEEDED,
        (EventType.SUCCEEDED, data),
        alias_outcome=alias,
        report_sha256=report_sha256,
        **values,
    )


def deliver(tx: Transaction, job: Job, *, output_sha256: str, output: Mapping[str, object]) -> Job:
    """Finish a prediction: the file it wrote and the status in one transaction.

    The bytes must be stored before. Wins over a requested cancel. Raises LeaseLost.
    """
    described: dict[str, Any] = dict(output)
    ended = _leave(
        tx,
        job,
        JobStatus.SUCCEEDED,
        (EventType.SUCCEEDED, {"output": described, **DONE}),
        output_sha256=output_sha256,
        output=described,
    )
    n_rows = described.get("n_rows", 0)
    usage.add(tx, job.tenant_id, usage.Kind.PREDICTED_ROWS, n_rows, at=ended.updated_at)
    return ended


def fail(tx: Transaction, job: Job, *, error: Mapping[str, object]) -> Job:
    """End the job as failed; `error` has a stable `code` and a `message`. Raises LeaseLost.

    If its head is published already, it stays, and the message says so.
    """
    described = first_head.explained(hold(tx, job), error)
    return _leave(
        tx, job, JobStatus.FAILED, (EventType.FAILED, {"error": described}), error=described
    )


def cancel(tx: Transaction, job: Job) -> Job:
    """End the job as cancelled, after a heartbeat reported the request. Raises LeaseLost."""
    return _leave(tx, job, JobStatus.CANCELLED, (EventType.CANCELLED, {}))


def release(
    tx: Transaction,
    job: Job,
    *,
    delay_seconds: float = 0.0,
    count_attempt: bool = False,
    error: Mapping[str, object] | None = None,
) -> Job:
    """Give the job back to the queue, due after `delay_seconds`; its checkpoint stays.

    A graceful stop leaves `count_attempt` False, and the attempt does not count. A passing error
    sets it, and after the last attempt the job fails with `error`. A job with a requested cancel is
    cancelled instead. The returned job shows which. Raises LeaseLost.
    """
    default = {
        "code": "attempts_exhausted",
        "message": f"A temporary error stopped each of the job's {job.max_attempts} attempts. "
        "Submit it again later; the server's log has the causes.",
    }
    return _requeue_or_end(
        tx,
        hold(tx, job),
        reason="released",
        delay_seconds=delay_seconds,
        count_attempt=count_attempt,
        error=error or default,
        code=None if error is None else error.get("code"),
    )


def wait(
    tx: Transaction,
    job: Job,
    *,
    reason: Mapping[str, object],
    delay_seconds: float,
    patience_seconds: float,
) -> Job:
    """Give the job back to the queue while it waits for something outside; no attempt counts.

    `reason` has a `code` and a `message`. The row keeps it with `since`, when the job began to wait
    in vain; `patience_seconds` later the job fails with the reason. If a cancel was requested, the
    job is cancelled. Raises LeaseLost.
    """
    held = hold(tx, job)
    if held.cancel_requested_at is not None:
        return cancel(tx, held)
    moment = read_clock(tx)
    since = (held.waiting or {}).get("since") or moment.isoformat()
    waited = (moment - datetime.fromisoformat(since)).total_seconds()
    if waited + delay_seconds > patience_seconds:
        kept = {name: one for name, one in reason.items() if name in _SHOWN}
        message = f"{reason['message']} The job waited for {waited / 3600:.1f} hours."
        return fail(tx, held, error={**kept, "message": message})
    until = _after(moment, delay_seconds)
    data = {"reason": "waiting", "attempt": held.attempt, "until": until.isoformat()}
    return _leave(
        tx,
        held,
        JobStatus.QUEUED,
        (EventType.REQUEUED, data | {name: reason[name] for name in ("code", "message")}),
        attempt=held.attempt - 1,
        not_before_at=until,
        waiting={**reason, "since": since},
    )


def sweep(
    tx: Transaction, *, limit: int = 100, leases: Sequence[RunningLease] | None = None
) -> SweepResult:
    """Move on up to `limit` running jobs whose worker is gone or stuck.

    These are the jobs of `leases` that were not renewed since they were read, or without `leases`
    the jobs whose lease is over by the database's clock. They go to the queue if attempts are left,
    else to failed (`worker_lost`), or to cancelled if that was requested. Safe in any number of
    processes. Crosses tenants by nature.
    """
    if leases is not None and not leases:
        return SweepResult()
    which = is_over() if leases is None else or_(*map(stands, leases[:limit]))
    expired = tx.execute(
        select(*COLUMNS)
        .where(has_status(JobStatus.RUNNING), which)
        .order_by(_jobs.lease_expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    moved: dict[JobStatus, list[str]] = {status: [] for status in JobStatus}
    for held in map(job_of, expired):
        job = _requeue_or_end(
            tx, held, reason="worker_lost", count_attempt=True, error=worker_lost(held)
        )
        log.warning("job.swept job_id=%s status=%s attempt=%d", job.id, job.status, job.attempt)
        moved[job.status].append(job.id)
    return SweepResult(
        requeued=tuple(moved[JobStatus.QUEUED]),
        failed=tuple(moved[JobStatus.FAILED]),
        cancelled=tuple(moved[JobStatus.CANCELLED]),
    )


def _claim(
    tx: Transaction, which: ColumnElement[bool], *, worker: str, lease_seconds: float
) -> Job | None:
    return move(
        tx,
        which,
        *_is_due(),
        values={
            "status": JobStatus.RUNNING.value,
            "fence": _jobs.fence + 1,
            "attempt": _jobs.attempt + 1,
            "worker": worker[:255],
            "lease_expires_at": seconds_from_now(lease_seconds),
            "not_before_at": None,
            "started_at": func.coalesce(_jobs.started_at, NOT_BEFORE_NOW),
        },
        event=lambda job: (
            EventType.STARTED,
            {"attempt": job.attempt, "max_attempts": job.max_attempts},
        ),
    )


def _in_order(queue: str, kind: JobKind | None = None) -> Select[str]:
    """The ids of the due jobs of a queue, in the order in which they start."""
    of_kind = [] if kind is None else [has_kind(kind)]
    return (
        select(_jobs.id)
        .where(_jobs.queue == queue, *_is_due(), *of_kind)
        .order_by(_jobs.precedence, _jobs.turn, _jobs.created_at, _jobs.id)
    )


def _is_due() -> tuple[ColumnElement[bool], ...]:
    return (
        has_status(JobStatus.QUEUED),
        or_(
            _jobs.not_before_at.is_(None),
            _jobs.not_before_at <= now(),
            _jobs.not_before_at > seconds_from_now(LONGEST_DELAY_SECONDS + SLACK_SECONDS),
        ),
    )


def _requeue_or_end(
    tx: Transaction,
    held: Job,
    *,
    reason: str,
    delay_seconds: float = 0.0,
    count_attempt: bool,
    error: Mapping[str, object],
    code: object = None,
) -> Job:
    """code: the code of the error that sends it back, for the event."""
    if held.cancel_requested_at is not None:
        return cancel(tx, held)
    if count_attempt and held.attempt >= held.max_attempts:
        return fail(tx, held, error=error)
    data: dict[str, object] = {"reason": reason, "attempt": held.attempt}
    if code is not None:
        data["code"] = code
    values: dict[str, object] = {"not_before_at": None}
    if delay_seconds > 0:
        why = {name: one for name, one in error.items() if name in _SHOWN}
        moment = read_clock(tx)
        until = _after(moment, delay_seconds)
        data |= {**why, "until": until.isoformat()}
        values = {"not_before_at": until, "waiting": {**why, "since": moment.isoformat()}}
    attempt = held.attempt if count_attempt else held.attempt - 1
    return _leave(tx, held, JobStatus.QUEUED, (EventType.REQUEUED, data), attempt=attempt, **values)


def _after(moment: datetime, delay_seconds: float) -> datetime:
    return moment + timedelta(seconds=min(delay_seconds, LONGEST_DELAY_SECONDS))


def _leave(
    tx: Transaction,
    job: Job,
    status: JobStatus,
    event: tuple[EventType, Mapping[str, object]],
    **values: Any,
) -> Job:
    """Move a running job that is ours to another status. Raises LeaseLost."""
    common: dict[str, Any] = {"status": status.value, "lease_expires_at": None}
    if status is not JobStatus.FAILED:
        common["stage"] = None
    if status.is_final:
        common |= {"finished_at": NOT_BEFORE_NOW, "checkpoint": {}, "waiting": None}
    moved = move(tx, *is_mine(job), values=common | values, event=lambda _: event)
    if moved is None:
        raise lost(job)
    if moved.kind is not JobKind.PREDICTION:
        usage.add_attempt(tx, moved.tenant_id, moved.id, ended_at=moved.updated_at)
    return moved
