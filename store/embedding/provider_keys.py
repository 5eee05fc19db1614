"""The provider keys that users stored, sealed, one for each origin."""

from datetime import datetime

from sqlalchemy import delete as sql_delete
from sqlalchemy import insert, select

from store.database import tables
from store.database.clock import now
from store.database.connection import Transaction
from store.errors import NotFound

_keys = tables.provider_keys.c


def put(tx: Transaction, tenant_id: str, origin: str, sealed: bytes) -> None:
    """Keep a sealed key for an origin, in place of the one before."""
    _remove(tx, tenant_id, origin)
    tx.execute(
        insert(tables.provider_keys).values(
            tenant_id=tenant_id, origin=origin, sealed=sealed, created_at=now()
        )
    )


def find(tx: Transaction, tenant_id: str, origin: str) -> bytes | None:
    """The sealed key of an origin, or None."""
    query = select(_keys.sealed).where(_keys.tenant_id == tenant_id, _keys.origin == origin)
    return tx.execute(query).scalar_one_or_none()


def origins(tx: Transaction, tenant_id: str) -> list[tuple[str, datetime]]:
    """(origin, created_at) of each stored key; never the key."""
    query = select(_keys.origin, _keys.created_at).where(_keys.tenant_id == tenant_id)
    return [(row.origin, row.created_at) for row in tx.execute(query.order_by(_keys.origin))]


def delete(tx: Transaction, tenant_id: str, origin: str) -> None:
    """Forget a key. Raises NotFound."""
    if not _remove(tx, tenant_id, origin):
        raise NotFound("provider key", origin)


def _remove(tx: Transaction, tenant_id: str, origin: str) -> bool:
    mine = (_keys.tenant_id == tenant_id, _keys.origin == origin)
    return tx.execute(sql_delete(tables.provider_keys).where(*mine)).rowcount > 0
