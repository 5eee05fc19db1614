"""Resumable uploads: how far each has come, and which bytes are its parts.

The bytes of a part are an artifact that begins with SALT_BYTES random ones. So a part never shares
its name with other bytes, and can be removed without asking who else names it.

`received_bytes` is the fence: a part is added only if it begins where the upload ends. Of two
requests that send the same part one wins, and the other writes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, insert, select, update

from store.database import cursors, tables
from store.database.clock import now, seconds_from_now
from store.database.connection import Transaction
from store.database.cursors import AnyRow, Page
from store.errors import NotFound, OffsetMismatch, TooManyParts
from store.ids import new_id

SALT_BYTES: Final = 16
"""The number of random bytes at the beginning of a part's artifact."""
MAX_PARTS: Final = 10_000
"""The most parts of one upload."""

_uploads = tables.uploads.c
_parts = tables.upload_parts.c


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file that is being uploaded."""

    id: str
    tenant_id: str
    size_bytes: int
    """The size of the whole file, as announced."""
    received_bytes: int
    """How many bytes are stored; the next part begins here."""
    n_parts: int
    metadata: str
    """The sender's tus header Upload-Metadata, unchanged."""
    sha256: str | None
    """The hash of the whole file, if the sender stated it."""
    created_at: datetime
    expires_at: datetime

    @property
    def is_complete(self) -> bool:
        """Whether all of the file is stored."""
        return self.received_bytes == self.size_bytes


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes of an upload; `sha256` names an artifact that begins with SALT_BYTES of its own."""

    begin: int
    size_bytes: int
    sha256: str


_COLUMNS = tuple(_uploads[field.name] for field in fields(Upload))


def create(
    tx: Transaction,
    tenant_id: str,
    *,
    size_bytes: int,
    keep_seconds: float,
    metadata: str = "",
    sha256: str | None = None,
) -> Upload:
    """Begin an upload; it expires if nothing arrives for `keep_seconds`."""
    row = tx.execute(
        insert(tables.uploads)
        .values(
            id=new_id("up"),
            tenant_id=tenant_id,
            size_bytes=size_bytes,
            received_bytes=0,
            n_parts=0,
            metadata=metadata,
            sha256=sha256,
            created_at=now(),
            expires_at=seconds_from_now(keep_seconds),
        )
        .returning(*_COLUMNS)
    ).one()
    return _upload_of(row)


def get(tx: Transaction, tenant_id: str, upload_id: str) -> Upload:
    """The upload. Raises NotFound, also once it has expired."""
    row = tx.execute(select(*_COLUMNS).where(*_is_there(tenant_id, upload_id))).one_or_none()
    if row is None:
        raise NotFound("upload", upload_id)
    return _upload_of(row)


def page(
    tx: Transaction,
    tenant_id: str,
    *,
    sha256: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Upload]:
    """The tenant's uploads (of the file with this hash), newest first. Raises InvalidCursor."""
    query = select(*_COLUMNS).where(_uploads.tenant_id == tenant_id, _uploads.expires_at > now())
    if sha256 is not None:
        query = query.where(_uploads.sha256 == sha256)
    query = cursors.paged(
        query, _uploads.created_at, _uploads.id, kind="uploads", cursor=cursor, limit=limit
    )
    return cursors.page_of(
        tx.execute(query).all(),
        _upload_of,
        kind="uploads",
        limit=limit,
        position=lambda upload: (upload.created_at, upload.id),
    )


