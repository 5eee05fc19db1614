"""Webhooks and deliveries, as the server describes them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from nmtune_client._http.values import Json, build, known_in, member, time_of
from nmtune_client._show import plain
from nmtune_client._show.reprs import Shown

WEBHOOK_HEADER = ("webhook", "status", "events", "url")
DELIVERY_HEADER = ("delivery", "type", "status", "attempts", "created", "next")


@dataclass(frozen=True, kw_only=True, repr=False)
class Webhook(Shown):
    """A URL that the server tells of events."""

    id: str
    url: str
    events: tuple[str, ...] = ()
    description: str | None = None
    status: str = "enabled"
    disabled_why: str | None = None
    """by_hand, failing or gone."""
    disabled_at: datetime | None = None
    failing_since: datetime | None = None
    """Since when no event has arrived."""
    old_secret_until: datetime | None = None
    """Until when messages are also signed with the secret before a rotation."""
    created_at: datetime | None = None
    secret: str | None = field(default=None, repr=False)
    """What verifies its messages; only there when it was just made or rotated."""

    @classmethod
    def from_json(cls, data: object) -> Self:
        times = ("disabled_at", "failing_since", "old_secret_until", "created_at")
        known = known_in(
            cls,
            data,
            events=tuple(member(data, "events") or ()),
            **{name: time_of(data, name) for name in times},
        )
        return build(cls, known)

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, kw_only=True, repr=False)
class Attempt(Shown):
    """One request to a receiver: its answer, or why there was none."""

    n: int
    at: datetime | None = None
    milliseconds: int | None = None
    status: int | None = None
    error: str | None = None
    excerpt: str | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        return build(cls, known_in(cls, data, at=time_of(data, "at")))

    def __str__(self) -> str:
        answered = "" if self.status is None else f"answered {self.status}"
        return ", ".join(filter(None, [answered, self.error])) or "no answer"


@dataclass(frozen=True, kw_only=True, repr=False)
class Delivery(Shown):
    """A message on its way to a webhook; a delivery of a listing has no `body` and attempts."""

    id: str
    webhook_id: str
    message_id: str
    """The header webhook-id, the same for all attempts."""
    type: str
    kind: str
    status: str
    n_attempts: int = 0
    next_attempt_at: datetime | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    body: Json = field(default_factory=dict, repr=False)
    attempts: tuple[Attempt, ...] = ()

    @classmethod
    def from_json(cls, data: object) -> Self:
        times = ("next_attempt_at", "created_at", "finished_at")
        known = known_in(
            cls,
            data,
            body=member(data, "body") or {},
            attempts=tuple(Attempt.from_json(one) for one in member(data, "attempts") or ()),
            **{name: time_of(data, name) for name in times},
        )
        return build(cls, known)

    def __str__(self) -> str:
        return self.id


def webhook_row(webhook: Webhook) -> tuple[str, ...]:
    """A webhook as a line under `WEBHOOK_HEADER`."""
    why = "" if webhook.disabled_why is None else f" ({webhook.disabled_why})"
    failing = " (failing)" if webhook.failing_since and not why else ""
    return (
        webhook.id,
        f"{webhook.status}{why}{failing}",
        ", ".join(webhook.events),
        webhook.url,
    )


def delivery_row(delivery: Delivery) -> tuple[str, ...]:
    """A delivery as a line under `DELIVERY_HEADER`."""
    upcoming = delivery.next_attempt_at
    return (
        delivery.id,
        delivery.type,
        delivery.status,
        str(delivery.n_attempts),
        plain.moment(delivery.created_at),
        "-" if upcoming is None else plain.moment(upcoming),
    )
