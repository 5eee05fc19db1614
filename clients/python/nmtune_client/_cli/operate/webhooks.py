"""`nmtune webhooks`: URLs that the server tells of events, and the log of what it sent."""

import argparse
from argparse import Namespace
from dataclasses import asdict
from datetime import datetime
from typing import Any

from nmtune_client._cli.shared.options import Subparsers, add_actions, declare, moment_of, positive
from nmtune_client._cli.shared.output import print_json, print_list, say
from nmtune_client._http.errors import NMTuneError
from nmtune_client._sync.client import Client
from nmtune_client._webhooks.values import (
    DELIVERY_HEADER,
    WEBHOOK_HEADER,
    Delivery,
    Webhook,
    delivery_row,
    webhook_row,
)


def add_webhooks(commands: Subparsers, shared: argparse.ArgumentParser) -> None:
    """Declare `nmtune webhooks` and its actions."""
    parser = declare(commands, shared, "webhooks", list_webhooks, "URLs that are told of events")
    actions = add_actions(parser)
    declare(actions, shared, "list", list_webhooks, "list the webhooks (default)")
    create = declare(actions, shared, "create", create_webhook, "tell a URL of events")
    create.add_argument("webhook_url", metavar="URL", help="https://...")
    create.add_argument("events", metavar="EVENT", nargs="+", help="such as job.succeeded")
    create.add_argument("--description", metavar="TEXT", help="your note")
    for name, command, text in (
        ("delete", delete_webhook, "delete a webhook with its log"),
        ("ping", ping_webhook, "send a ping and show what the receiver answers"),
        ("rotate", rotate_webhook, "make a new secret; both sign for 24 hours"),
        ("enable", enable_webhook, "send to a disabled webhook again"),
        ("deliveries", list_deliveries, "list what was sent, newest first"),
        ("replay", replay, "send one delivery again, or all failed ones of a webhook"),
    ):
        action = declare(actions, shared, name, command, text)
        action.add_argument("id", metavar="ID", help=_ID.get(name, "the webhook's id, ep_..."))
        if name == "deliveries":
            action.add_argument("--status", choices=_STATUSES, help="only these")
            action.add_argument("--limit", metavar="N", type=positive(int), default=20)
        if name == "replay":
            action.add_argument(
                "--since", metavar="TIME", type=moment_of, help="all failed since 2026-12-01T08:00Z"
            )


_ID = {"replay": "a delivery's id, dlv_...; with --since a webhook's, ep_..."}
_STATUSES = ("pending", "sending", "succeeded", "failed")


def list_webhooks(client: Client, arguments: Namespace) -> None:
    """`nmtune webhooks`"""
    print_list(
        client.webhooks.list(),
        as_json=_json if arguments.json else None,
        header=WEBHOOK_HEADER,
        row=webhook_row,
        none="There are no webhooks.",
    )


def create_webhook(client: Client, arguments: Namespace) -> None:
    """`nmtune webhooks create`"""
    made = client.webhooks.create(
        arguments.webhook_url, arguments.events, description=arguments.description
    )
    _show_secret(made, arguments, f"Made {made.id}.")


def rotate_webhook(client: Client, arguments: Namespace) -> None:
    """`nmtune webhooks rotate`"""
    _show_secret(client.webhooks.rotate(arguments.id), arguments, "Both secrets sign for 24 hours.")


def _show_secret(webhook: Webhook, arguments: Namespace, words: str) -> None:
    if arguments.json:
        print_json(_json(webhook) | {"secret": webhook.secret})
    else:
        say(f"{words} This is its secret, which the server never shows again:")
        print(webhook.secret)


def enable_webhook(client: Client, arguments: Namespace) -> None:
    """`nmtune webhooks enable`"""
    enabled = client.webhooks.update(arguments.id, enabled=True)
    print_json(_json(enabled)) if arguments.json else say(f"Enabled {enabled.id}.")


def delete_webhook(client: Client, arguments: Namespace) -> None:
    """`nmtune webhooks delete`"""
    client.webhooks.delete(arguments.id)
    if arguments.json:
        print_json({"id": arguments.id, "deleted": True})
    else:
        say(f"Deleted {arguments.id}.")


def ping_webhook(client: Client, arguments: Namespace) -> None:
    """`nmtune webhooks ping`: fails if the receiver does not take it"""
    delivery = client.webhooks.ping(arguments.id)
    if arguments.json:
        print_json(_json(delivery))
        return
    if not delivery.attempts:
        say(f"No worker has sent it yet. Look later: nmtune webhooks deliveries {arguments.id}")
        return
    attempt = delivery.attempts[-1]
    print(f"{delivery.status}: {attempt} in {attempt.milliseconds} ms")
    if attempt.excerpt:
        print(attempt.excerpt)
    if delivery.status != "succeeded":
        raise NMTuneError("The receiver did not take the ping.")


def list_deliveries(client: Client, arguments: Namespace) -> None:
    """`nmtune webhooks deliveries`"""
    print_list(
        client.webhooks.deliveries(arguments.id, status=arguments.status, limit=arguments.limit),
        as_json=_json if arguments.json else None,
        header=DELIVERY_HEADER,
        row=delivery_row,
        none="Nothing was sent in the last 30 days.",
    )


def replay(client: Client, arguments: Namespace) -> None:
    """`nmtune webhooks replay`"""
    if arguments.since is None:
        n_deliveries = 1
        client.webhooks.replay(arguments.id)
    else:
        n_deliveries = client.webhooks.replay_failed(arguments.id, since=arguments.since)
    if arguments.json:
        print_json({"id": arguments.id, "n_deliveries": n_deliveries})
    else:
        say(f"{n_deliveries} will be sent again.")


def _json(value: Webhook | Delivery) -> dict[str, Any]:
    """What the server said, its times as text, without a secret."""
    return {name: _plain(one) for name, one in asdict(value).items() if name != "secret"}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value
