"""Delete a tenant: everything that is its own, rows and bytes, also while its jobs run.

The tables are those of the schema that have a tenant, so that none can be forgotten. Its running
jobs are asked to end first, so that their workers have put their last bytes; a worker that does not
answer loses its jobs, and what it writes afterwards is refused. The last transaction holds the
tenant's row, which whoever changes anything must be able to name (`audit.note`): what was under way
is either there to be deleted, or undone.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Table, delete, func, select, tuple_, update

from store import jobs, transitions
from store.access import audit, tenants
from store.database import tables
from store.database.conditions import has_status
from store.database.connection import Transaction
from store.jobs import COLUMNS, Job, job_of
from store.names import is_permanent
from store.states import JobStatus
from store.store import Store

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 60.0
"""How long running jobs may take to end: a worker hears of it within seconds."""

_LOOK_SECONDS: Final = 0.2
_ROWS_AT_ONCE: Final = 10_000

_jobs = tables.jobs.c
_tenants = tables.tenants.c


@dataclass(frozen=True, kw_only=True)
class Belongings:
    """What a tenant has, or had: its rows by table, and its bytes."""

    rows: Mapping[str, int]
    """Only the tables where it has any."""
    n_artifacts: int
    n_bytes: int


def owned_tables() -> list[Table]:
    """The tables whose rows have an owner, each before those that its rows refer to."""
    return [one for one in reversed(tables.metadata.sorted_tables) if "tenant_id" in one.c]


def belongings(store: Store, tenant_id: str) -> Belongings:
    """What would be deleted. Raises NotFound."""
    with store.database.read() as tx:
        tenants.get(tx, tenant_id)
        counts = {table.name: _count(tx, table, tenant_id) for table in owned_tables()}
    sizes = [item.size_bytes for item in store.artifacts.stored(tenant_id)]
    return Belongings(rows=_some(counts), n_artifacts=len(sizes), n_bytes=sum(sizes))


def delete_tenant(
    store: Store, tenant_id: str, *, patience_seconds: float = PATIENCE_SECONDS
) -> Belongings:
    """Delete the tenant and all that is its own; return what that was.

    The tenant of a server without keys is emptied, and stays. Blocking: first nobody may act for
    the tenant, then its jobs end, then the rows go, then the bytes. If it is interrupted, call it
    again. Raises NotFound, DatabaseUnavailable, StorageUnavailable.
    """
    with store.database.begin() as tx:
        tenants.get(tx, tenant_id)
        tenants.set_disabled(tx, tenant_id, disabled=True)
        for job_id in _unfinished(tx, tenant_id):
            jobs.request_cancel(tx, tenant_id, job_id)
    _let_jobs_end(store, tenant_id, patience_seconds)
    counts: dict[str, int] = {}
    for table in _leaves():
        counts[table.name] = _delete_by_parts(store, table, tenant_id)
    began = datetime.now(UTC)  # what is stored from now on may belong to the emptied tenant
    with store.database.begin() as tx:
        # Whoever is acting for the tenant ends first, or fails afterwards.
        tx.execute(
            select(_tenants.tenant_id).where(_tenants.tenant_id == tenant_id).with_for_update()
        )
        for table in owned_tables():
            if table is tables.tenants and is_permanent(tenant_id):
                _reset(tx, tenant_id)
                continue
            n = tx.execute(delete(table).where(table.c.tenant_id == tenant_id)).rowcount
            counts[table.name] = counts.get(table.name, 0) + n
    sizes = [
        one.size_bytes
        for one in store.artifacts.stored(tenant_id)
        if store.artifacts.delete(tenant_id, one.sha256, unless_put_after=began)
    ]
    found = Belongings(rows=_some(counts), n_artifacts=len(sizes), n_bytes=sum(sizes))
    log.info("tenant.deleted tenant_id=%s %s", tenant_id, found)
    return found


def _let_jobs_end(store: Store, tenant_id: str, patience_seconds: float) -> None:
    """Wait for the workers of running jobs to stop; take the jobs from those that do not."""
    until = time.monotonic() + patience_seconds
    while time.monotonic() < until:
        with store.database.read() as tx:
            if not _running(tx, tenant_id):
                return
        time.sleep(_LOOK_SECONDS)
    with store.database.begin() as tx:
        for job in _running(tx, tenant_id):
            transitions.cancel(tx, job)
            log.warning("tenant.job_taken job_id=%s worker=%s", job.id, job.worker)


def _unfinished(tx: Transaction, tenant_id: str) -> list[str]:
    query = select(_jobs.id).where(
        _jobs.tenant_id == tenant_id, has_status(JobStatus.QUEUED, JobStatus.RUNNING)
    )
    return list(tx.execute(query).scalars())


def _running(tx: Transaction, tenant_id: str) -> list[Job]:
    query = select(*COLUMNS).where(_jobs.tenant_id == tenant_id, has_status(JobStatus.RUNNING))
    return [job_of(row) for row in tx.execute(query)]


def _leaves() -> list[Table]:
    """The tables that no other refers to: they can be emptied in any order, in many steps."""
    referred = {key.column.table for table in owned_tables() for key in table.foreign_keys}
    return [table for table in owned_tables() if table not in referred]


def _delete_by_parts(store: Store, table: Table, tenant_id: str) -> int:
    """Delete its rows without holding the database for long: there may be millions."""
    key = list(table.primary_key.columns)
    some = select(*key).where(table.c.tenant_id == tenant_id).limit(_ROWS_AT_ONCE)
    n_deleted = 0
    while True:
        with store.database.begin() as tx:
            n = tx.execute(delete(table).where(tuple_(*key).in_(some))).rowcount
        n_deleted += n
        if n < _ROWS_AT_ONCE:
            return n_deleted


def _reset(tx: Transaction, tenant_id: str) -> None:
    """The row of a tenant that stays, as that of a new one."""
    tenants.set_disabled(tx, tenant_id, disabled=False)
    mine = update(tables.tenants).where(_tenants.tenant_id == tenant_id)
    tx.execute(mine.values(limits=None))
    audit.note(tx, audit.operator(tenant_id), "tenant.emptied", tenant_id)


def _count(tx: Transaction, table: Table, tenant_id: str) -> int:
    mine = select(func.count()).select_from(table).where(table.c.tenant_id == tenant_id)
    n: int = tx.execute(mine).scalar_one()
    return n


def _some(counts: Mapping[str, Any]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts) if counts[name]}