def add_part(
    tx: Transaction, upload: Upload, *, sha256: str, size_bytes: int, keep_seconds: float
) -> Upload:
    """Add the next part, whose bytes are already stored; return the updated upload.

    Raises OffsetMismatch if the upload no longer ends where `upload` says, NotFound, TooManyParts.
    """
    if upload.n_parts >= MAX_PARTS:
        raise TooManyParts(
            f"The upload has {MAX_PARTS:,} parts, the most that are allowed. Delete it, and send "
            "the file again in larger parts."
        )
    row = _renew(
        tx,
        *_is_there(upload.tenant_id, upload.id),
        _uploads.received_bytes == upload.received_bytes,
        keep_seconds=keep_seconds,
        received_bytes=_uploads.received_bytes + size_bytes,
        n_parts=_uploads.n_parts + 1,
    )
    if row is None:
        raise offset_mismatch(get(tx, upload.tenant_id, upload.id), begin=upload.received_bytes)
    tx.execute(
        insert(tables.upload_parts).values(
            tenant_id=upload.tenant_id,
            upload_id=upload.id,
            begin=upload.received_bytes,
            size_bytes=size_bytes,
            sha256=sha256,
        )
    )
    return _upload_of(row)


def keep(tx: Transaction, tenant_id: str, upload_id: str, *, keep_seconds: float) -> Upload:
    """Let it expire so long from now, and not before. Raises NotFound."""
    row = _renew(tx, *_is_there(tenant_id, upload_id), keep_seconds=keep_seconds)
    if row is None:
        raise NotFound("upload", upload_id)
    return _upload_of(row)


def parts(tx: Transaction, tenant_id: str, upload_id: str) -> tuple[Part, ...]:
    """The parts in their order, without gaps."""
    found = tx.execute(
        select(_parts.begin, _parts.size_bytes, _parts.sha256)
        .where(_parts.tenant_id == tenant_id, _parts.upload_id == upload_id)
        .order_by(_parts.begin)
    )
    return tuple(
        Part(begin=row.begin, size_bytes=row.size_bytes, sha256=row.sha256) for row in found
    )


def remove(
    tx: Transaction, tenant_id: str, upload_id: str, *, only_expired: bool = False
) -> tuple[str, ...]:
    """Forget the upload; return the sha256 of its parts, to remove after this transaction.

    Raises NotFound; with `only_expired` also if the upload has not expired.
    """
    mine: list[ColumnElement[bool]] = [_uploads.tenant_id == tenant_id, _uploads.id == upload_id]
    if only_expired:
        mine.append(_uploads.expires_at <= now())
    # Locked, so that no part is added between the two statements below.
    if tx.execute(select(_uploads.id).where(*mine).with_for_update()).one_or_none() is None:
        raise NotFound("upload", upload_id)
    of_it = (_parts.tenant_id == tenant_id, _parts.upload_id == upload_id)
    hashes = tuple(tx.execute(select(_parts.sha256).where(*of_it)).scalars())
    tx.execute(delete(tables.upload_parts).where(*of_it))
    tx.execute(delete(tables.uploads).where(*mine))
    return hashes


def expired(tx: Transaction, *, limit: int = 100) -> tuple[tuple[str, str], ...]:
    """(tenant, id) of expired uploads. Crosses tenants by nature."""
    found = tx.execute(
        select(_uploads.tenant_id, _uploads.id)
        .where(_uploads.expires_at <= now())
        .order_by(_uploads.expires_at)
        .limit(limit)
    )
    return tuple((row.tenant_id, row.id) for row in found)


def offset_mismatch(upload: Upload, *, begin: int) -> OffsetMismatch:
    """The error of a part that does not begin where the upload ends."""
    return OffsetMismatch(
        f"The upload has {upload.received_bytes:,} bytes, but the part begins at {begin:,}. Ask "
        "for the offset (HEAD), and continue there.",
        received_bytes=upload.received_bytes,
    )


def _is_there(tenant_id: str, upload_id: str) -> tuple[ColumnElement[bool], ...]:
    return (
        _uploads.tenant_id == tenant_id,
        _uploads.id == upload_id,
        _uploads.expires_at > now(),
    )


def _renew(
    tx: Transaction, *where: ColumnElement[bool], keep_seconds: float, **values: Any
) -> AnyRow | None:
    changed: Mapping[str, Any] = {"expires_at": seconds_from_now(keep_seconds), **values}
    return tx.execute(
        update(tables.uploads).where(*where).values(**changed).returning(*_COLUMNS)
    ).one_or_none()


def _upload_of(row: AnyRow) -> Upload:
    return Upload(**dict(row._mapping))
