"""Home of `Job`: a job bound to its client, that can be watched, waited for and cancelled."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from nmtune_client import _calls
from nmtune_client._errors import (
    APIConnectionError,
    APIStatusError,
    BadResponseError,
    JobCancelled,
    JobFailed,
    ServerError,
    WaitTimeout,
)
from nmtune_client._progress import Observer, observer_of
from nmtune_client._report import Report
from nmtune_client._sse import Parser, ServerSentEvent
from nmtune_client._types import Event, HeadRef, JobData, Json, Progress
from nmtune_client._wire import Call, Sender

T = TypeVar("T")

# Three of the server's heartbeats: a stream that is silent for longer is dead.
_STREAM_READ_SECONDS = 45.0
_MOST_STREAM_FAILURES = 3
_EVENTS_A_PAGE = 200
_FIRST_POLL_SECONDS = 0.2
_LONGEST_POLL_SECONDS = 2.0
# A restart of the server must not end an hour of waiting; a server that is gone must.
_LONGEST_OUTAGE_SECONDS = 120.0

logger = logging.getLogger(__name__)


class Job:
    """A job at the server. Its properties are as of the last answer; `refresh()` asks again."""

    def __init__(self, sender: Sender, data: JobData) -> None:
        self._sender = sender
        self.data = data

    def __repr__(self) -> str:
        return f"Job(id={self.id!r}, name={self.name!r}, status={self.status!r})"

    @property
    def id(self) -> str:
        """The job's id."""
        return self.data.id

    @property
    def name(self) -> str:
        """The name of the job, and of the head it publishes."""
        return self.data.name

    @property
    def status(self) -> str:
        """queued, running, succeeded, failed or cancelled."""
        return self.data.status

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.data.is_final

    @property
    def stage(self) -> str | None:
        """What it is at while it runs: loading, training, evaluating, spectra, publishing."""
        return self.data.stage

    @property
    def progress(self) -> Progress | None:
        """How far it has come."""
        return self.data.progress

    @property
    def head(self) -> HeadRef | None:
        """The head version it published; None unless it succeeded."""
        return self.data.head

    @property
    def error(self) -> Json | None:
        """Why it failed: code, message."""
        return self.data.error

    @property
    def dataset_id(self) -> str | None:
        """The dataset it learns from."""
        return self.data.dataset_id

    @property
    def encoder(self) -> Json | None:
        """What embeds its texts; once it has, `usage` counts texts and tokens."""
        encoder: Json | None = self.data.raw.get("encoder")
        return encoder

    @property
    def created_at(self) -> datetime | None:
        """When it was submitted."""
        return self.data.created_at

    def refresh(self) -> "Job":
        """Ask the server how the job is now; returns itself."""
        self.data = self._sender.send(_calls.get_job(self.id))
        return self

    def cancel(self) -> "Job":
        """Ask that it be cancelled; a running job stops within seconds. Returns itself."""
        self.data = self._sender.send(_calls.cancel_job(self.id))
        return self

    def report(self) -> Report:
        """What it found; ConflictError before it has succeeded."""
        return self._sender.send(_calls.get_report(self.id))

    def events(self, *, after: str | None = None, follow: bool = False) -> Iterator[Event]:
        """Its events, oldest first, behind the event id `after`.

        With `follow` the iterator goes on with new events as they come, until the job has ended.
        """
        if not follow:
            yield from self._listed(after)
            return
        for event in self._follow(after=after, deadline=None):
            if event is not None:
                yield event

    def wait(
        self,
        timeout: float | None = None,
        *,
        progress: bool | Callable[[JobData], None] = False,
    ) -> "Job":
        """Wait until the job has ended, and return it if it succeeded.

        Listens to the server's event stream, and asks now and then where that does not work; a
        short absence of the server is sat out. `timeout`: seconds, None for ever. `progress`: True
        for a bar on stderr, or a function that is called with each new state.

        Raises JobFailed, JobCancelled, WaitTimeout (the job goes on), or an APIConnectionError.
        """
        if not self.is_final:
            self._watch(observer_of(progress), None if timeout is None else _now() + timeout)
        if self.status == "failed":
            raise JobFailed(self.data)
        if self.status == "cancelled":
            raise JobCancelled(self.data)
        if not self.is_final and timeout is not None:
            raise WaitTimeout(self.data, timeout)
        return self

    def _watch(self, observer: Observer, deadline: float | None) -> None:
        """Show each state from now on to `observer`, to the job's end or the deadline."""
        # the events so far are in the job's own state, so that they are not shown again
        after = None
        for past in self._listed(None):
            after = past.id
        self.refresh()
        try:
            observer.update(self.data)
            events = iter(()) if self.is_final else self._follow(after=after, deadline=deadline)
            for event in events:
                if event is not None and not self.is_final:
                    self.data = _after(self.data, event)
                observer.update(self.data)
            observer.update(self.data)
        finally:
            observer.close()

    def _listed(self, after: str | None) -> Iterator[Event]:
        while True:
            call = _calls.list_events(self.id, after=after, limit=_EVENTS_A_PAGE)
            page = self._sender.send(call)
            yield from page.items
            if page.next_cursor is None or not page.items:
                return
            after = page.next_cursor

    def _follow(self, *, after: str | None, deadline: float | None) -> Iterator[Event | None]:
        """Events as they come, None for a sign of life, to the job's end or the deadline.

        A stream cannot be left at a given moment, only at its next sign of life, so that the last
        stretch before a deadline is polled. Stops with `self.data` final unless the deadline came.
        """
        n_stream_failures = 0
        pause = _FIRST_POLL_SECONDS
        answered_at = _now()
        while True:
            came_anything = False
            may_stream = n_stream_failures < _MOST_STREAM_FAILURES
            if may_stream and _remaining(deadline) > _STREAM_READ_SECONDS:
                for event in self._streamed(after, deadline):
                    answered_at = _now()
                    if event is not None:
                        after, came_anything = event.id, True
                    yield event
            try:
                self.refresh()
                events = list(self._listed(after))
            except (APIConnectionError, ServerError):
                if _now() - answered_at > _LONGEST_OUTAGE_SECONDS:
                    raise
                yield None
            else:
                answered_at = _now()
                came_anything = came_anything or bool(events)
                # the server answers, so that it is the stream that does not work
                n_stream_failures = 0 if came_anything else n_stream_failures + 1
                after = events[-1].id if events else after
                yield from events
                yield None
                if self.is_final:
                    return
            if _remaining(deadline) <= 0:
                return
            pause = _FIRST_POLL_SECONDS if came_anything else pause * 1.5
            time.sleep(max(0.0, min(pause, _LONGEST_POLL_SECONDS, _remaining(deadline))))

    def _streamed(self, after: str | None, deadline: float | None) -> Iterator[Event | None]:
        """One stream, to its end: the last event, a cut, or the approach of the deadline."""
        call: Call[None] = _calls.stream_events(self.id, after=after)
        parser = Parser()
        try:
            with self._sender.open_stream(call, read_seconds=_STREAM_READ_SECONDS) as chunks:
                for chunk in chunks:
                    yield None
                    for message in parser.feed(chunk):
                        event = _event(message)
                        yield event
                        if event.is_final:
                            return
                    if _remaining(deadline) <= _STREAM_READ_SECONDS:
                        return
        except (APIConnectionError, APIStatusError, BadResponseError) as error:
            logger.info("events.cut job_id=%s after=%s reason=%s", self.id, after, error)


