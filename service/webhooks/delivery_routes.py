"""Routes of what was sent: the log, a ping, and sending again."""

import time
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response

from service.http.dependencies import ActorDep, ServicesDep, StoreDep, TenantDep
from service.http.json_body import JsonRoute
from service.http.openapi import problems
from service.http.scopes import ADMIN
from service.http.services import Services
from service.http.validation import ID_PATTERN
from service.webhooks.routes import WebhookId
from service.webhooks.schemas import (
    Delivery,
    DeliveryPage,
    DeliveryQuery,
    DeliveryWithLog,
    Replayed,
    ReplayQuery,
)
from store.access import audit
from store.store import Store
from store.webhooks import deliveries, endpoints

PING_SECONDS: Final = 20.0
"""How long a ping waits for its attempt, which takes 15 seconds at most."""
_LOOK_SECONDS: Final = 0.1

router = APIRouter(tags=["webhooks"], route_class=JsonRoute, dependencies=[ADMIN])

DeliveryId = Annotated[
    str,
    Path(
        pattern=ID_PATTERN,
        description="The delivery's id.",
        examples=["dlv_31k8drzh5p2gk7m4t9x3wvq6ab"],
    ),
]


@router.post(
    "/webhooks/{webhook_id}/ping",
    responses={
        202: {"model": DeliveryWithLog, "description": "No worker has sent it yet: look later."},
        **problems(404, 409),
    },
)
def ping_webhook(
    webhook_id: WebhookId,
    response: Response,
    services: ServicesDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> DeliveryWithLog:
    """Send a `ping`, once, and show what the receiver answered.

    It is sent as every message is, by a worker, and says nothing of the webhook's health.
    """
    with services.store.database.begin() as tx:
        delivery_id = endpoints.ping(tx, tenant_id, webhook_id)
        audit.note(tx, actor, "webhook.pinged", webhook_id, delivery_id=delivery_id)
    shown = _when_tried(services, tenant_id, delivery_id)
    if not shown.attempts:
        response.status_code = 202
    return shown


@router.post("/webhooks/{webhook_id}/replay", status_code=202, responses=problems(404, 409))
def replay_failed_deliveries(
    webhook_id: WebhookId,
    query: Annotated[ReplayQuery, Query()],
    store: StoreDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> Replayed:
    """Send again all that failed since a time, under the same ids and signed anew."""
    with store.database.begin() as tx:
        n = deliveries.replay_failed(tx, tenant_id, webhook_id, since=query.since)
        since = query.since.isoformat()
        audit.note(tx, actor, "webhook.replayed", webhook_id, since=since, n_deliveries=n)
    return Replayed(n_deliveries=n)


@router.get("/webhooks/{webhook_id}/deliveries", responses=problems(404))
def list_deliveries(
    webhook_id: WebhookId,
    query: Annotated[DeliveryQuery, Query()],
    store: StoreDep,
    tenant_id: TenantDep,
) -> DeliveryPage:
    """List a webhook's deliveries of the last 30 days, newest first."""
    with store.database.read() as tx:
        endpoints.get(tx, tenant_id, webhook_id)
        page = deliveries.page(
            *(tx, tenant_id, webhook_id),
            status=query.status,
            cursor=query.cursor,
            limit=query.limit,
        )
    return DeliveryPage(
        items=[Delivery.of(one) for one in page.items], next_cursor=page.next_cursor
    )


@router.get("/deliveries/{delivery_id}", responses=problems(404, 410))
def get_delivery(delivery_id: DeliveryId, store: StoreDep, tenant_id: TenantDep) -> DeliveryWithLog:
    """Show a delivery: what is sent, and every attempt."""
    return _shown(store, tenant_id, delivery_id)


@router.post("/deliveries/{delivery_id}/replay", status_code=202, responses=problems(404, 409, 410))
def replay_delivery(
    delivery_id: DeliveryId, store: StoreDep, tenant_id: TenantDep, actor: ActorDep
) -> Delivery:
    """Send a message again, under the same id and signed anew, whatever came of it before.

    It counts neither for nor against the webhook's health.
    """
    with store.database.begin() as tx:
        again = deliveries.replay(tx, tenant_id, delivery_id)
        audit.note(tx, actor, "delivery.replayed", delivery_id, webhook_id=again.endpoint_id)
    return Delivery.of(again)


def _when_tried(services: Services, tenant_id: str, delivery_id: str) -> DeliveryWithLog:
    """The delivery once it has been tried, or as it is when patience ends."""
    until = time.monotonic() + PING_SECONDS
    while True:
        shown = _shown(services.store, tenant_id, delivery_id)
        if shown.attempts or time.monotonic() >= until or services.stopping.wait(_LOOK_SECONDS):
            return shown


def _shown(store: Store, tenant_id: str, delivery_id: str) -> DeliveryWithLog:
    with store.database.read() as tx:
        found = deliveries.get(tx, tenant_id, delivery_id)
        return DeliveryWithLog.showing(found, deliveries.attempts(tx, tenant_id, delivery_id))
