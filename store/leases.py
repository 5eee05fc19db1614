"""The leases of running jobs as a sweep sees them: which are over, which still stand as read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, not_, select

from store.database import tables
from store.database.clock import now, seconds_from_now
from store.database.connection import Transaction
from store.database.tables import has_status
from store.jobs import Job
from store.states import JobStatus

LONGEST_LEASE_SECONDS: Final = 3600.0
"""What a worker may ask for."""
SLACK_SECONDS: Final = 60.0
"""By so much a clock is set back in its usual corrections."""

_jobs = tables.jobs.c


@dataclass(frozen=True, kw_only=True)
class RunningLease:
    """The lease of a running job as it was read: each heartbeat makes another one of it."""

    job_id: str
    fence: int
    expires_at: datetime
    is_over: bool
    """By the database's clock: it has run out, or ends later than any lease can."""
    is_cancelled: bool
    """Whether a cancel was asked for, which a living worker hears with its next heartbeat."""


def running_leases(tx: Transaction) -> tuple[RunningLease, ...]:
    """The leases of all running jobs, the one that ends first first. Crosses tenants by nature."""
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
    """Whether a lease has run out, or ends later than any can."""
    ends = _jobs.lease_expires_at
    latest_end = seconds_from_now(LONGEST_LEASE_SECONDS + SLACK_SECONDS)
    return not_(and_(ends > now(), ends <= latest_end))


def stands(lease: RunningLease) -> ColumnElement[bool]:
    """Whether the job is still held under this lease, which no heartbeat has renewed since."""
    return and_(
        _jobs.id == lease.job_id,
        _jobs.fence == lease.fence,
        _jobs.lease_expires_at == lease.expires_at,
    )


def worker_lost(job: Job) -> dict[str, object]:
    """What is said of a job whose worker was lost in its last attempt."""
    return {
        "code": "worker_lost",
        "message": f"The worker stopped answering in attempt {job.attempt} of {job.max_attempts}, "
        "and no attempts are left: its machine was restarted, lost the database, or ended it, "
        "which a kernel short of memory does too. Its log and the kernel's tell which; submit the "
        "job again.",
    }