def _now() -> float:
    return time.monotonic()


def _remaining(deadline: float | None) -> float:
    return float("inf") if deadline is None else deadline - _now()


def _event(message: ServerSentEvent) -> Event:
    """A stream's message as an event: its data is the event's own, or the event as in the list."""
    try:
        data = json.loads(message.data)
        if isinstance(data, dict) and data.get("type") == message.type and "data" in data:
            return Event.from_json({"id": message.id or "", **data})
        return Event.from_json({"id": message.id or "", "type": message.type, "data": data})
    except ValueError as error:
        raise BadResponseError(f"the event stream sent something unreadable: {error}") from error


def _after(job: JobData, event: Event) -> JobData:
    """The job as the event says it became; what it does not say, a later answer will."""
    if event.type == "job.started":
        attempt = event.data.get("attempt", job.attempt)
        return replace(job, status="running", stage=None, progress=None, attempt=attempt)
    if event.type == "job.requeued":
        return replace(job, status="queued", stage=None, progress=None)
    if event.type == "job.stage":
        return replace(job, status="running", stage=event.data.get("stage"))
    if event.type == "job.progress":
        stage = event.data.get("stage", job.stage)
        progress = Progress.from_json(event.data)
        return replace(job, status="running", stage=stage, progress=progress)
    return job
