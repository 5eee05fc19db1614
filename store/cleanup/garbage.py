"""The garbage collection: remove bytes that no row names, and answers kept long enough."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, null, select, true, union, update

from store import idempotency, job_files
from store.access import audit
from store.database import tables
from store.database.clock import seconds_from_now
from store.database.conditions import has_status
from store.database.connection import Transaction
from store.embedding import text_vectors
from store.jobs import NOT_BEFORE_NOW
from store.states import JobStatus
from store.store import Store
from store.webhooks import deliveries

log = logging.getLogger(__name__)

OUTPUTS_KEPT_SECONDS: Final = 30 * 86_400.0
"""How long the output of a prediction is kept after the job has ended."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What a collection removed."""

    n_artifacts: int
    n_bytes: int
    n_leftovers: int
    n_idempotency_keys: int


def collect(
    store: Store,
    *,
    older_than_seconds: float = 86_400.0,
    job_files_days: float = 0,
    audit_days: float = 0,
) -> Collected:
    """Remove bytes of all tenants that no row names, leftovers of broken puts, and old answers.

    job_files_days, audit_days: how long a job's further files and the audit are kept; 0: for ever.

    Young bytes stay, because their row may be about to be written: putting makes bytes young, and a
    row follows its bytes within minutes. Safe beside running doors and in several processes.
    """
    with store.database.begin() as tx:
        n_keys = idempotency.prune(tx)
        text_vectors.prune(tx)
        deliveries.prune(tx)
        _expire_outputs(tx)
        job_files.expire(tx, days=job_files_days)
        audit.prune(tx, days=audit_days)
    with store.database.read() as tx:
        found = named(tx)
    old = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
    n_artifacts = n_bytes = 0
    for item in store.artifacts.stored():
        if (item.tenant_id, item.sha256) in found:
            continue
        if store.artifacts.delete(item.tenant_id, item.sha256, unless_put_after=old):
            n_artifacts += 1
            n_bytes += item.size_bytes
    collected = Collected(
        n_artifacts=n_artifacts,
        n_bytes=n_bytes,
        n_leftovers=store.artifacts.remove_leftovers(older_than_seconds=older_than_seconds),
        n_idempotency_keys=n_keys,
    )
    log.info("garbage.collect %s", collected)
    return collected


def _expire_outputs(tx: Transaction) -> None:
    """Forget old outputs of predictions of all tenants; their bytes are then collected too."""
    jobs = tables.jobs.c
    old = jobs.finished_at <= seconds_from_now(-OUTPUTS_KEPT_SECONDS)
    tx.execute(
        update(tables.jobs)
        .where(jobs.output_sha256.is_not(None), old)
        .values(output_sha256=None, output=null(), updated_at=NOT_BEFORE_NOW)
    )


def named(tx: Transaction, tenant_id: str | None = None) -> set[tuple[str, str]]:
    """(tenant, sha256) of all bytes that a row names, of one tenant or of all."""
    jobs, versions, datasets = tables.jobs.c, tables.head_versions.c, tables.datasets.c
    parts, files = tables.upload_parts.c, tables.job_files.c
    local = tables.local_encoders.c

    def mine(column: ColumnElement[str]) -> ColumnElement[bool]:
        return true() if tenant_id is None else column == tenant_id

    hashes = union(
        select(datasets.tenant_id, datasets.sha256).where(mine(datasets.tenant_id)),
        select(versions.tenant_id, versions.sha256).where(mine(versions.tenant_id)),
        select(local.tenant_id, local.sha256).where(mine(local.tenant_id)),
        select(parts.tenant_id, parts.sha256).where(mine(parts.tenant_id)),
        select(files.tenant_id, files.sha256).where(
            mine(files.tenant_id), files.sha256.is_not(None)
        ),
        select(jobs.tenant_id, jobs.report_sha256).where(
            mine(jobs.tenant_id), jobs.report_sha256.is_not(None)
        ),
        select(jobs.tenant_id, jobs.output_sha256).where(
            mine(jobs.tenant_id), jobs.output_sha256.is_not(None)
        ),
    )
    checkpoints = select(jobs.tenant_id, jobs.checkpoint).where(
        mine(jobs.tenant_id), has_status(JobStatus.QUEUED, JobStatus.RUNNING)
    )
    found = {(row.tenant_id, row.sha256) for row in tx.execute(hashes)}
    for row in tx.execute(checkpoints):
        found |= {(row.tenant_id, sha256) for sha256 in row.checkpoint.values()}
    return found
