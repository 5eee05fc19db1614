"""The encoders that a tenant added, to run in this server: names, and archives of their files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Text, cast, or_, select
from sqlalchemy import delete as sql_delete

from store.bytes.port import Artifacts
from store.database import tables
from store.database.clock import now
from store.database.conditions import has_status
from store.database.connection import Transaction, insert_or_ignore
from store.errors import ArtifactMissing, EncoderExists, EncoderInUse, NotFound
from store.names import check_name
from store.states import JobStatus

_mine = tables.local_encoders.c
_jobs = tables.jobs.c
_versions = tables.head_versions.c


@dataclass(frozen=True, kw_only=True)
class LocalEncoderRow:
    """One encoder. Its files never change."""

    name: str
    sha256: str
    """Of the archive, which is the artifact."""
    size_bytes: int
    description: dict[str, Any]
    created_at: datetime


_COLUMNS = (_mine.name, _mine.sha256, _mine.size_bytes, _mine.description, _mine.created_at)


def of_tenant(tx: Transaction, tenant_id: str) -> list[LocalEncoderRow]:
    """All of them, by name."""
    rows = tx.execute(select(*_COLUMNS).where(_mine.tenant_id == tenant_id).order_by(_mine.name))
    return [LocalEncoderRow(**dict(row._mapping)) for row in rows]


def find(
    tx: Transaction, tenant_id: str, name: str, *, hold: bool = False
) -> LocalEncoderRow | None:
    """The encoder of that name. hold: it cannot be deleted before this transaction has ended."""
    query = select(*_COLUMNS).where(_mine.tenant_id == tenant_id, _mine.name == name)
    row = tx.execute(query.with_for_update(read=True) if hold else query).one_or_none()
    return None if row is None else LocalEncoderRow(**dict(row._mapping))


def get(tx: Transaction, tenant_id: str, name: str) -> LocalEncoderRow:
    """The encoder of that name. Raises NotFound."""
    found = find(tx, tenant_id, name)
    if found is None:
        raise NotFound("encoder", name)
    return found


def add(
    tx: Transaction,
    tenant_id: str,
    name: str,
    *,
    sha256: str,
    size_bytes: int,
    description: Mapping[str, object],
) -> tuple[LocalEncoderRow, bool]:
    """Record an encoder whose archive is stored; and whether it was not there yet.

    Raises InvalidName, and EncoderExists if the name has other files.
    """
    values = {"tenant_id": tenant_id, "name": check_name("encoder", name), "sha256": sha256}
    made = tx.execute(
        insert_or_ignore(tx, tables.local_encoders)
        .values(**values, size_bytes=size_bytes, description=dict(description), created_at=now())
        .returning(_mine.name)
    ).one_or_none()
    found = get(tx, tenant_id, name)
    if found.sha256 != sha256:
        raise EncoderExists(
            f"There is an encoder {name} with other files, and encoders never change. Choose "
            "another name, or delete that one first."
        )
    return found, made is not None


def delete(tx: Transaction, tenant_id: str, name: str) -> str | None:
    """Delete the row; return the sha256 of its archive if no other name has it.

    Remove the bytes before this transaction ends. Raises NotFound, and EncoderInUse while a head
    or an unfinished job needs it, unless another name has the same files.
    """
    row = find(tx, tenant_id, name)
    if row is None:
        raise NotFound("encoder", name)
    # All names of these files are locked: two could else go at once, each relying on the other.
    same = tx.execute(
        select(_mine.name)
        .where(_mine.tenant_id == tenant_id, _mine.sha256 == row.sha256)
        .order_by(_mine.name)
        .with_for_update()
    )
    names = set(same.scalars())
    if name not in names:
        raise NotFound("encoder", name)
    is_last = len(names) == 1
    if is_last:
        _check_unused(tx, tenant_id, name, row.sha256)
    tx.execute(
        sql_delete(tables.local_encoders).where(_mine.tenant_id == tenant_id, _mine.name == name)
    )
    return row.sha256 if is_last else None


def stored(artifacts: Artifacts, tenant_id: str, sha256: str) -> Path | None:
    """The archive, checked now; None if it is not there."""
    try:
        return artifacts.open_path(tenant_id, sha256)
    except ArtifactMissing:
        return None


def _check_unused(tx: Transaction, tenant_id: str, name: str, sha256: str) -> None:
    job_id = tx.execute(
        select(_jobs.id)
        .where(
            _jobs.tenant_id == tenant_id,
            has_status(JobStatus.QUEUED, JobStatus.RUNNING),
            or_(
                _jobs.encoder["sha256"].as_string() == sha256,
                cast(_jobs.encoders, Text).contains(sha256),  # those that it compares
            ),
        )
        .limit(1)
    ).scalar_one_or_none()
    if job_id is not None:
        raise EncoderInUse(
            f"Job {job_id} still needs the encoder {name}: wait for it to finish, or cancel it."
        )
    head = tx.execute(
        select(_versions.name, _versions.version)
        .where(_versions.tenant_id == tenant_id, _versions.encoder["sha256"].as_string() == sha256)
        .order_by(_versions.name, _versions.version)
        .limit(1)
    ).one_or_none()
    if head is not None:
        raise EncoderInUse(
            f"The head {head.name}@{head.version} reads texts with the encoder {name}: delete the "
            "heads that need it first."
        )
