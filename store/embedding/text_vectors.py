"""The vectors of embedded texts, so that each text is paid for once for each encoder."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, delete, select

from store.database import tables
from store.database.clock import now, seconds_from_now
from store.database.connection import Transaction, insert_or_ignore

KEPT_SECONDS: Final = 90 * 86_400.0
"""How long a vector is kept."""
_READ_AT_ONCE: Final = 500
_WRITTEN_AT_ONCE: Final = 100  # a statement has at most 999 values, five for each vector

_vectors = tables.text_vectors.c


def find(
    tx: Transaction, tenant_id: str, fingerprint: str, text_hashes: Sequence[str]
) -> dict[str, bytes]:
    """The known vectors (little-endian float32), by the sha256 of their texts."""
    columns = select(_vectors.text_sha256, _vectors.vector)
    return {
        row.text_sha256: row.vector
        for query in _in_chunks(columns, tenant_id, fingerprint, text_hashes)
        for row in tx.execute(query)
    }


def known(
    tx: Transaction, tenant_id: str, fingerprint: str, text_hashes: Sequence[str]
) -> set[str]:
    """The sha256 of those texts whose vectors are known."""
    return {
        text_hash
        for query in _in_chunks(select(_vectors.text_sha256), tenant_id, fingerprint, text_hashes)
        for text_hash in tx.execute(query).scalars()
    }


def keep(tx: Transaction, tenant_id: str, fingerprint: str, by_hash: Mapping[str, bytes]) -> None:
    """Keep vectors; a vector that another job has kept meanwhile stays as it is."""
    rows = [
        {
            "tenant_id": tenant_id,
            "fingerprint": fingerprint,
            "text_sha256": text_hash,
            "vector": vector,
            "created_at": now(),
        }
        for text_hash, vector in by_hash.items()
    ]
    for start in range(0, len(rows), _WRITTEN_AT_ONCE):
        chunk = rows[start : start + _WRITTEN_AT_ONCE]
        tx.execute(insert_or_ignore(tx, tables.text_vectors).values(chunk))


def forget(
    tx: Transaction,
    tenant_id: str,
    fingerprint: str,
    text_hashes: Sequence[str],
    *,
    since: datetime | None,
) -> None:
    """Forget the vectors of these texts that were kept since a moment; None: whenever."""
    is_young = [] if since is None else [_vectors.created_at >= since]
    for start in range(0, len(text_hashes), _READ_AT_ONCE):
        tx.execute(
            delete(tables.text_vectors).where(
                _vectors.tenant_id == tenant_id,
                _vectors.fingerprint == fingerprint,
                _vectors.text_sha256.in_(text_hashes[start : start + _READ_AT_ONCE]),
                *is_young,
            )
        )


def prune(tx: Transaction, *, older_than_seconds: float = KEPT_SECONDS) -> int:
    """Forget old vectors of all tenants; return how many. Crosses tenants by nature."""
    old = _vectors.created_at < seconds_from_now(-older_than_seconds)
    return tx.execute(delete(tables.text_vectors).where(old)).rowcount


def _in_chunks(
    columns: Select[Any], tenant_id: str, fingerprint: str, text_hashes: Sequence[str]
) -> Iterator[Select[Any]]:
    for start in range(0, len(text_hashes), _READ_AT_ONCE):
        yield columns.where(
            _vectors.tenant_id == tenant_id,
            _vectors.fingerprint == fingerprint,
            _vectors.text_sha256.in_(text_hashes[start : start + _READ_AT_ONCE]),
        )
