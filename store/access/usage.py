"""What each tenant has used in each month, counted in the transaction that used it or soon after.

Months are of the database's clock, in UTC.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select, update

from store import events
from store.database import tables
from store.database.connection import Transaction, insert_or_ignore

_usage = tables.usage.c


class Kind(StrEnum):
    """What is counted by the month."""

    PREDICTED_ROWS = "predicted_rows"
    TRAINING_SECONDS = "training_seconds"
    EMBEDDED_TOKENS = "embedded_tokens"


def add(tx: Transaction, tenant_id: str, kind: Kind, count: float, *, at: datetime) -> None:
    """Add to the count of the month that `at`, a moment of the database's clock, is in.

    A fraction is rounded up.
    """
    whole = math.ceil(count)
    if whole <= 0:
        return
    month = month_of(at)
    mine = (_usage.tenant_id == tenant_id, _usage.month == month, _usage.kind == kind.value)
    more = update(tables.usage).where(*mine).values(count=_usage["count"] + whole)
    if not tx.execute(more).rowcount:
        key = {"tenant_id": tenant_id, "month": month, "kind": kind.value}
        tx.execute(insert_or_ignore(tx, tables.usage).values(**key, count=0))
        tx.execute(more)


def add_attempt(tx: Transaction, tenant_id: str, job_id: str, *, ended_at: datetime) -> None:
    """Add the seconds of a training's attempt that ends in this transaction."""
    began = events.last_started(tx, tenant_id, job_id)
    if began is not None:
        seconds = (ended_at - began).total_seconds()
        add(tx, tenant_id, Kind.TRAINING_SECONDS, seconds, at=ended_at)


def of_month(
    tx: Transaction, tenant_ids: Iterable[str], month: str
) -> Mapping[str, Mapping[Kind, int]]:
    """The counts of these tenants in `2026-12`; every kind, 0 where nothing was used."""
    counts = {tenant_id: dict.fromkeys(Kind, 0) for tenant_id in tenant_ids}
    query = select(_usage.tenant_id, _usage.kind, _usage["count"]).where(
        _usage.month == month, _usage.tenant_id.in_(counts)
    )
    for tenant_id, kind, count in tx.execute(query):
        counts[tenant_id][Kind(kind)] = count
    return counts


def month_of(moment: datetime) -> str:
    """`2026-12`: the month as the table has it."""
    return f"{moment:%Y-%m}"


def end_of_month(moment: datetime) -> datetime:
    """When the next month begins."""
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if moment.month == 12:
        return first.replace(year=moment.year + 1, month=1)
    return first.replace(month=moment.month + 1)
