"""Home of the backlog: how many jobs wait and run, and since when, for an operator.

Crosses tenants by nature: workers serve all of them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect, func, select

from store import tables
from store.clock import now
from store.database import Transaction
from store.states import JobStatus
from store.tables import has_status

_jobs = tables.jobs.c


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What was unfinished when it was read; seconds are by the database's clock."""

    n_queued: int
    n_running: int
    oldest_queued_seconds: float
    """Since the oldest queued job was submitted; 0 if none is queued."""
    shortest_lease_seconds: float | None
    """Until the first lease runs out, negative if it has; None if no job is running."""


def read(tx: Transaction) -> Backlog:
    """The backlog, by one statement that looks at unfinished jobs alone."""

    def of(status: JobStatus, value: Any) -> ScalarSelect[Any]:
        return select(value).select_from(tables.jobs).where(has_status(status)).scalar_subquery()

    row = tx.execute(
        select(
            now().label("now"),
            of(JobStatus.QUEUED, func.count()).label("n_queued"),
            of(JobStatus.QUEUED, func.min(_jobs.created_at)).label("oldest"),
            of(JobStatus.RUNNING, func.count()).label("n_running"),
            of(JobStatus.RUNNING, func.min(_jobs.lease_expires_at)).label("first_expiry"),
        )
    ).one()
    return Backlog(
        n_queued=row.n_queued,
        n_running=row.n_running,
        oldest_queued_seconds=_seconds(row.oldest, row.now) or 0.0,
        shortest_lease_seconds=_seconds(row.now, row.first_expiry),
    )


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()
