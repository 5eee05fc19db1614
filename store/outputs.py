"""The outputs of predictions: the file that a job wrote, and its deletion with its bytes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import null, select, update

from store import jobs
from store.cleanup import garbage
from store.database import tables
from store.database.conditions import has_status
from store.database.connection import Transaction
from store.errors import OutputNotReady
from store.jobs import NOT_BEFORE_NOW, Job
from store.states import JobKind, JobStatus

_jobs = tables.jobs.c

_ROW_FOLLOWS_WITHIN: Final = timedelta(minutes=15)
"""A running job puts bytes at most this long before a row names them."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """A file that a prediction wrote; `sha256` names its bytes."""

    sha256: str
    size_bytes: int
    format: str
    n_rows: int


@dataclass(frozen=True, kw_only=True)
class Unnamed:
    """Bytes that no row of their tenant names any longer: remove them in the transaction."""

    tenant_id: str
    sha256: str
    unless_put_after: datetime
    """Leave younger bytes to the garbage collection: a running job may be about to name them."""


def of_job(job: Job) -> Output:
    """The job's output. Raises OutputNotReady with the reason if there is none."""
    if job.output_sha256 is not None and job.output is not None:
        known: dict[str, Any] = job.output
        return Output(
            sha256=job.output_sha256,
            size_bytes=known["size_bytes"],
            format=known["format"],
            n_rows=known["n_rows"],
        )
    if job.kind is not JobKind.PREDICTION:
        raise OutputNotReady("The job trains a head: it has a report and no output file.")
    if job.status is JobStatus.SUCCEEDED:
        raise OutputNotReady("The job's output was deleted or has expired. Predict again.")
    if job.status.is_final:
        raise OutputNotReady(f"The job is {job.status.value} and has no output. Predict again.")
    raise OutputNotReady(f"The job is {job.status.value}. Wait until it has succeeded.")


def delete(tx: Transaction, tenant_id: str, job_id: str) -> Unnamed | None:
    """Delete the job's output; return the bytes to remove before this transaction ends, or None.

    The job itself stays. Raises NotFound, and OutputNotReady if there is none.
    """
    row = tx.execute(
        select(_jobs.output_sha256)
        .where(_jobs.tenant_id == tenant_id, _jobs.id == job_id)
        .with_for_update()
    ).one_or_none()
    if row is None or row.output_sha256 is None:
        of_job(jobs.get(tx, tenant_id, job_id))  # raises
        return None
    return _forget(tx, tenant_id, job_id, row.output_sha256)


def _forget(tx: Transaction, tenant_id: str, job_id: str, sha256: str) -> Unnamed | None:
    began = datetime.now(UTC)
    tx.execute(
        update(tables.jobs)
        .where(_jobs.tenant_id == tenant_id, _jobs.id == job_id)
        .values(output_sha256=None, output=null(), updated_at=NOT_BEFORE_NOW)
    )
    # Another prediction of the same rows by the same head has the same bytes. This comes before
    # `named`: a job that ends in between is then seen by its row.
    is_running = tx.execute(
        select(_jobs.id).where(_jobs.tenant_id == tenant_id, has_status(JobStatus.RUNNING)).limit(1)
    ).one_or_none()
    if (tenant_id, sha256) in garbage.named(tx, tenant_id):
        return None
    return Unnamed(
        tenant_id=tenant_id,
        sha256=sha256,
        unless_put_after=began - _ROW_FOLLOWS_WITHIN if is_running else began,
    )
