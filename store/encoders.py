"""Home of the encoders seen so far, the vectors they made, and the keys that users stored.

An encoder is known by its fingerprint: what it is called (`identity`) and how it embedded a few
texts. Who compares the latter is not the store's business.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import orjson
from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from store.database import tables
from store.database.clock import now, seconds_from_now
from store.database.connection import Transaction
from store.database.tables import has_status
from store.errors import LeaseLost, NotFound
from store.jobs import Job
from store.states import JobStatus

VECTORS_KEPT_SECONDS: Final = 90 * 86_400.0
PRICE: Final = "price_per_million_tokens"
"""What a user said they pay: in a job's row beside the encoder, for it is no part of that."""
_AT_A_TIME: Final = 500

_encoders = tables.encoders.c
_vectors = tables.text_vectors.c
_keys = tables.provider_keys.c
_jobs = tables.jobs.c


@dataclass(frozen=True, kw_only=True)
class EncoderRecord:
    """One encoder; `sketch` is how it embedded the canaries when it was first seen."""

    fingerprint: str
    identity: str
    encoder: dict[str, Any]
    sketch: list[Any]
    n_columns: int


_COLUMNS = tuple(_encoders[field.name] for field in fields(EncoderRecord))


def known(tx: Transaction, tenant_id: str, identity: str) -> list[EncoderRecord]:
    """All encoders that were called so, the newest first."""
    query = select(*_COLUMNS).where(
        _encoders.tenant_id == tenant_id, _encoders.identity == identity
    )
    rows = tx.execute(query.order_by(_encoders.created_at.desc(), _encoders.fingerprint))
    return [EncoderRecord(**dict(row._mapping)) for row in rows]


def add(
    tx: Transaction,
    tenant_id: str,
    *,
    identity: str,
    encoder: Mapping[str, object],
    sketch: Sequence[object],
    n_columns: int,
) -> EncoderRecord:
    """Keep an encoder that was not seen before; its fingerprint follows from the rest."""
    content = orjson.dumps([identity, list(sketch)])
    record = EncoderRecord(
        fingerprint=hashlib.sha256(content).hexdigest(),
        identity=identity,
        encoder=dict(encoder),
        sketch=list(sketch),
        n_columns=n_columns,
    )
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    values |= {"tenant_id": tenant_id, "created_at": now()}
    tx.execute(_insert_new(tx, tables.encoders).values(**values))
    return record


def vectors(
    tx: Transaction, tenant_id: str, fingerprint: str, text_hashes: Sequence[str]
) -> dict[str, bytes]:
    """The vectors (little-endian float32) that are known, by the sha256 of their texts."""
    found: dict[str, bytes] = {}
    for start in range(0, len(text_hashes), _AT_A_TIME):
        query = select(_vectors.text_sha256, _vectors.vector).where(
            _vectors.tenant_id == tenant_id,
            _vectors.fingerprint == fingerprint,
            _vectors.text_sha256.in_(text_hashes[start : start + _AT_A_TIME]),
        )
        found |= {row.text_sha256: row.vector for row in tx.execute(query)}
    return found


def known_texts(
    tx: Transaction, tenant_id: str, fingerprint: str, text_hashes: Sequence[str]
) -> set[str]:
    """The sha256 of those texts whose vectors are known."""
    found: set[str] = set()
    for start in range(0, len(text_hashes), _AT_A_TIME):
        query = select(_vectors.text_sha256).where(
            _vectors.tenant_id == tenant_id,
            _vectors.fingerprint == fingerprint,
            _vectors.text_sha256.in_(text_hashes[start : start + _AT_A_TIME]),
        )
        found.update(tx.execute(query).scalars())
    return found


def keep_vectors(
    tx: Transaction, tenant_id: str, fingerprint: str, by_hash: Mapping[str, bytes]
) -> None:
    """Keep vectors; those that another job has kept meanwhile stay as they are."""
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
    for start in range(0, len(rows), _AT_A_TIME // 5):  # a statement has 999 values at most
        chunk = rows[start : start + _AT_A_TIME // 5]
        tx.execute(_insert_new(tx, tables.text_vectors).values(chunk))


def prune_vectors(tx: Transaction, *, older_than_seconds: float = VECTORS_KEPT_SECONDS) -> int:
    """Forget old vectors of all tenants; how many."""
    old = _vectors.created_at < seconds_from_now(-older_than_seconds)
    return tx.execute(delete(tables.text_vectors).where(old)).rowcount


def record(
    tx: Transaction, job: Job, encoder: Mapping[str, object], *, has_come: bool = False
) -> None:
    """Write into a running job which encoder made its vectors, and their cost.

    `has_come`: a batch came with it, so that the job no longer waits for its provider. Raises
    LeaseLost.
    """
    mine = (
        _jobs.tenant_id == job.tenant_id,
        _jobs.id == job.id,
        has_status(JobStatus.RUNNING),
        _jobs.fence == job.fence,
    )
    values: dict[str, Any] = {"encoder": dict(encoder)} | ({"waiting": None} if has_come else {})
    written = tx.execute(update(tables.jobs).where(*mine).values(**values))
    if written.rowcount == 0:
        raise LeaseLost(f"Job {job.id} is no longer this worker's.")


def put_key(tx: Transaction, tenant_id: str, origin: str, sealed: bytes) -> None:
    """Keep a sealed key for an origin, in place of the one before."""
    delete_key(tx, tenant_id, origin, missing_ok=True)
    tx.execute(
        insert(tables.provider_keys).values(
            tenant_id=tenant_id, origin=origin, sealed=sealed, created_at=now()
        )
    )


def find_key(tx: Transaction, tenant_id: str, origin: str) -> bytes | None:
    """The sealed key of an origin."""
    query = select(_keys.sealed).where(_keys.tenant_id == tenant_id, _keys.origin == origin)
    return tx.execute(query).scalar_one_or_none()


def key_origins(tx: Transaction, tenant_id: str) -> list[tuple[str, Any]]:
    """(origin, created_at) of each key that is stored; never the key."""
    query = select(_keys.origin, _keys.created_at).where(_keys.tenant_id == tenant_id)
    return [(row.origin, row.created_at) for row in tx.execute(query.order_by(_keys.origin))]


def delete_key(tx: Transaction, tenant_id: str, origin: str, *, missing_ok: bool = False) -> None:
    """Forget a key. Raises NotFound."""
    mine = (_keys.tenant_id == tenant_id, _keys.origin == origin)
    if tx.execute(delete(tables.provider_keys).where(*mine)).rowcount == 0 and not missing_ok:
        raise NotFound("provider key", origin)


def _insert_new(tx: Transaction, table: Any) -> Any:
    """An INSERT that leaves rows alone which are there already."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()
