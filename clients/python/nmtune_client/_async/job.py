"""A job bound to its client: watch it, wait for it, cancel it, fetch its report or output."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from os import PathLike
from pathlib import Path

from nmtune_client._async.concurrency import listing, sleep
from nmtune_client._async.paging import paged
from nmtune_client._async.reports import fetched
from nmtune_client._async.sender import AsyncSender
from nmtune_client._heads.arguments import notes
from nmtune_client._heads.values import HeadVersion
from nmtune_client._http.errors import (
    APIConnectionError,
    APIStatusError,
    BadResponseError,
    ServerError,
)
from nmtune_client._http.sse import Parser
from nmtune_client._http.wire import Call
from nmtune_client._job_rows.calls import get_map, get_rows_file, list_rows
from nmtune_client._job_rows.map_file import JobMap
from nmtune_client._job_rows.values import ROW_HEADER, JobRow, row_line
from nmtune_client._jobs.calls import (
    cancel_job,
    get_job,
    get_output,
    list_events,
    publish_candidate,
    stream_events,
)
from nmtune_client._jobs.following import EVENTS_A_PAGE, Following, after_event, deadline_in
from nmtune_client._jobs.progress import Observer, observer_of
from nmtune_client._jobs.values import Event, JobData
from nmtune_client._jobs.view import JobView, Until
from nmtune_client._predict.whole_file import target
from nmtune_client._report.report import Report

logger = logging.getLogger(__name__)


class AsyncJob(JobView):
    """A job at the server. Its properties are as of the last answer; `refresh()` asks again."""

    def __init__(self, sender: AsyncSender, data: JobData) -> None:
        super().__init__(data)
        self._sender = sender

    async def refresh(self) -> "AsyncJob":
        """Ask the server how the job is now; returns itself."""
        self.data = await self._sender.send(get_job(self.id))
        return self

    async def cancel(self) -> "AsyncJob":
        """Ask the server to cancel it; a running job stops within seconds. Returns itself."""
        self.data = await self._sender.send(cancel_job(self.id))
        return self

    async def report(self, *, html: bool = False) -> Report:
        """Fetch its report; ConflictError before its head is published.

        Until it has succeeded, `Report.missing` names what the job has still to find out.

        html: fetch its page too, now, so that `Report.html`, `Report.save_html` and notebooks need
        no server any more. `Client` fetches the page when one of them asks for it; `AsyncClient`,
        which could not wait then, only here.
        """
        return await fetched(self._sender, self.id, html=html)

    async def publish(
        self,
        candidate: str,
        *,
        alias: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> HeadVersion:
        """Make another of its candidates the next version of its head, without training again.

        candidate: a name in `Report.candidates`, such as "nmtune". alias: moves to the version.
        description and tags: noted of it, by default those of the job. A candidate that is
        published already stays the version it is; alias and notes are set all the same.
        ConflictError before the job has succeeded; APIStatusError with code `job_file_expired`
        (410) once the server no longer keeps the heads of its candidates.
        """
        call = publish_candidate(self.id, candidate, alias=alias, notes=notes(description, tags))
        return await self._sender.send(call)

    async def output(self, path: str | PathLike[str] | None = None) -> Path:
        """Write the file that a prediction made to `path`, whole or not at all; its path.

        path: by default NAME-ID with the format's ending, in this folder. ConflictError before the
        job has succeeded, and once its output is deleted.
        """
        to = target(self.data, path)
        await self._sender.download(get_output(self.id), to)
        return to

    def rows(
        self,
        *,
        split: str | None = None,
        label: str | None = None,
        predicted: str | None = None,
        candidate: str | None = None,
        against: str | None = None,
        only: str | None = None,
        sort: str | None = None,
        neighbours: bool = False,
        limit: int | None = None,
    ) -> AsyncIterator[JobRow]:
        """The rows of its dataset, with what a candidate says of each; fetched page by page.

        split, label, predicted: only such rows. candidate: who predicts; without it the published
        head. only: "errors", "correct", "suspected" (training rows whose label looks wrong), or
        "gained" and "lost" (rows that `candidate` gets right and `against` wrong, or the reverse).
        sort: "row", "label_probability", "predicted_probability", "ood_score" or "set_size", with a
        minus from the greatest down; "suspicion" for suspected rows. neighbours: with the nearest
        training rows of suspected ones. limit: so many at most.

        ConflictError before the job has succeeded; APIStatusError 410 once the server has removed
        them.
        """
        filters = {
            "split": split,
            "label": label,
            "predicted": predicted,
            "candidate": candidate,
            "against": against,
            "only": only,
            "sort": sort,
        }
        found = paged(
            self._sender,
            lambda cursor, size: list_rows(
                self.id, cursor=cursor, limit=size, neighbours=neighbours, **filters
            ),
            limit=limit,
        )
        return listing(found, header=ROW_HEADER, row=row_line)

    async def save_rows(
        self,
        path: str | PathLike[str],
        *,
        split: str | None = None,
        label: str | None = None,
        predicted: str | None = None,
        candidate: str | None = None,
        against: str | None = None,
        only: str | None = None,
    ) -> Path:
        """Write all matching rows to a Parquet file, whole or not at all; its path.

        The arguments are those of `rows`; the order is that of the splits.
        """
        to = Path(path)
        call = get_rows_file(
            self.id,
            split=split,
            label=label,
            predicted=predicted,
            candidate=candidate,
            against=against,
            only=only,
        )
        await self._sender.download(call, to)
        return to

    async def map(self) -> JobMap:
        """At most 10,000 of its rows as points of a plane; raises as `rows`."""
        return await self._sender.send(get_map(self.id))

    async def events(
        self, *, after: str | None = None, follow: bool = False
    ) -> AsyncIterator[Event]:
        """Its events, oldest first, behind the event id `after`.

        With `follow` the iterator goes on with new events as they come, until the job has ended.
        """
        if not follow:
            async for event in self._listed(after):
                yield event
            return
        async with aclosing(self._follow(after=after, deadline=None)) as followed:
            async for sign in followed:
                if sign is not None:
                    yield sign

    async def wait(
        self,
        timeout: float | None = None,
        *,
        until: Until = "end",
        progress: bool | Callable[[JobData], None] = False,
    ) -> "AsyncJob":
        """Wait until the job has ended, and return it if it succeeded.

        `until="head"`: only until its head is published. It can then predict; the job goes on with
        comparison and report. A head that is published stays, however the job ends.

        Listens to the server's event stream, and asks now and then where that does not work; a
        short absence of the server does not end the wait. `timeout`: seconds, None for ever.
        `progress`: True for a bar on stderr, or a function that is called with each new state.

        Raises JobFailed, JobCancelled, WaitTimeout (the job goes on), or an APIConnectionError.
        Ending the wait early leaves the job as it is; `cancel()` ends the job.
        """
        if not self._is_reached(until):
            await self._watch(observer_of(progress), deadline_in(timeout), until)
        self._raise_unless_reached(timeout, until)
        return self

    async def _watch(self, observer: Observer, deadline: float | None, until: Until) -> None:
        """Show each state from now on to `observer`, until then or the deadline."""
        # the events so far are in the job's own state, so that they are not shown again
        last = None
        async for past in self._listed(None):
            last = past.id
        await self.refresh()
        try:
            observer.update(self.data)
            if not self._is_reached(until):
                async with aclosing(self._follow(after=last, deadline=deadline)) as events:
                    async for event in events:
                        if event is not None and not self.is_final:
                            self.data = after_event(self.data, event)
                        observer.update(self.data)
                        if until == "head" and self._is_reached(until):
                            return
            observer.update(self.data)
        finally:
            observer.close()

    async def _listed(self, after: str | None) -> AsyncIterator[Event]:
        while True:
            call = list_events(self.id, after=after, limit=EVENTS_A_PAGE)
            page = await self._sender.send(call)
            for event in page.items:
                yield event
            if page.next_cursor is None or not page.items:
                return
            after = page.next_cursor

    async def _follow(
        self, *, after: str | None, deadline: float | None
    ) -> AsyncGenerator[Event | None, None]:
        """Events as they come, None for a sign of life, to the job's end or the deadline.

        Stops with `self.data` final unless the deadline came.
        """
        following = Following(after=after, deadline=deadline)
        while True:
            following.begin_round()
            if following.may_stream:
                async with aclosing(self._streamed(following)) as streamed:
                    async for sign in streamed:
                        yield sign
            try:
                await self.refresh()
                events = [event async for event in self._listed(following.after)]
            except (APIConnectionError, ServerError):
                if following.is_outage:
                    raise
                yield None
            else:
                following.listed(events)
                for event in events:
                    yield event
                yield None
                if self.is_final:
                    return
            if following.is_overdue:
                return
            await sleep(following.pause())

    async def _streamed(self, following: Following) -> AsyncGenerator[Event | None, None]:
        """One stream, to its end: the last event, a cut, or the approach of the deadline."""
        call: Call[None] = stream_events(self.id, after=following.after)
        parser = Parser()
        try:
            opened = self._sender.open_stream(call, read_seconds=following.read_seconds)
            async with opened as chunks:
                async for chunk in chunks:
                    for event in following.read(parser, chunk):
                        yield event
                        if event is not None and event.is_final:
                            return
                    if not following.may_stream:
                        return
        except (APIConnectionError, APIStatusError, BadResponseError) as error:
            logger.info("events.cut job_id=%s after=%s reason=%s", self.id, following.after, error)
