"""Idempotency keys: the first answer to a key is kept and given again."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from store.database import tables
from store.database.clock import now, seconds_from_now
from store.database.connection import Transaction
from store.errors import Conflict, IdempotencyKeyReused

KEPT_SECONDS: Final = 24 * 3600.0
"""`prune` keeps an answer at least this long."""

_keys = tables.idempotency_keys.c


@dataclass(frozen=True, kw_only=True)
class StoredResponse:
    """The answer that was given the first time."""

    status_code: int
    body: bytes


def find(tx: Transaction, tenant_id: str, key: str, *, request_hash: str) -> StoredResponse | None:
    """The answer kept under the key, or None. Raises IdempotencyKeyReused for another request."""
    row = tx.execute(
        select(_keys.request_hash, _keys.status_code, _keys.body).where(
            _keys.tenant_id == tenant_id, _keys.key == key
        )
    ).one_or_none()
    if row is None:
        return None
    if row.request_hash != request_hash:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used before with another request. Use a new key for each "
            "request, and the same key only to repeat that request."
        )
    return StoredResponse(status_code=row.status_code, body=bytes(row.body))


def save(
    tx: Transaction,
    tenant_id: str,
    key: str,
    *,
    request_hash: str,
    status_code: int,
    body: bytes | str,
) -> None:
    """Keep an answer in the transaction that did the work.

    Raises Conflict if another request with the key was faster: the work must not be done twice.
    """
    try:
        tx.execute(
            insert(tables.idempotency_keys).values(
                tenant_id=tenant_id,
                key=key,
                request_hash=request_hash,
                status_code=status_code,
                body=body.encode() if isinstance(body, str) else body,
                created_at=now(),
            )
        )
    except IntegrityError as error:
        raise Conflict(
            "Another request with this Idempotency-Key is being processed. Send it again to get "
            "the answer to that request."
        ) from error


def prune(tx: Transaction, *, older_than_seconds: float = KEPT_SECONDS) -> int:
    """Forget the old answers of all tenants; return how many. Crosses tenants by nature."""
    old = _keys.created_at <= seconds_from_now(-older_than_seconds)
    return tx.execute(delete(tables.idempotency_keys).where(old)).rowcount
