"""Decide how to follow a job: stream or ask, how long to pause, when to stop; no I/O.

A follower goes round after round: it listens to the event stream while that works, then asks for
the job and for events that it missed, then pauses. `Following` is what it has to remember.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from nmtune_client._heads.values import HeadRef
from nmtune_client._http.errors import BadResponseError
from nmtune_client._http.sse import Parser, ServerSentEvent
from nmtune_client._jobs.values import Event, JobData, Progress

EVENTS_A_PAGE = 200

# Three of the server's heartbeats: a stream that is silent for longer is dead.
STREAM_READ_SECONDS = 45.0

_MOST_STREAM_FAILURES = 3
_FIRST_POLL_SECONDS = 0.2
_LONGEST_POLL_SECONDS = 2.0
# A restart of the server must not end an hour of waiting; a server that is gone must.
_LONGEST_OUTAGE_SECONDS = 120.0


class Following:
    """Where a follower is in a job's events, and how well the server has answered.

    A stream cannot be left at a given moment, only at its next sign of life, so that the last
    stretch before the deadline is polled.
    """

    def __init__(self, *, after: str | None, deadline: float | None) -> None:
        self.after = after
        """The id of the last event that came."""
        self._deadline = deadline
        self._n_stream_failures = 0
        self._came_anything = False
        self._pause = _FIRST_POLL_SECONDS
        self._answered_at = time.monotonic()

    @property
    def is_overdue(self) -> bool:
        """Whether the deadline has come."""
        return self._remaining() <= 0

    @property
    def may_stream(self) -> bool:
        """Whether there is time for a stream, and hope that it works."""
        works = self._n_stream_failures < _MOST_STREAM_FAILURES
        return works and self._remaining() > STREAM_READ_SECONDS

    @property
    def is_outage(self) -> bool:
        """Whether the server has not answered for so long that it must be gone."""
        return time.monotonic() - self._answered_at > _LONGEST_OUTAGE_SECONDS

    @property
    def read_seconds(self) -> float:
        """The longest silence of a stream."""
        return STREAM_READ_SECONDS

    def begin_round(self) -> None:
        """Listen, then ask."""
        self._came_anything = False

    def read(self, parser: Parser, chunk: bytes) -> Iterator[Event | None]:
        """The events that a chunk of the stream completes, behind a None: the sign of life."""
        self._answered_at = time.monotonic()
        yield None
        for message in parser.feed(chunk):
            event = _event(message)
            self.after, self._came_anything = event.id, True
            yield event

    def listed(self, events: Sequence[Event]) -> None:
        """The server answered with these events that the stream had not brought."""
        self._answered_at = time.monotonic()
        self._came_anything = self._came_anything or bool(events)
        # the server answers, so that it is the stream that does not work
        self._n_stream_failures = 0 if self._came_anything else self._n_stream_failures + 1
        self.after = events[-1].id if events else self.after

    def pause(self) -> float:
        """Seconds to wait before the next round."""
        self._pause = _FIRST_POLL_SECONDS if self._came_anything else self._pause * 1.5
        return max(0.0, min(self._pause, _LONGEST_POLL_SECONDS, self._remaining()))

    def _remaining(self) -> float:
        return float("inf") if self._deadline is None else self._deadline - time.monotonic()


def deadline_in(seconds: float | None) -> float | None:
    """The moment, by the clock of `Following`, that many seconds from now; None: never."""
    return None if seconds is None else time.monotonic() + seconds


def after_event(job: JobData, event: Event) -> JobData:
    """The job as the event says it became; what it does not say, a later answer will."""
    if event.type == "job.started":
        attempt = event.data.get("attempt", job.attempt)
        fresh = replace(job, status="running", stage=None, progress=None, waiting=None)
        return replace(fresh, attempt=attempt)
    if event.type == "job.requeued":
        waiting = event.data if "until" in event.data else None
        return replace(job, status="queued", stage=None, progress=None, waiting=waiting)
    if event.type == "job.stage":
        return replace(job, status="running", stage=event.data.get("stage"))
    if event.type == "job.progress":
        stage = event.data.get("stage", job.stage)
        progress, waiting = Progress.from_json(event.data), event.data.get("waiting")
        return replace(job, status="running", stage=stage, progress=progress, waiting=waiting)
    if event.type == "head.published" and event.data.get("head"):
        return replace(job, head=HeadRef.from_json(event.data["head"]), report_status="incomplete")
    return job


def _event(message: ServerSentEvent) -> Event:
    """A stream's message as an event: its data is the event's own, or the event as in the list."""
    try:
        data = json.loads(message.data)
        if isinstance(data, dict) and data.get("type") == message.type and "data" in data:
            return Event.from_json({"id": message.id or "", **data})
        return Event.from_json({"id": message.id or "", "type": message.type, "data": data})
    except ValueError as error:
        raise BadResponseError(f"the event stream sent something unreadable: {error}") from error
