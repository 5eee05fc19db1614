"""The further files of a job beside its report: values of its rows, its map, its other heads.

Each is a row that names stored bytes. Once the bytes are no longer kept, the row stays without
them, so that a reader learns why there are none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import insert, select, update

from store.database import tables
from store.database.clock import now, seconds_from_now
from store.database.connection import Transaction
from store.errors import JobFileExpired, JobFileMissing
from store.jobs import Job

ROWS: Final = "rows"
"""What each candidate says of each row (`store.files.job_rows`)."""

MAP: Final = "map"
"""The rows as points of a plane (`store.files.job_map`)."""

_SECONDS_A_DAY: Final = 86_400.0
_files = tables.job_files.c


def head_name(candidate: str) -> str:
    """The name of a candidate's head among the files."""
    return f"heads/{candidate}"


@dataclass(frozen=True, kw_only=True)
class NewJobFile:
    """A file whose bytes are stored."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class JobFile:
    """A kept file of a job; `sha256` names its bytes."""

    name: str
    sha256: str
    size_bytes: int
    created_at: datetime
    age_seconds: float
    """Since `created_at`, by the database's clock."""


def add(tx: Transaction, job: Job, files: Iterable[NewJobFile]) -> None:
    """Name the files of a job that is ours; call it in the transaction that ends the job."""
    values = [
        {
            "tenant_id": job.tenant_id,
            "job_id": job.id,
            "name": one.name,
            "sha256": one.sha256,
            "size_bytes": one.size_bytes,
            "created_at": now(),
        }
        for one in files
    ]
    if values:
        tx.execute(insert(tables.job_files).values(values))


def replace(tx: Transaction, tenant_id: str, job_id: str, file: NewJobFile) -> bool:
    """Let a kept file have other bytes; False if it is no longer kept, and nothing changes."""
    changed = tx.execute(
        update(tables.job_files)
        .where(
            _files.tenant_id == tenant_id,
            _files.job_id == job_id,
            _files.name == file.name,
            _files.sha256.is_not(None),
        )
        .values(sha256=file.sha256, size_bytes=file.size_bytes)
    )
    return bool(changed.rowcount)


def get(tx: Transaction, tenant_id: str, job_id: str, name: str) -> JobFile:
    """The file of a job that has succeeded. Raises JobFileExpired, JobFileMissing."""
    row = tx.execute(
        select(_files.sha256, _files.size_bytes, _files.created_at, now().label("clock")).where(
            _files.tenant_id == tenant_id, _files.job_id == job_id, _files.name == name
        )
    ).one_or_none()
    if row is None:
        raise JobFileMissing(
            f"Job {job_id} has no file {name!r}: it was made by an earlier version, which kept "
            "none, or its training had no such thing. Train again to get it."
        )
    if row.sha256 is None:
        raise JobFileExpired(
            f"The file {name!r} of job {job_id} is no longer kept: the operator keeps such files "
            "for a limited time (NMTUNE_JOB_FILES_DAYS). Its report and head are still there; "
            "train again to get the file."
        )
    return JobFile(
        name=name,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        age_seconds=(row.clock - row.created_at).total_seconds(),
    )


def expire(tx: Transaction, *, days: float) -> int:
    """Let go the bytes of files older than so many days, of all tenants; 0 keeps them all.

    The garbage collection removes the bytes. Returns how many files.
    """
    if days <= 0:
        return 0
    gone = tx.execute(
        update(tables.job_files)
        .where(
            _files.sha256.is_not(None),
            _files.created_at <= seconds_from_now(-days * _SECONDS_A_DAY),
        )
        .values(sha256=None)
    )
    return gone.rowcount
