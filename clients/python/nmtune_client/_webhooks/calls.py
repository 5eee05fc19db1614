"""The requests about webhooks and deliveries, and how their answers are read; no I/O."""

from collections.abc import Mapping
from typing import Any

from nmtune_client._http.calls import body, nothing, page_of, params_of, parser, post_headers
from nmtune_client._http.values import Page
from nmtune_client._http.wire import Call, Route
from nmtune_client._webhooks.values import Delivery, Webhook

_CREATE_WEBHOOK = Route("POST", "/webhooks")
_LIST_WEBHOOKS = Route("GET", "/webhooks")
_GET_WEBHOOK = Route("GET", "/webhooks/{webhook_id}")
_CHANGE_WEBHOOK = Route("PATCH", "/webhooks/{webhook_id}")
_DELETE_WEBHOOK = Route("DELETE", "/webhooks/{webhook_id}")
_ROTATE_SECRET = Route("POST", "/webhooks/{webhook_id}/rotate")
_PING_WEBHOOK = Route("POST", "/webhooks/{webhook_id}/ping")
_REPLAY_FAILED = Route("POST", "/webhooks/{webhook_id}/replay")
_LIST_DELIVERIES = Route("GET", "/webhooks/{webhook_id}/deliveries")
_GET_DELIVERY = Route("GET", "/deliveries/{delivery_id}")
_REPLAY_DELIVERY = Route("POST", "/deliveries/{delivery_id}/replay")

_JSON = "application/json"
# The server waits so long for the receiver before it answers.
_PING_SECONDS = 20.0


def create_webhook(settings: Mapping[str, Any]) -> Call[Webhook]:
    """Make a webhook. Sent once: a second try would make another one."""
    return Call(
        route=_CREATE_WEBHOOK,
        parse=parser(Webhook.from_json),
        headers={"Content-Type": _JSON},
        content=body(settings),
        once=True,
    )


def list_webhooks() -> Call[list[Webhook]]:
    """All webhooks."""
    return Call(
        route=_LIST_WEBHOOKS,
        parse=lambda answer: [Webhook.from_json(item) for item in answer.json()["items"]],
    )


def get_webhook(webhook_id: str) -> Call[Webhook]:
    """One webhook."""
    return Call(route=_GET_WEBHOOK, ids={"webhook_id": webhook_id}, parse=parser(Webhook.from_json))


def change_webhook(webhook_id: str, changes: Mapping[str, Any]) -> Call[Webhook]:
    """Change a webhook."""
    return Call(
        route=_CHANGE_WEBHOOK,
        ids={"webhook_id": webhook_id},
        parse=parser(Webhook.from_json),
        headers={"Content-Type": _JSON},
        content=body(changes),
    )


def delete_webhook(webhook_id: str) -> Call[None]:
    """Delete a webhook."""
    return Call(route=_DELETE_WEBHOOK, ids={"webhook_id": webhook_id}, parse=nothing)


def rotate_secret(webhook_id: str) -> Call[Webhook]:
    """Make a new secret. Sent once: a second try would end the secret before the first."""
    return Call(
        route=_ROTATE_SECRET,
        ids={"webhook_id": webhook_id},
        parse=parser(Webhook.from_json),
        once=True,
    )


def ping_webhook(webhook_id: str) -> Call[Delivery]:
    """Send a ping and see what comes."""
    return Call(
        route=_PING_WEBHOOK,
        ids={"webhook_id": webhook_id},
        parse=parser(Delivery.from_json),
        headers=post_headers(None),
        extra_read_seconds=_PING_SECONDS,
    )


def replay_failed(webhook_id: str, since: str) -> Call[int]:
    """Send again what failed."""
    return Call(
        route=_REPLAY_FAILED,
        ids={"webhook_id": webhook_id},
        parse=lambda answer: int(answer.json()["n_deliveries"]),
        params={"since": since},
        headers=post_headers(None),
    )


def list_deliveries(
    webhook_id: str,
    *,
    status: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[Page[Delivery]]:
    """One page of deliveries."""
    return Call(
        route=_LIST_DELIVERIES,
        ids={"webhook_id": webhook_id},
        parse=page_of(Delivery.from_json),
        params=params_of(status=status, cursor=cursor, limit=limit),
    )


def get_delivery(delivery_id: str) -> Call[Delivery]:
    """One delivery with its log."""
    return Call(
        route=_GET_DELIVERY, ids={"delivery_id": delivery_id}, parse=parser(Delivery.from_json)
    )


def replay_delivery(delivery_id: str) -> Call[Delivery]:
    """Send a message again."""
    return Call(
        route=_REPLAY_DELIVERY,
        ids={"delivery_id": delivery_id},
        parse=parser(Delivery.from_json),
        headers=post_headers(None),
    )
