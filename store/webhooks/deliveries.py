"""The log of deliveries: read it, send something again, and forget what is old."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, delete, exists, select, update

from store.database import cursors, tables
from store.database.clock import now, seconds_from_now
from store.database.connection import Transaction
from store.database.cursors import AnyRow, Page
from store.errors import Conflict, MessageGone, NotFound
from store.webhooks import endpoints
from store.webhooks.schedule import KEPT_DAYS
from store.webhooks.states import DeliveryKind, DeliveryStatus

_DAY: Final = 24 * 3600.0
GRACE_DAYS: Final = 7
"""Rows stay so much longer, so that a late replay is told that it is late."""

_deliveries = tables.webhook_deliveries.c
_messages = tables.webhook_messages.c
_attempts = tables.webhook_attempts.c


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One request to a receiver: its answer's status and beginning, or why there was none."""

    n: int
    at: datetime
    milliseconds: int | None
    status: int | None
    error: str | None
    excerpt: str | None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message on its way to one endpoint."""

    id: str
    tenant_id: str
    endpoint_id: str
    message_id: str
    type: str
    body: str
    kind: str
    status: str
    n_attempts: int
    due_at: datetime
    created_at: datetime
    finished_at: datetime | None


_COLUMNS = tuple(
    _messages[field.name] if field.name in {"type", "body"} else _deliveries[field.name]
    for field in fields(Delivery)
)
_IS_RECENT: Final = _messages.created_at > seconds_from_now(-KEPT_DAYS * _DAY)


def get(tx: Transaction, tenant_id: str, delivery_id: str) -> Delivery:
    """The delivery. Raises NotFound, and MessageGone once it is too old."""
    query = _select(tenant_id).add_columns(_IS_RECENT.label("is_recent"))
    row = tx.execute(query.where(_deliveries.id == delivery_id)).one_or_none()
    if row is None:
        raise NotFound("delivery", delivery_id)
    if not row.is_recent:
        raise MessageGone(
            f"The message of delivery {delivery_id} is older than {KEPT_DAYS} days and no longer "
            "kept. Read what it was about from the API."
        )
    return _delivery_of(row)


def page(
    tx: Transaction,
    tenant_id: str,
    endpoint_id: str,
    *,
    status: DeliveryStatus | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Delivery]:
    """An endpoint's deliveries of the last 30 days, newest first. Raises InvalidCursor."""
    query = _select(tenant_id).where(_deliveries.endpoint_id == endpoint_id, _IS_RECENT)
    if status is not None:
        query = query.where(_deliveries.status == status.value)
    created_at, key = _deliveries.created_at, _deliveries.id
    query = cursors.paged(query, created_at, key, kind="deliveries", cursor=cursor, limit=limit)
    return cursors.page_of(
        tx.execute(query).all(),
        _delivery_of,
        kind="deliveries",
        limit=limit,
        position=lambda delivery: (delivery.created_at, delivery.id),
    )


def attempts(tx: Transaction, tenant_id: str, delivery_id: str) -> list[Attempt]:
    """What was tried, the first attempt first."""
    rows = tx.execute(
        select(*(_attempts[field.name] for field in fields(Attempt)))
        .where(_attempts.tenant_id == tenant_id, _attempts.delivery_id == delivery_id)
        .order_by(_attempts.n)
    )
    return [Attempt(**dict(row._mapping)) for row in rows]


def replay(tx: Transaction, tenant_id: str, delivery_id: str) -> Delivery:
    """Send a message again, under its id and signed anew, at once and then by the schedule.

    Raises NotFound, MessageGone, EndpointDisabled, and Conflict while it is being sent.
    """
    found = get(tx, tenant_id, delivery_id)
    endpoints.check_enabled(endpoints.get(tx, tenant_id, found.endpoint_id))
    if _again(tx, _deliveries.tenant_id == tenant_id, _deliveries.id == delivery_id) == 0:
        raise Conflict(
            f"Delivery {delivery_id} is being sent at this moment. Look at it in some seconds, and "
            "replay it then if you still want to."
        )
    return get(tx, tenant_id, delivery_id)


def replay_failed(tx: Transaction, tenant_id: str, endpoint_id: str, *, since: datetime) -> int:
    """Send again all that failed, of the messages since then; return how many.

    Raises NotFound, EndpointDisabled.
    """
    endpoints.check_enabled(endpoints.get(tx, tenant_id, endpoint_id))
    message = and_(
        _messages.tenant_id == _deliveries.tenant_id,
        _messages.id == _deliveries.message_id,
        _messages.created_at >= since,
        _IS_RECENT,
    )
    return _again(
        tx,
        _deliveries.tenant_id == tenant_id,
        _deliveries.endpoint_id == endpoint_id,
        _deliveries.status == DeliveryStatus.FAILED.value,
        exists().where(message),
    )


def prune(tx: Transaction) -> int:
    """Forget what is too old, of all tenants; return how many messages."""
    old = _messages.created_at <= seconds_from_now(-(KEPT_DAYS + GRACE_DAYS) * _DAY)
    return tx.execute(delete(tables.webhook_messages).where(old)).rowcount


def _again(tx: Transaction, *which: ColumnElement[bool]) -> int:
    return tx.execute(
        update(tables.webhook_deliveries)
        .where(*which, _deliveries.status != DeliveryStatus.SENDING.value)
        .values(
            kind=DeliveryKind.REPLAY.value,
            status=DeliveryStatus.PENDING.value,
            step=0,
            due_at=now(),
            finished_at=None,
        )
    ).rowcount


def _select(tenant_id: str) -> Select[Any]:
    message = and_(
        _messages.tenant_id == _deliveries.tenant_id, _messages.id == _deliveries.message_id
    )
    joined = tables.webhook_deliveries.join(tables.webhook_messages, message)
    return select(*_COLUMNS).select_from(joined).where(_deliveries.tenant_id == tenant_id)


def _delivery_of(row: AnyRow) -> Delivery:
    return Delivery(**{field.name: getattr(row, field.name) for field in fields(Delivery)})
