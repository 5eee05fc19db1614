"""Route of a job's events: a list, or a stream that goes on until the job has ended."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event

from service.access.dependencies import AccessDep
from service.http.dependencies import ServicesDep, TenantDep
from service.http.errors import Problem
from service.http.openapi import problems
from service.http.scopes import READ
from service.http.validation import EVENT_ID_PATTERN
from service.jobs.event_schemas import Event, EventPage, EventQuery
from service.jobs.routes import JobId
from store import events, jobs
from store.errors import DatabaseUnavailable
from store.events import Event as EventRecord
from store.store import Store

JSON = "application/json"
STREAM = EventSourceResponse.media_type
BATCH = 100

logger = logging.getLogger(__name__)

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=EVENT_ID_PATTERN,
        description="The last event received, after which a broken stream goes on; browsers send "
        "it.",
        examples=["evt_000012"],
    ),
]

_EXAMPLE = """\
event: job.started
data: {"id":"evt_000002","type":"job.started","data":{"attempt":1},"created_at":"2026-11-24T03:21Z"}
id: evt_000002

"""

router = APIRouter(tags=["jobs"], dependencies=[READ])


@router.get(
    "/jobs/{job_id}/events",
    response_model=EventPage,
    responses={
        200: {
            "description": "A page of events; or, for Accept: text/event-stream, the same objects "
            "as they happen, one per message, until the job has ended.",
            "content": {
                STREAM: {
                    "schema": {"type": "string"},
                    "example": _EXAMPLE,
                }
            },
        },
        **problems(404, 406),
    },
)
async def list_job_events(
    job_id: JobId,
    query: Annotated[EventQuery, Query()],
    request: Request,
    services: ServicesDep,
    tenant_id: TenantDep,
    access: AccessDep,
    last_event_id: LastEventId = None,
) -> Response:
    """List the events of a job, or stream them as they happen."""
    wants_stream = _wants_stream(request.headers.get("accept", "*/*"))
    follower = _Follower(
        services.store, tenant_id, job_id, after=_sequence(last_event_id or query.after)
    )
    if wants_stream:
        first, is_last = await to_thread.run_sync(follower.look)  # a 404 must come before the 200
        return EventSourceResponse(
            follower.stream(
                first,
                is_last,
                stopping=services.stopping,
                goes_on=lambda: access.lets_in_still(request.scope),
                poll_seconds=services.settings.events_poll_seconds,
                heartbeat_seconds=services.settings.events_heartbeat_seconds,
            ),
            # no-transform and X-Accel-Buffering keep proxies from holding events back.
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
        )
    found, _ = await to_thread.run_sync(follower.look, query.limit + 1)
    items, more = found[: query.limit], found[query.limit :]
    page = EventPage(
        items=[Event.of(event) for event in items], next_cursor=items[-1].id if more else None
    )
    return Response(page.model_dump_json(), media_type=JSON)


class _Follower:
    """Reads the events of one job that follow `after`."""

    def __init__(self, store: Store, tenant_id: str, job_id: str, *, after: int) -> None:
        self._store = store
        self._tenant_id = tenant_id
        self._job_id = job_id
        self._after = after

    def look(self, limit: int = BATCH) -> tuple[list[EventRecord], bool]:
        """The next events, and whether they are the last. Blocking; raises NotFound."""
        with self._store.database.read() as tx:
            # The job first: if it has ended here, its last event is there for the next statement.
            job = jobs.get(tx, self._tenant_id, self._job_id)
            found = events.page(tx, self._tenant_id, self._job_id, after=self._after, limit=limit)
        if found:
            self._after = found[-1].sequence
        return found, job.status.is_final and len(found) < limit

    async def stream(
        self,
        found: list[EventRecord],
        is_last: bool,
        *,
        stopping: threading.Event,
        goes_on: Callable[[], Awaitable[bool]],
        poll_seconds: float,
        heartbeat_seconds: float,
    ) -> AsyncIterator[bytes]:
        """Events in the text/event-stream format, with comments while nothing happens.

        It ends as soon as `goes_on` says no: the key was revoked.
        """
        clock = asyncio.get_running_loop().time
        said_something_at = clock()
        while True:
            for event in found:
                yield _encoded(event)
                said_something_at = clock()
            if is_last or stopping.is_set():
                return
            if clock() - said_something_at >= heartbeat_seconds:
                yield format_sse_event(comment="still here")
                said_something_at = clock()
            if len(found) < BATCH:
                await asyncio.sleep(poll_seconds)
            if not await goes_on():
                return
            try:
                found, is_last = await to_thread.run_sync(self.look)
            except DatabaseUnavailable as error:  # the stream outlives a short absence
                logger.warning("events.unavailable job_id=%s reason=%s", self._job_id, error)
                found = []


def _encoded(event: EventRecord) -> bytes:
    data = Event.of(event).model_dump_json()
    return format_sse_event(id=event.id, event=event.type.value, data_str=data)


def _sequence(event_id: str | None) -> int:
    return 0 if event_id is None else int(event_id.removeprefix("evt_"))


def _wants_stream(accept: str) -> bool:
    """Whether `accept` asks for a stream rather than JSON; Problem 406 if it allows neither."""
    weights = {JSON: 0.0, STREAM: 0.0}
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        for media_type, best in weights.items():
            kind = media_type.partition("/")[0]
            if media_range in (media_type, f"{kind}/*", "*/*"):
                weights[media_type] = max(best, _number(weight))
    if not any(weights.values()):
        raise Problem(
            406, "not_acceptable", f"Accept {JSON} for a list or {STREAM} for a live stream."
        )
    return weights[STREAM] > weights[JSON]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
