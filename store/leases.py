"""Leases and fences: who holds a running job, and which leases are over."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, not_, select

from store.database import tables
from store.database.clock import now, seconds_from_now
from store.database.conditions import has_status
from store.database.connection import Transaction
from store.errors import LeaseLost
from store.jobs import COLUMNS, Job, job_of
from store.states import JobStatus

LONGEST_LEASE_SECONDS: Final = 3600.0
"""The longest lease that a worker may ask for."""
SLACK_SECONDS: Final = 60.0
"""Usual corrections set a clock back by no more than this."""

_jobs = tables.jobs.c


@dataclass(frozen=True, kw_only=True)
class RunningLease:
    """The lease of a running job as it was read; each heartbeat changes it."""

    job_id: str
    fence: int
    expires_at: datetime
    is_over: bool
    """By the database's clock: it has run out, or ends later than any lease can end."""
    is_cancelled: bool
    """Whether a cancel was requested; a living worker learns it with its next heartbeat."""


def running_leases(tx: Transaction) -> tuple[RunningLease, ...]:
    """The leases of all running jobs, by their end. Crosses tenants by nature."""
    rows = tx.execute(
        select(
            _jobs.id,
            _jobs.fence,
            _jobs.lease_expires_at,
            is_over().label("is_over"),
            _jobs.cancel_requested_at.is_not(None).label("is_cancelled"),
        )
        .where(has_status(JobStatus.RUNNING))
        .order_by(_jobs.lease_expires_at)
    )
    return tuple(
        RunningLease(
            job_id=row.id,
            fence=row.fence,
            expires_at=row.lease_expires_at,
            is_over=bool(row.is_over),
            is_cancelled=bool(row.is_cancelled),
        )
        for row in rows
    )


def is_over() -> ColumnElement[bool]:
    """Whether a lease has run out, or ends later than any lease can end."""
    ends = _jobs.lease_expires_at
    latest_end = seconds_from_now(LONGEST_LEASE_SECONDS + SLACK_SECONDS)
    return not_(and_(ends > now(), ends <= latest_end))


def stands(lease: RunningLease) -> ColumnElement[bool]:
    """Whether the job is still held under this very lease, not renewed since it was read."""
    return and_(
        _jobs.id == lease.job_id,
        _jobs.fence == lease.fence,
        _jobs.lease_expires_at == lease.expires_at,
    )


def is_mine(job: Job) -> tuple[ColumnElement[bool], ...]:
    """The condition of every write after a claim: the job still runs under the fence of `job`."""
    return (
        _jobs.tenant_id == job.tenant_id,
        _jobs.id == job.id,
        has_status(JobStatus.RUNNING),
        _jobs.fence == job.fence,
    )


def hold(tx: Transaction, job: Job) -> Job:
    """The job as it is now, its row locked and still ours. Raises LeaseLost."""
    row = tx.execute(select(*COLUMNS).where(*is_mine(job)).with_for_update()).one_or_none()
    if row is None:
        raise lost(job)
    return job_of(row)


def lost(job: Job) -> LeaseLost:
    """The error of a write that met another fence or status."""
    return LeaseLost(f"{job.id} is no longer held under fence {job.fence}: stop working on it.")


def worker_lost(job: Job) -> dict[str, object]:
    """The error of a job whose worker was lost in its last attempt."""
    return {
        "code": "worker_lost",
        "message": f"The worker stopped answering in attempt {job.attempt} of {job.max_attempts}, "
        "and no attempts are left. Its machine may have restarted, lost the database, or killed it "
        "for lack of memory: see its log and the kernel's. Submit the job again.",
    }
