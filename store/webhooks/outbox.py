"""The outbox: what happened becomes a message in the transaction in which it happens.

So a message is there if and only if its act was committed. A message is thin: it names things and
says where to read them, and never holds a label, a text, a vector or an error's words.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import insert, select

from store.database import tables
from store.database.clock import read_clock
from store.database.connection import Transaction
from store.ids import new_id
from store.webhooks.states import DeliveryKind, DeliveryStatus

MOST_BODY_BYTES: Final = 2048

_endpoints = tables.webhook_endpoints.c


class EventName(StrEnum):
    """What an endpoint can listen to; `ping` comes only when it is asked for."""

    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    HEAD_PUBLISHED = "head.published"
    HEAD_ALIAS_MOVED = "head.alias_moved"
    HEAD_DELETED = "head.deleted"
    DATASET_CREATED = "dataset.created"
    DATASET_EXPIRED = "dataset.expired"
    DRIFT_CHANGED = "drift.changed"
    KEY_EXPIRING = "key.expiring"
    ENDPOINT_DISABLED = "endpoint.disabled"
    PING = "ping"


@dataclass(frozen=True)
class Happened:
    """One thing that happened: its name, and ids and paths to read it by."""

    name: EventName
    data: Mapping[str, Any]


def write(tx: Transaction, tenant_id: str, *happened: Happened) -> None:
    """Tell the tenant's endpoints, each what it listens to.

    One indexed query if nobody listens, which is the usual case. Endpoints are locked against their
    deletion, lest it break the transaction of the act.
    """
    query = select(_endpoints.id, _endpoints.events).where(
        _endpoints.tenant_id == tenant_id, _endpoints.disabled_at.is_(None)
    )
    listening = tx.execute(query.with_for_update(read=True, key_share=True)).all()
    for one in happened:
        told = [row.id for row in listening if one.name in row.events]
        if told:
            put(tx, tenant_id, one, told)


def is_listened_to(tx: Transaction, tenant_id: str, name: EventName) -> bool:
    """Whether an endpoint of the tenant listens: for what costs something to find out."""
    query = select(_endpoints.events).where(
        _endpoints.tenant_id == tenant_id, _endpoints.disabled_at.is_(None)
    )
    return any(name in events for events in tx.execute(query).scalars())


def put(
    tx: Transaction,
    tenant_id: str,
    happened: Happened,
    endpoint_ids: list[str],
    *,
    kind: DeliveryKind = DeliveryKind.EVENT,
) -> list[str]:
    """A message for these endpoints; return the ids of its deliveries, one for each."""
    moment, message_id = read_clock(tx), new_id("msg")
    body = json.dumps(
        {
            "type": happened.name.value,
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "data": dict(happened.data),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
    if len(body.encode()) > MOST_BODY_BYTES:
        raise ValueError(f"a {happened.name} message has more than {MOST_BODY_BYTES} bytes")
    tx.execute(
        insert(tables.webhook_messages).values(
            tenant_id=tenant_id,
            id=message_id,
            type=happened.name.value,
            body=body,
            created_at=moment,
        )
    )
    rows = [
        {
            "tenant_id": tenant_id,
            "id": new_id("dlv"),
            "message_id": message_id,
            "endpoint_id": endpoint_id,
            "kind": kind.value,
            "status": DeliveryStatus.PENDING.value,
            "n_attempts": 0,
            "step": 0,
            "fence": 0,
            "due_at": moment,
            "created_at": moment,
        }
        for endpoint_id in endpoint_ids
    ]
    tx.execute(insert(tables.webhook_deliveries), rows)
    return [str(row["id"]) for row in rows]
