"""A job's events: numbered from 1 for each job, appended in the transaction that they report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select

from store.database import tables
from store.database.connection import Transaction
from store.database.cursors import check_limit

_events = tables.events.c


class EventType(StrEnum):
    """What happened; the API shows the value."""

    QUEUED = "job.queued"
    STARTED = "job.started"
    STAGE = "job.stage"
    PROGRESS = "job.progress"
    HEAD_PUBLISHED = "head.published"
    REQUEUED = "job.requeued"
    CANCEL_REQUESTED = "job.cancel_requested"
    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of one job."""

    sequence: int
    type: EventType
    data: dict[str, Any]
    created_at: datetime

    @property
    def id(self) -> str:
        """`evt_000012`: the sequence as the API shows it."""
        return f"evt_{self.sequence:06d}"


def add(
    tx: Transaction,
    tenant_id: str,
    job_id: str,
    *,
    last: int,
    at: datetime,
    new: Sequence[tuple[EventType | str, Mapping[str, object]]],
) -> None:
    """Write the events numbered up to `last`, whose numbers an UPDATE of the job's row reserved.

    `at` is the job's `updated_at` after that UPDATE, which never runs backwards.
    """
    first = last - len(new) + 1
    rows = [
        {
            "tenant_id": tenant_id,
            "job_id": job_id,
            "sequence": first + offset,
            "type": EventType(type_).value,
            "data": dict(data),
        }
        for offset, (type_, data) in enumerate(new)
    ]
    if rows:
        tx.execute(insert(tables.events).values(created_at=at), rows)


def page(
    tx: Transaction, tenant_id: str, job_id: str, *, after: int = 0, limit: int = 100
) -> list[Event]:
    """The events with a sequence above `after`, oldest first; empty for an unknown job."""
    rows = tx.execute(
        select(_events.sequence, _events.type, _events.data, _events.created_at)
        .where(_events.tenant_id == tenant_id, _events.job_id == job_id, _events.sequence > after)
        .order_by(_events.sequence)
        .limit(check_limit(limit))
    )
    return [
        Event(
            sequence=row.sequence,
            type=EventType(row.type),
            data=row.data,
            created_at=row.created_at,
        )
        for row in rows
    ]


def last_started(tx: Transaction, tenant_id: str, job_id: str) -> datetime | None:
    """When the job's last attempt began."""
    query = select(_events.created_at).where(
        _events.tenant_id == tenant_id,
        _events.job_id == job_id,
        _events.type == EventType.STARTED.value,
    )
    return tx.execute(query.order_by(_events.sequence.desc()).limit(1)).scalar_one_or_none()


def requeued_for(tx: Transaction, tenant_id: str, job_id: str, code: str) -> int:
    """How often the job went back to the queue because of an error with this code."""
    found = tx.execute(
        select(_events.data).where(
            _events.tenant_id == tenant_id,
            _events.job_id == job_id,
            _events.type == EventType.REQUEUED.value,
        )
    )
    return sum(row.data.get("code") == code for row in found)
