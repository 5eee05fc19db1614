"""What a tenant may have at once, checked in the transaction that would exceed it.

Where a limit holds, the tenant's row is locked until the transaction ends, so that of two requests
at once the second one sees what the first one added: call these before anything else is written.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, cast, func, select, union

from store.access import usage
from store.access.limits import Limits
from store.access.usage import Kind
from store.database import tables
from store.database.clock import read_clock
from store.database.conditions import has_kind, has_status
from store.database.connection import Transaction
from store.errors import MonthlyQuotaReached, QuotaReached
from store.states import JobKind, JobStatus

_tenants = tables.tenants.c
_jobs = tables.jobs.c
_versions = tables.head_versions.c
_UNFINISHED: Final = has_status(JobStatus.QUEUED, JobStatus.RUNNING)


def check_stored_bytes(
    tx: Transaction,
    tenant_id: str,
    defaults: Limits,
    *,
    more: int,
    but_upload: str | None = None,
) -> None:
    """Raise QuotaReached if so many bytes more are too many.

    but_upload: the upload that they come from, whose bytes do not count a second time.
    """
    allowed = _held(tx, tenant_id, defaults, "stored_bytes").stored_bytes
    if allowed is None:
        return
    used = stored_bytes(tx, tenant_id, but_upload=but_upload)
    if used + max(more, 1) > allowed:
        raise QuotaReached(
            f"This tenant may store {allowed:,} bytes (limit stored_bytes) and has {used:,}; this "
            f"needs {more:,} more. Delete datasets, heads, outputs or uploads, or ask the operator "
            "for more.",
            limit="stored_bytes",
            allowed=allowed,
            used=used,
        )


def check_training(tx: Transaction, tenant_id: str, defaults: Limits, *, head: str) -> None:
    """Raise QuotaReached if one more unfinished job, or the head that it will publish, is too many.

    A head counts from the submission on, so that no training is in vain.
    """
    limits = check_job(tx, tenant_id, defaults, "heads")
    if limits.heads is not None:
        _check_head(tx, tenant_id, limits.heads, head)


def check_job(tx: Transaction, tenant_id: str, defaults: Limits, *others: str) -> Limits:
    """Raise QuotaReached if one more unfinished job is too many; the tenant's limits.

    others: limits beside this one for which the tenant's row is to be locked.
    """
    limits = _held(tx, tenant_id, defaults, "unfinished_jobs", *others)
    allowed = limits.unfinished_jobs
    if allowed is not None and (used := unfinished_jobs(tx, tenant_id)) >= allowed:
        raise QuotaReached(
            f"This tenant may have {allowed:,} jobs that are queued or running (limit "
            f"unfinished_jobs) and has {used:,}. Wait until one has ended, cancel one, or ask the "
            "operator for more.",
            limit="unfinished_jobs",
            allowed=allowed,
            used=used,
        )
    return limits


def check_head(tx: Transaction, tenant_id: str, defaults: Limits, *, head: str) -> None:
    """Raise QuotaReached if this head would be one too many; one that is there is not."""
    allowed = _held(tx, tenant_id, defaults, "heads").heads
    if allowed is not None:
        _check_head(tx, tenant_id, allowed, head)


def check_month(
    tx: Transaction, tenant_id: str, defaults: Limits, kind: Kind, *, more: int
) -> None:
    """Raise MonthlyQuotaReached if so much more is too much for this month.

    Rows that queued and running predictions of files will count are counted already.
    """
    name = f"{kind.value}_per_month"
    allowed = getattr(_held(tx, tenant_id, defaults, name), name)
    if allowed is None:
        return
    at = read_clock(tx)
    used = usage.of_month(tx, [tenant_id], usage.month_of(at))[tenant_id][kind]
    if kind is Kind.PREDICTED_ROWS:
        used += rows_waiting(tx, tenant_id)
    if used + more > allowed:
        raise monthly(kind, allowed=allowed, used=used, more=more, at=at)


def monthly(kind: Kind, *, allowed: int, used: int, more: int, at: datetime) -> MonthlyQuotaReached:
    """The refusal of something that a month's quota has no room for; `at` is now."""
    until = usage.end_of_month(at)
    return MonthlyQuotaReached(
        f"This tenant may use {allowed:,} {kind.value.replace('_', ' ')} a month (limit "
        f"{kind.value}_per_month) and has used {used:,}; this needs {more:,} more. The next month "
        f"begins at {until:%Y-%m-%d %H:%M} UTC; ask the operator for more until then.",
        limit=f"{kind.value}_per_month",
        allowed=allowed,
        used=used,
        seconds_left=(until - at).total_seconds(),
    )


