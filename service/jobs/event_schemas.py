"""JSON shapes of a job's events, with one example."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.http.fields import Limit
from service.http.validation import EVENT_ID_PATTERN
from store.events import Event as EventRecord


class Event(BaseModel):
    """Something that happened to a job."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "evt_000003",
                    "type": "job.progress",
                    "data": {"candidate": "nmtune", "epoch": 1, "fraction": 0.4},
                    "created_at": "2026-11-24T03:21:47.020000Z",
                }
            ]
        }
    )

    id: str
    type: str
    data: dict[str, Any]
    created_at: datetime

    @classmethod
    def of(cls, record: EventRecord) -> "Event":
        """The stored event as the API shows it."""
        return cls(id=record.id, type=record.type, data=record.data, created_at=record.created_at)


class EventQuery(BaseModel):
    """Which events to list."""

    model_config = ConfigDict(extra="forbid")

    after: str | None = Field(
        default=None,
        pattern=EVENT_ID_PATTERN,
        description="List only events after this one.",
        examples=["evt_000012"],
    )
    limit: Limit = 100


class EventPage(BaseModel):
    """Events of one job, oldest first."""

    items: list[Event]
    next_cursor: str | None = Field(description="Pass it as after for the next page.")
