"""The requests about jobs, and how their answers are read."""

from collections.abc import Mapping

from nmtune_client._heads.values import HeadVersion
from nmtune_client._http.calls import body, nothing, page_of, params_of, parser, post_headers
from nmtune_client._http.values import Page
from nmtune_client._http.wire import Answer, Call, Route
from nmtune_client._jobs.plan import Plan
from nmtune_client._jobs.values import Event, JobData
from nmtune_client._report.report import Report

_CREATE_JOB = Route("POST", "/jobs")
_LIST_JOBS = Route("GET", "/jobs")
_GET_JOB = Route("GET", "/jobs/{job_id}")
_CANCEL_JOB = Route("POST", "/jobs/{job_id}/cancel")
_LIST_EVENTS = Route("GET", "/jobs/{job_id}/events")
_GET_REPORT = Route("GET", "/jobs/{job_id}/report")
_PUBLISH_CANDIDATE = Route("POST", "/jobs/{job_id}/publish")
_GET_OUTPUT = Route("GET", "/jobs/{job_id}/output")
_DELETE_OUTPUT = Route("DELETE", "/jobs/{job_id}/output")


def create_job(
    data: Mapping[str, object], *, wait: int | None = None, idempotency_key: str | None = None
) -> Call[JobData]:
    """Submit a job; `wait`: seconds the server may hold the answer until the job has ended."""
    headers = post_headers("application/json", idempotency_key)
    if wait is not None:
        headers["Prefer"] = f"wait={wait}"
    return Call(
        route=_CREATE_JOB,
        parse=parser(JobData.from_json),
        headers=headers,
        content=body({name: value for name, value in data.items() if value is not None}),
        extra_read_seconds=wait or 0,
    )


def plan_job(data: Mapping[str, object]) -> Call[Plan]:
    """Ask what a job would do; nothing is stored."""
    return Call(
        route=_CREATE_JOB,
        parse=lambda answer: Plan(answer.json()),
        params={"plan": "true"},
        headers={"Content-Type": "application/json"},
        content=body({name: value for name, value in data.items() if value is not None}),
    )


def list_jobs(
    *, cursor: str | None = None, limit: int | None = None, status: str | None = None
) -> Call[Page[JobData]]:
    """One page of jobs, newest first."""
    return Call(
        route=_LIST_JOBS,
        parse=page_of(JobData.from_json),
        params=params_of(cursor=cursor, limit=limit, status=status),
    )


def get_job(job_id: str) -> Call[JobData]:
    """One job."""
    return Call(route=_GET_JOB, ids={"job_id": job_id}, parse=parser(JobData.from_json))


def cancel_job(job_id: str) -> Call[JobData]:
    """Ask that a job be cancelled."""
    return Call(
        route=_CANCEL_JOB,
        ids={"job_id": job_id},
        parse=parser(JobData.from_json),
        headers=post_headers(None),
    )


def list_events(
    job_id: str, *, after: str | None = None, limit: int | None = None
) -> Call[Page[Event]]:
    """One page of a job's events, oldest first, behind the event `after`."""
    return Call(
        route=_LIST_EVENTS,
        ids={"job_id": job_id},
        parse=page_of(Event.from_json),
        params=params_of(after=after, limit=limit),
        headers={"Accept": "application/json"},
    )


def stream_events(job_id: str, *, after: str | None = None) -> Call[None]:
    """The same events as a stream, to be opened, not sent."""
    resume = {"Last-Event-ID": after} if after else {}
    return Call(
        route=_LIST_EVENTS,
        ids={"job_id": job_id},
        parse=nothing,
        headers={"Accept": "text/event-stream", "Cache-Control": "no-store"} | resume,
    )


def get_report(job_id: str) -> Call[Report]:
    """The report of a job that has succeeded."""
    return Call(route=_GET_REPORT, ids={"job_id": job_id}, parse=parser(Report.from_json))


def get_report_page(job_id: str) -> Call[str]:
    """The same report as one HTML file."""
    headers = {"Accept": "text/html"}
    return Call(route=_GET_REPORT, ids={"job_id": job_id}, headers=headers, parse=_html)


def _html(answer: Answer) -> str:
    kind = answer.headers.get("content-type", "")
    if not kind.startswith("text/html"):
        raise ValueError(f"it sent {kind!r}, not a page: it may be older than report pages")
    return answer.content.decode()


def publish_candidate(
    job_id: str, candidate: str, *, alias: str | None, notes: Mapping[str, object]
) -> Call[HeadVersion]:
    """Publish another candidate of a job; sent again it answers with the same version."""
    data = {"candidate": candidate} | ({} if alias is None else {"alias": alias}) | dict(notes)
    return Call(
        route=_PUBLISH_CANDIDATE,
        ids={"job_id": job_id},
        parse=parser(HeadVersion.from_json),
        headers=post_headers("application/json"),
        content=body(data),
    )


def get_output(job_id: str) -> Call[None]:
    """The file that a prediction wrote, to be downloaded, not sent."""
    ids = {"job_id": job_id}
    return Call(route=_GET_OUTPUT, ids=ids, parse=nothing, headers={"Accept": "*/*"})


def delete_output(job_id: str) -> Call[None]:
    """Delete that file."""
    return Call(route=_DELETE_OUTPUT, ids={"job_id": job_id}, parse=nothing)