def in_stock(tx: Transaction, tenant_id: str) -> Mapping[str, int]:
    """What the tenant has now, by the names of its limits."""
    return {
        "stored_bytes": stored_bytes(tx, tenant_id),
        "unfinished_jobs": unfinished_jobs(tx, tenant_id),
        "heads": n_heads(tx, tenant_id),
    }


def stored_bytes(tx: Transaction, tenant_id: str, *, but_upload: str | None = None) -> int:
    """Datasets, versions of heads, local encoders, outputs, further files of jobs, and uploads as
    announced."""
    datasets, uploads, files = tables.datasets.c, tables.uploads.c, tables.job_files.c
    of_uploads = [uploads.tenant_id == tenant_id]
    if but_upload is not None:
        of_uploads.append(uploads.id != but_upload)
    output = cast(_jobs.output["size_bytes"].as_integer(), BigInteger)
    parts = (
        _sum(datasets.size_bytes, datasets.tenant_id == tenant_id),
        _sum(_versions.size_bytes, _versions.tenant_id == tenant_id),
        _sum(tables.local_encoders.c.size_bytes, tables.local_encoders.c.tenant_id == tenant_id),
        _sum(uploads.size_bytes, *of_uploads),
        _sum(files.size_bytes, files.tenant_id == tenant_id, files.sha256.is_not(None)),
        _sum(output, _jobs.tenant_id == tenant_id, _jobs.output_sha256.is_not(None)),
    )
    return sum(int(one) for one in tx.execute(select(*parts)).one())


def unfinished_jobs(tx: Transaction, tenant_id: str) -> int:
    """How many jobs are queued or running."""
    query = select(func.count()).where(_jobs.tenant_id == tenant_id, _UNFINISHED)
    return int(tx.execute(query).scalar_one())


def n_heads(tx: Transaction, tenant_id: str, *, but: str | None = None) -> int:
    """How many names of heads there are, those that unfinished trainings will publish included."""
    there = select(_versions.name).where(_versions.tenant_id == tenant_id)
    coming = select(_jobs.name).where(
        _jobs.tenant_id == tenant_id, _UNFINISHED, has_kind(JobKind.TRAINING)
    )
    names = union(there, coming).subquery()
    query = select(func.count()).select_from(names)
    if but is not None:
        query = query.where(names.c.name != but)
    return int(tx.execute(query).scalar_one())


def _check_head(tx: Transaction, tenant_id: str, allowed: int, head: str) -> None:
    others, all_ = n_heads(tx, tenant_id, but=head), n_heads(tx, tenant_id)
    if others == all_ and all_ >= allowed:
        raise QuotaReached(
            f"This tenant may have {allowed:,} heads (limit heads) and has {all_:,}, those of "
            f"unfinished trainings included; {head} would be a new one. Train a version of a head "
            "that is there, delete a head, or ask the operator for more.",
            limit="heads",
            allowed=allowed,
            used=all_,
        )


def rows_waiting(tx: Transaction, tenant_id: str) -> int:
    """The rows of files whose prediction has not ended: they are promised."""
    datasets = tables.datasets.c
    query = (
        select(func.coalesce(func.sum(datasets.n_rows), 0))
        .join(
            tables.jobs,
            (datasets.tenant_id == _jobs.tenant_id) & (datasets.id == _jobs.dataset_id),
        )
        .where(_jobs.tenant_id == tenant_id, _UNFINISHED, has_kind(JobKind.PREDICTION))
    )
    return int(tx.execute(query).scalar_one())


def _sum(column: ColumnElement[int], *where: ColumnElement[bool]) -> ColumnElement[int]:
    return select(func.coalesce(func.sum(column), 0)).where(*where).scalar_subquery()


def _held(tx: Transaction, tenant_id: str, defaults: Limits, *names: str) -> Limits:
    """The tenant's limits. If one of `names` holds, its row is locked until the end."""
    row = select(_tenants.limits).where(_tenants.tenant_id == tenant_id)
    limits = defaults.overridden(tx.execute(row).scalar_one_or_none())
    if all(getattr(limits, name) is None for name in names):
        return limits
    # Not against new keys of the tenant, whose foreign key locks this row too.
    locked = tx.execute(row.with_for_update(key_share=True)).scalar_one_or_none()
    return defaults.overridden(locked)
