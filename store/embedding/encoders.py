"""The encoders seen so far: what each is called, and how it embedded a few probe texts.

The caller makes an encoder's fingerprint and compares signatures; the store only keeps them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from store.database import tables
from store.database.clock import now
from store.database.connection import Transaction, insert_or_ignore

_encoders = tables.encoders.c


@dataclass(frozen=True, kw_only=True)
class EncoderRecord:
    """One encoder. Its `signature` is how it embedded the probe texts when it was first seen."""

    fingerprint: str
    identity: str
    encoder: dict[str, Any]
    signature: list[Any]
    n_columns: int


_COLUMNS = (
    _encoders.fingerprint,
    _encoders.identity,
    _encoders.encoder,
    _encoders.sketch.label("signature"),  # the column keeps the name of earlier versions
    _encoders.n_columns,
)


def known(tx: Transaction, tenant_id: str, identity: str) -> list[EncoderRecord]:
    """All encoders with this identity, the newest first."""
    query = select(*_COLUMNS).where(
        _encoders.tenant_id == tenant_id, _encoders.identity == identity
    )
    rows = tx.execute(query.order_by(_encoders.created_at.desc(), _encoders.fingerprint))
    return [EncoderRecord(**dict(row._mapping)) for row in rows]


def of_head(
    tx: Transaction, tenant_id: str, encoder: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """What a head keeps of its job's encoder: how to ask it, and whether it is still the same.

    None for a job of embeddings, which has no encoder, or whose encoder was never recognised.
    """
    fingerprint = (encoder or {}).get("fingerprint")
    row = tx.execute(
        select(*_COLUMNS).where(
            _encoders.tenant_id == tenant_id, _encoders.fingerprint == fingerprint
        )
    ).one_or_none()
    if row is None:
        return None
    return {**row.encoder, "fingerprint": row.fingerprint, "sketch": row.signature}


def add(
    tx: Transaction,
    tenant_id: str,
    *,
    fingerprint: str,
    identity: str,
    encoder: Mapping[str, object],
    signature: Sequence[object],
    n_columns: int,
) -> EncoderRecord:
    """Keep an encoder that was not seen before."""
    values: dict[str, Any] = {
        "fingerprint": fingerprint,
        "identity": identity,
        "encoder": dict(encoder),
        "n_columns": n_columns,
    }
    tx.execute(
        insert_or_ignore(tx, tables.encoders).values(
            tenant_id=tenant_id, sketch=list(signature), created_at=now(), **values
        )
    )
    return EncoderRecord(signature=list(signature), **values)
