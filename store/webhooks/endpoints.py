"""Endpoints: the URLs that a tenant's events are sent to."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, insert, select, update

from store.database import tables
from store.database.clock import now, seconds_from_now
from store.database.connection import Transaction
from store.database.cursors import AnyRow
from store.errors import EndpointDisabled, NotFound, TooManyEndpoints
from store.ids import new_id
from store.webhooks import outbox
from store.webhooks.outbox import EventName, Happened
from store.webhooks.states import DeliveryKind, DeliveryStatus

MOST_ENDPOINTS: Final = 20
"""The most endpoints of one tenant."""
OVERLAP_SECONDS: Final = 24 * 3600.0
"""How long messages are also signed with the secret before a rotation."""

_endpoints = tables.webhook_endpoints.c
_deliveries = tables.webhook_deliveries.c


class Disabled(StrEnum):
    """Why an endpoint is disabled."""

    BY_HAND = "by_hand"
    FAILING = "failing"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One URL, what it listens to, and how it fares. Its secret stays in the row."""

    id: str
    tenant_id: str
    url: str
    events: list[str]
    description: str | None
    old_until: datetime | None
    """Until when messages are also signed with the secret before the last rotation."""
    failing_since: datetime | None
    """Since when no event has arrived."""
    disabled_at: datetime | None
    disabled_why: str | None
    created_at: datetime


_COLUMNS = tuple(_endpoints[field.name] for field in fields(Endpoint))


def new_endpoint_id() -> str:
    """The id of an endpoint to be made, for its secret is sealed together with it."""
    return new_id("ep")


def add(
    tx: Transaction,
    tenant_id: str,
    endpoint_id: str,
    *,
    url: str,
    events: Sequence[str],
    sealed: bytes,
    description: str | None = None,
) -> Endpoint:
    """A new endpoint. Raises TooManyEndpoints."""
    mine = _endpoints.tenant_id == tenant_id
    # Two that come at once: the second waits here and then counts the first.
    tx.execute(select(_endpoints.id).where(mine).order_by(_endpoints.id).with_for_update()).all()
    n_endpoints = tx.execute(select(func.count()).where(mine)).scalar_one()
    if n_endpoints >= MOST_ENDPOINTS:
        raise TooManyEndpoints(
            f"There are {n_endpoints} webhooks, and {MOST_ENDPOINTS} is the most. Delete one that "
            "you no longer need; one webhook can listen to any number of events."
        )
    row = tx.execute(
        insert(tables.webhook_endpoints)
        .values(
            tenant_id=tenant_id,
            id=endpoint_id,
            url=url,
            events=list(events),
            description=description,
            sealed=sealed,
            created_at=now(),
        )
        .returning(*_COLUMNS)
    ).one()
    return _endpoint_of(row)


def get(tx: Transaction, tenant_id: str, endpoint_id: str) -> Endpoint:
    """The endpoint. Raises NotFound."""
    query = select(*_COLUMNS).where(*_is(tenant_id, endpoint_id))
    return _found(tx.execute(query).one_or_none(), endpoint_id)


def of_tenant(tx: Transaction, tenant_id: str) -> list[Endpoint]:
    """All endpoints of the tenant, the oldest first."""
    query = select(*_COLUMNS).where(_endpoints.tenant_id == tenant_id)
    rows = tx.execute(query.order_by(_endpoints.created_at, _endpoints.id))
    return [_endpoint_of(row) for row in rows]


def change(
    tx: Transaction, tenant_id: str, endpoint_id: str, *, values: dict[str, Any]
) -> Endpoint:
    """Set `url`, `events` or `description`. Raises NotFound."""
    if not values:
        return get(tx, tenant_id, endpoint_id)
    which = _is(tenant_id, endpoint_id)
    changed = update(tables.webhook_endpoints).where(*which).values(**values)
    return _found(tx.execute(changed.returning(*_COLUMNS)).one_or_none(), endpoint_id)


def enable(tx: Transaction, tenant_id: str, endpoint_id: str) -> Endpoint:
    """Let it listen again, with a clean record. Raises NotFound."""
    clean = {"disabled_at": None, "disabled_why": None, "failing_since": None}
    return change(tx, tenant_id, endpoint_id, values=clean)


def disable(tx: Transaction, tenant_id: str, endpoint_id: str, why: Disabled) -> Endpoint:
    """Stop it: what waits for it fails, and the tenant's other endpoints are told.

    Raises NotFound. One that is disabled already stays as it is.
    """
    row = tx.execute(
        update(tables.webhook_endpoints)
        .where(*_is(tenant_id, endpoint_id), _endpoints.disabled_at.is_(None))
        .values(disabled_at=now(), disabled_why=why.value)
        .returning(*_COLUMNS)
    ).one_or_none()
    if row is None:
        return get(tx, tenant_id, endpoint_id)
    tx.execute(
        update(tables.webhook_deliveries)
        .where(
            _deliveries.tenant_id == tenant_id,
            _deliveries.endpoint_id == endpoint_id,
            _deliveries.status == DeliveryStatus.PENDING.value,
        )
        .values(status=DeliveryStatus.FAILED.value, finished_at=now())
    )
    data = {"endpoint_id": endpoint_id, "why": why.value, "path": f"/webhooks/{endpoint_id}"}
    outbox.write(tx, tenant_id, Happened(EventName.ENDPOINT_DISABLED, data))
    return _endpoint_of(row)


def rotate(tx: Transaction, tenant_id: str, endpoint_id: str, *, sealed: bytes) -> Endpoint:
    """Take a new secret; the old one signs beside it for a day. Raises NotFound."""
    values = {
        "sealed_old": _endpoints.sealed,
        "old_until": seconds_from_now(OVERLAP_SECONDS),
        "sealed": sealed,
    }
    return change(tx, tenant_id, endpoint_id, values=values)


def ping(tx: Transaction, tenant_id: str, endpoint_id: str) -> str:
    """Send a `ping` to this endpoint alone; return the delivery's id.

    Raises NotFound, EndpointDisabled.
    """
    check_enabled(get(tx, tenant_id, endpoint_id))
    data = {"endpoint_id": endpoint_id, "path": f"/webhooks/{endpoint_id}"}
    event = Happened(EventName.PING, data)
    return outbox.put(tx, tenant_id, event, [endpoint_id], kind=DeliveryKind.PING)[0]


def check_enabled(endpoint: Endpoint) -> None:
    """Raise EndpointDisabled if nothing is sent to it."""
    if endpoint.disabled_at is not None:
        raise EndpointDisabled(
            f"Webhook {endpoint.id} is disabled ({endpoint.disabled_why}), so nothing is sent to "
            'it. Enable it first: PATCH /webhooks/{id} with {"enabled": true}.'
        )


def delete(tx: Transaction, tenant_id: str, endpoint_id: str) -> None:
    """Delete it with its deliveries and their log. Raises NotFound."""
    which = _is(tenant_id, endpoint_id)
    if tx.execute(sql_delete(tables.webhook_endpoints).where(*which)).rowcount == 0:
        raise NotFound("webhook", endpoint_id)


def _is(tenant_id: str, endpoint_id: str) -> tuple[Any, ...]:
    return _endpoints.tenant_id == tenant_id, _endpoints.id == endpoint_id


def _found(row: AnyRow | None, endpoint_id: str) -> Endpoint:
    if row is None:
        raise NotFound("webhook", endpoint_id)
    return _endpoint_of(row)


def _endpoint_of(row: AnyRow) -> Endpoint:
    return Endpoint(**dict(row._mapping))
