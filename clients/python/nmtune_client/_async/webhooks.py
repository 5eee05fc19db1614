"""`client.webhooks`: URLs that the server tells of events, and the log of what it sent."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from nmtune_client._async.concurrency import listing
from nmtune_client._async.paging import paged
from nmtune_client._async.sender import AsyncSender
from nmtune_client._show.reprs import OfClient
from nmtune_client._webhooks.calls import (
    change_webhook,
    create_webhook,
    delete_webhook,
    get_delivery,
    get_webhook,
    list_deliveries,
    list_webhooks,
    ping_webhook,
    replay_delivery,
    replay_failed,
    rotate_secret,
)
from nmtune_client._webhooks.values import DELIVERY_HEADER, Delivery, Webhook, delivery_row


class AsyncWebhooks(OfClient):
    """URLs that the server tells of events; `verify_webhook` is for those who receive them."""

    def __init__(self, sender: AsyncSender) -> None:
        self._sender = sender

    async def create(
        self, url: str, events: Sequence[str], *, description: str | None = None
    ) -> Webhook:
        """Tell a URL of events, such as `job.succeeded`.

        The returned webhook alone has the `secret`: keep it where the receiver can read it. Sent
        once: after a broken connection look with `list` whether it was made.
        """
        settings = {"url": url, "events": [*events], "description": description}
        return await self._sender.send(create_webhook(settings))

    async def get(self, webhook_id: str) -> Webhook:
        """One webhook, and how it fares."""
        return await self._sender.send(get_webhook(webhook_id))

    async def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Webhook:
        """Change what is given. enabled: False sends nothing more, True begins again."""
        changes = {
            "url": url,
            "events": None if events is None else [*events],
            "description": description,
            "enabled": enabled,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        return await self._sender.send(change_webhook(webhook_id, given))

    async def delete(self, webhook_id: str) -> None:
        """Delete a webhook with its log."""
        await self._sender.send(delete_webhook(webhook_id))

    async def rotate(self, webhook_id: str) -> Webhook:
        """Make a new secret, which the returned webhook has; both sign for 24 hours."""
        return await self._sender.send(rotate_secret(webhook_id))

    async def ping(self, webhook_id: str) -> Delivery:
        """Send a `ping` once; the delivery's attempt has the receiver's answer.

        It has no attempt if no worker has sent it within 20 seconds.
        """
        return await self._sender.send(ping_webhook(webhook_id))

    def deliveries(
        self, webhook_id: str, *, status: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Delivery]:
        """What was sent in the last 30 days, newest first; pages are fetched as they are reached.

        status: only `pending`, `sending`, `succeeded` or `failed` ones.
        """
        found = paged(
            self._sender,
            lambda cursor, size: list_deliveries(
                webhook_id, status=status, cursor=cursor, limit=size
            ),
            limit=limit,
        )
        return listing(found, header=DELIVERY_HEADER, row=delivery_row)

    async def delivery(self, delivery_id: str) -> Delivery:
        """One delivery with its message and every attempt."""
        return await self._sender.send(get_delivery(delivery_id))

    async def replay(self, delivery_id: str) -> Delivery:
        """Send a message again, under the same id and signed anew."""
        return await self._sender.send(replay_delivery(delivery_id))

    async def replay_failed(self, webhook_id: str, *, since: datetime) -> int:
        """Send again all that failed since a time; returns how many. since: with a time zone."""
        if since.tzinfo is None:
            raise ValueError(f"since needs a time zone, got {since.isoformat()}")
        return await self._sender.send(replay_failed(webhook_id, since.isoformat()))

    async def list(self) -> list[Webhook]:
        """All webhooks, the oldest first."""
        return await self._sender.send(list_webhooks())
