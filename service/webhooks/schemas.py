"""JSON shapes of webhooks and their deliveries, with one example each."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from service.http.fields import Cursor, Limit
from store.webhooks.deliveries import Attempt as AttemptRecord
from store.webhooks.deliveries import Delivery as DeliveryRecord
from store.webhooks.endpoints import Endpoint
from store.webhooks.outbox import EventName
from store.webhooks.states import DeliveryStatus

EventType = Literal[
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "head.published",
    "head.alias_moved",
    "head.deleted",
    "dataset.created",
    "dataset.expired",
    "drift.changed",
    "key.expiring",
    "endpoint.disabled",
]
"""What can be listened to: all but `ping`, which comes when it is asked for."""


def _each_once(events: list[EventType]) -> list[EventType]:
    return list(dict.fromkeys(events))


Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2000,
        description="Where messages are posted to: https, on the public internet. The operator can "
        "allow other hosts.",
    ),
]
Events = Annotated[
    list[EventType],
    Field(min_length=1, max_length=100, description="What to tell it of."),
    AfterValidator(_each_once),
]
Description = Annotated[str | None, Field(max_length=500, description="Your note.")]
_ENDPOINT: dict[str, Any] = {
    "id": "ep_31k8drzh5p2gk7m4t9x3wvq6ab",
    "url": "https://hooks.example/nmtune",
    "events": ["job.succeeded", "job.failed"],
    "description": "tells the team's channel",
    "status": "enabled",
    "disabled_why": None,
    "disabled_at": None,
    "failing_since": None,
    "old_secret_until": None,
    "created_at": "2026-12-01T03:21:46.157000Z",
}
_SECRET = "whsec_bm90IGEgcmVhbCBzZWNyZXQ6IDMyIGJ5dGVzIGxvbmc="  # noqa: S105  an example


class NewWebhook(BaseModel):
    """A webhook to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"url": "https://hooks.example/nmtune", "events": ["job.succeeded", "job.failed"]}
            ]
        },
    )

    url: Url
    events: Events
    description: Description = None


class WebhookPatch(BaseModel):
    """What to change of a webhook; what is left out stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"events": ["head.alias_moved"]}]}
    )

    url: Url = ""
    events: Events = []
    description: Description = None
    enabled: bool = Field(
        default=True,
        description="false: send nothing, and let what waits fail. true: begin again with a clean "
        "record.",
    )


class Webhook(BaseModel):
    """A URL that is told of events. Its secret is shown only when it is made or rotated."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENDPOINT]})

    id: str
    url: str
    events: list[str]
    description: str | None
    status: Literal["enabled", "disabled"]
    disabled_why: str | None = Field(
        description="by_hand; failing (five days of failures alone); gone (it answered 410)."
    )
    disabled_at: datetime | None
    failing_since: datetime | None = Field(description="Since when no event has arrived.")
    old_secret_until: datetime | None = Field(
        description="Until when messages are also signed with the secret before the rotation."
    )
    created_at: datetime

    @classmethod
    def of(cls, record: Endpoint) -> "Webhook":
        """The stored endpoint as the API shows it."""
        return cls(**_fields(record))


class WebhookWithSecret(Webhook):
    """A webhook with its secret, which no later answer shows."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENDPOINT | {"secret": _SECRET}]})

    secret: str = Field(description="Keep it: it verifies that a message is from this server.")

    @classmethod
    def showing(cls, record: Endpoint, secret: str) -> "WebhookWithSecret":
        """The endpoint and the secret that was just made for it."""
        return cls(**_fields(record), secret=secret)


class Webhooks(BaseModel):
    """All webhooks, the oldest first."""

    items: list[Webhook]


class Attempt(BaseModel):
    """One request to the receiver."""

    n: int
    at: datetime = Field(description="When it was over.")
    milliseconds: int | None
    status: int | None = Field(description="The HTTP status of the answer, if there was one.")
    error: str | None = Field(description="Why there was no whole answer, such as timed_out.")
    excerpt: str | None = Field(description="The answer's first kilobyte.")

    @classmethod
    def of(cls, record: AttemptRecord) -> "Attempt":
        """The logged attempt as the API shows it."""
        return cls(**asdict(record))


class Delivery(BaseModel):
    """A message on its way to a webhook."""

    id: str
    webhook_id: str
    message_id: str = Field(description="The header webhook-id, the same for all attempts.")
    type: str
    kind: Literal["event", "ping", "replay"]
    status: Literal["pending", "sending", "succeeded", "failed"]
    n_attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, record: DeliveryRecord) -> "Delivery":
        """The stored delivery as the API shows it."""
        return cls(**_delivery_fields(record))


class DeliveryWithLog(Delivery):
    """A delivery with what is sent, and every attempt."""

    body: Any = Field(description="The message as it is sent.")
    attempts: list[Attempt]

    @classmethod
    def showing(cls, record: DeliveryRecord, tried: list[AttemptRecord]) -> "DeliveryWithLog":
        """The delivery with its log."""
        return cls(
            **_delivery_fields(record),
            body=orjson.loads(record.body),
            attempts=[Attempt.of(one) for one in tried],
        )


class DeliveryPage(BaseModel):
    """Deliveries of the last 30 days, newest first."""

    items: list[Delivery]
    next_cursor: str | None = Field(description="Pass it as cursor for the next page.")


class DeliveryQuery(BaseModel):
    """Which deliveries to list."""

    model_config = ConfigDict(extra="forbid")

    status: DeliveryStatus | None = Field(
        default=None, description="List only these.", examples=["failed"]
    )
    cursor: Cursor = None
    limit: Limit = 50


class ReplayQuery(BaseModel):
    """What to send again."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime = Field(
        description="Send again what failed, of the messages since then; with a time zone.",
        examples=["2026-12-01T00:00:00Z"],
    )


class Replayed(BaseModel):
    """How much will be sent again."""

    n_deliveries: int


def _fields(record: Endpoint) -> dict[str, Any]:
    return {
        "id": record.id,
        "url": record.url,
        "events": record.events,
        "description": record.description,
        "status": "enabled" if record.disabled_at is None else "disabled",
        "disabled_why": record.disabled_why,
        "disabled_at": record.disabled_at,
        "failing_since": record.failing_since,
        "old_secret_until": record.old_until,
        "created_at": record.created_at,
    }


def _delivery_fields(record: DeliveryRecord) -> dict[str, Any]:
    is_waiting = record.status == DeliveryStatus.PENDING.value
    return {
        "id": record.id,
        "webhook_id": record.endpoint_id,
        "message_id": record.message_id,
        "type": EventName(record.type).value,
        "kind": record.kind,
        "status": record.status,
        "n_attempts": record.n_attempts,
        "next_attempt_at": record.due_at if is_waiting else None,
        "created_at": record.created_at,
        "finished_at": record.finished_at,
    }
