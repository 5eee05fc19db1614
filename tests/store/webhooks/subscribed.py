"""Make endpoints in a store, and read what waits for them."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from store.database import tables
from store.store import Store
from store.webhooks import deliveries, endpoints, sending
from store.webhooks.deliveries import Delivery
from store.webhooks.endpoints import Endpoint
from store.webhooks.outbox import EventName
from store.webhooks.sending import Claimed, Outcome

ALL = [name.value for name in EventName if name is not EventName.PING]
OK = Outcome(milliseconds=3, status=204, excerpt="")
BROKEN = Outcome(milliseconds=9, status=500, excerpt="oops")


def endpoint(store: Store, tenant_id: str = "default", events: Sequence[str] = ALL) -> Endpoint:
    with store.database.begin() as tx:
        return endpoints.add(
            tx,
            tenant_id,
            endpoints.new_endpoint_id(),
            url="https://hooks.example/",
            events=events,
            sealed=b"sealed",
        )


def read(store: Store, one: Endpoint) -> Endpoint:
    with store.database.read() as tx:
        return endpoints.get(tx, one.tenant_id, one.id)


def log(store: Store, one: Endpoint) -> list[Delivery]:
    """The endpoint's deliveries, the oldest first."""
    with store.database.read() as tx:
        return [*reversed(deliveries.page(tx, one.tenant_id, one.id, limit=200).items)]


def told(store: Store, one: Endpoint) -> list[dict[str, Any]]:
    """The messages for the endpoint, the oldest first."""
    return [json.loads(delivery.body) for delivery in log(store, one)]


def n_messages(store: Store) -> int:
    with store.database.read() as tx:
        return len(tx.execute(select(tables.webhook_messages.c.id)).all())


def claim(store: Store) -> Claimed | None:
    with store.database.begin() as tx:
        return sending.claim(tx)


def claimed(store: Store) -> Claimed:
    found = claim(store)
    assert found is not None
    return found


def record(store: Store, one: Claimed, outcome: Outcome) -> bool:
    with store.database.begin() as tx:
        return sending.record(tx, one, outcome)
