"""Home of `Job`: a job bound to its client, that can be watched, waited for and cancelled."""

import logging
import time
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

from nmtune_client import _calls
from nmtune_client._http.errors import (
    APIConnectionError,
    APIStatusError,
    BadResponseError,
    ServerError,
)
from nmtune_client._http.sse import Parser
from nmtune_client._http.wire import Call, Sender
from nmtune_client._jobs import following as _following
from nmtune_client._jobs.following import Following, deadline_in
from nmtune_client._jobs.progress import Observer, observer_of
from nmtune_client._jobs.view import JobView
from nmtune_client._predict.whole_file import target
from nmtune_client._report.report import Report
from nmtune_client._types import Event, JobData

logger = logging.getLogger(__name__)


class Job(JobView):
    """A job at the server. Its properties are as of the last answer; `refresh()` asks again."""

    def __init__(self, sender: Sender, data: JobData) -> None:
        super().__init__(data)
        self._sender = sender

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

    def output(self, path: str | PathLike[str] | None = None) -> Path:
        """Write the file that a prediction made to `path`, whole or not at all; its path.

        path: by default NAME-ID with the format's ending, in this folder. ConflictError before the
        job has succeeded, and once its output is deleted.
        """
        to = target(self.data, path)
        self._sender.download(_calls.get_output(self.id), to)
        return to

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
            self._watch(observer_of(progress), deadline_in(timeout))
        self._raise_unless_succeeded(timeout)
        return self

    def _watch(self, observer: Observer, deadline: float | None) -> None:
        """Show each state from now on to `observer`, to the job's end or the deadline."""
        # the events so far are in the job's own state, so that they are not shown again
        last = None
        for past in self._listed(None):
            last = past.id
        self.refresh()
        try:
            observer.update(self.data)
            events = iter(()) if self.is_final else self._follow(after=last, deadline=deadline)
            for event in events:
                if event is not None and not self.is_final:
                    self.data = _following.after(self.data, event)
                observer.update(self.data)
            observer.update(self.data)
        finally:
            observer.close()

    def _listed(self, after: str | None) -> Iterator[Event]:
        while True:
            call = _calls.list_events(self.id, after=after, limit=_following.EVENTS_A_PAGE)
            page = self._sender.send(call)
            yield from page.items
            if page.next_cursor is None or not page.items:
                return
            after = page.next_cursor

    def _follow(self, *, after: str | None, deadline: float | None) -> Iterator[Event | None]:
        """Events as they come, None for a sign of life, to the job's end or the deadline.

        Stops with `self.data` final unless the deadline came.
        """
        following = Following(after=after, deadline=deadline)
        while True:
            following.begin_round()
            if following.may_stream:
                yield from self._streamed(following)
            try:
                self.refresh()
                events = list(self._listed(following.after))
            except (APIConnectionError, ServerError):
                if following.is_outage:
                    raise
                yield None
            else:
                following.listed(events)
                yield from events
                yield None
                if self.is_final:
                    return
            if following.is_overdue:
                return
            time.sleep(following.pause())

    def _streamed(self, following: Following) -> Iterator[Event | None]:
        """One stream, to its end: the last event, a cut, or the approach of the deadline."""
        call: Call[None] = _calls.stream_events(self.id, after=following.after)
        parser = Parser()
        try:
            read_seconds = _following.STREAM_READ_SECONDS
            with self._sender.open_stream(call, read_seconds=read_seconds) as chunks:
                for chunk in chunks:
                    for event in following.read(parser, chunk):
                        yield event
                        if event is not None and event.is_final:
                            return
                    if not following.may_stream:
                        return
        except (APIConnectionError, APIStatusError, BadResponseError) as error:
            logger.info("events.cut job_id=%s after=%s reason=%s", self.id, following.after, error)
