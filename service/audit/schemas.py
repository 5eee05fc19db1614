"""JSON shapes of the audit, with one example each."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from service.http.fields import Cursor, Limit
from service.http.validation import KEY_PATTERN
from store.access.audit import Entry, Wanted


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999, in UTC too") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Word = Annotated[str | None, Field(max_length=255, pattern=KEY_PATTERN)]

_ENTRY: dict[str, Any] = {
    "id": "aud_31k8drzh5p2gk7m4t9x3wvq6ab",
    "at": "2026-12-01T09:30:00.417Z",
    "actor_kind": "key",
    "actor_id": "key_01k9z6v3t2n8m4q7r5s1w0x9y8",
    "action": "alias.moved",
    "target": "pets@prod",
    "outcome": "done",
    "request_id": "req_5b0b2c9d1e6f4a3b8c7d6e5f",
    "address": "10.0.3.7",
    "details": {"before": 3, "after": 4},
}


class AuditEntry(BaseModel):
    """One act. It names things, and never holds a secret, a text, a label or a vector."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENTRY]})

    id: str
    at: datetime = Field(description="By the database's clock.")
    actor_kind: Literal["key", "session", "operator", "worker", "anyone"] = Field(
        description="anyone: whoever reaches a server without keys."
    )
    actor_id: str = Field(
        description="The key's id, also of a browser that signed in with it; the subject of who "
        "signed in at the identity provider; operator; anyone; or the worker's name."
    )
    action: str = Field(description="What was done, as noun.verb.")
    target: str = Field(description="What it was done to: an id, a name or a reference.")
    outcome: Literal["done", "unchanged"] = Field(
        description="unchanged: all was as it was to be already."
    )
    request_id: str | None = Field(description="The X-Request-Id of the request.")
    address: str | None = Field(description="Where the request came from.")
    details: dict[str, Any] = Field(description="Names, ids and numbers.")

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """The stored entry as the API shows it."""
        shown = asdict(entry)
        del shown["tenant_id"]
        return cls(**shown)


class AuditFilter(BaseModel):
    """Which entries."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = Field(
        default=None,
        description="From this moment on, with a time zone.",
        examples=["2026-12-01T00:00:00Z"],
    )
    until: Moment | None = Field(
        default=None, description="Before this moment.", examples=["2026-12-02T00:00:00Z"]
    )
    actor: Word = Field(
        default=None,
        description="Only acts of this actor_id.",
        examples=["key_01k9z6v3t2n8m4q7r5s1w0x9y8"],
    )
    action: Word = Field(default=None, description="Only this action.", examples=["alias.moved"])
    target: Word = Field(
        default=None, description="Only acts on this target.", examples=["pets@prod"]
    )

    def wanted(self) -> Wanted:
        """What the store is asked for."""
        return Wanted(
            since=self.since,
            until=self.until,
            actor=self.actor,
            action=self.action,
            target=self.target,
        )


class AuditQuery(AuditFilter):
    """Which entries to list."""

    cursor: Cursor = None
    limit: Limit = 50


class AuditPage(BaseModel):
    """Acts, newest first."""

    items: list[AuditEntry]
    next_cursor: str | None
