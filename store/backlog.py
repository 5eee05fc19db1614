"""The backlog for an operator: how many jobs wait and run, and since when.

Crosses tenants by nature: workers serve all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from store.database import tables
from store.database.clock import now
from store.database.conditions import has_status
from store.database.connection import Transaction
from store.jobs import QUEUES
from store.states import JobStatus

_jobs = tables.jobs.c


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """The unfinished jobs when it was read; seconds are by the database's clock."""

    n_queued: Mapping[str, int]
    """By queue."""
    n_running: Mapping[str, int]
    """By queue."""
    oldest_queued_seconds: Mapping[str, float]
    """By queue: the age of the oldest queued job; 0 if no job is queued."""
    shortest_lease_seconds: float | None
    """The time until the first lease runs out, negative if it has; None if no job is running."""


def read(tx: Transaction) -> Backlog:
    """The backlog, by one statement that reads only unfinished jobs."""
    rows = tx.execute(
        select(
            _jobs.queue,
            _jobs.status,
            func.count().label("n"),
            func.min(_jobs.created_at).label("oldest"),
            func.min(_jobs.lease_expires_at).label("first_expiry"),
            now().label("now"),
        )
        .where(has_status(JobStatus.QUEUED, JobStatus.RUNNING))
        .group_by(_jobs.queue, _jobs.status)
    ).all()
    queued = {row.queue: row for row in rows if row.status == JobStatus.QUEUED}
    running = {row.queue: row for row in rows if row.status == JobStatus.RUNNING}
    leases = [_seconds(row.now, row.first_expiry) for row in running.values()]
    return Backlog(
        n_queued=dict.fromkeys(QUEUES, 0) | {name: row.n for name, row in queued.items()},
        n_running=dict.fromkeys(QUEUES, 0) | {name: row.n for name, row in running.items()},
        oldest_queued_seconds=dict.fromkeys(QUEUES, 0.0)
        | {name: _seconds(row.oldest, row.now) for name, row in queued.items()},
        shortest_lease_seconds=min(leases, default=None),
    )


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
