"""Routes of jobs: submit, list, show, cancel, read the report."""

import asyncio
import logging
import re
from functools import partial
from typing import Annotated, Final, Literal

import orjson
from anyio import to_thread
from fastapi import APIRouter, Header, Path, Query, Request, Response

from service.http import idempotency
from service.http.accept import preferred
from service.http.dependencies import (
    ActorDep,
    QueueDep,
    SettingsDep,
    StoreDep,
    TenantDep,
    services_of,
)
from service.http.errors import Problem
from service.http.idempotency import Answer, IdempotencyKey, key_of
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import READ_WRITE
from service.http.validation import ID_PATTERN
from service.jobs.plan import Plan, make_plan
from service.jobs.report import REPORT
from service.jobs.schemas import Job, JobCreate, JobPage, JobQuery
from service.jobs.submission import submit
from store import jobs
from store.access import audit
from store.errors import DatabaseUnavailable
from store.jobs import Job as JobRecord
from store.states import JobKind
from store.store import Store

MAX_WAIT_SECONDS: Final = 60

JobId = Annotated[
    str,
    Path(
        pattern=ID_PATTERN,
        description="The id that POST /jobs answered.",
        examples=["job_31k8ds2m0v4xq9rt6wy5zbnc7e"],
    ),
]
Prefer = Annotated[
    str | None,
    Header(
        alias="Prefer",
        description="wait=N: answer once the job has ended, or after N seconds (at most 60).",
        examples=["wait=30"],
        max_length=200,
    ),
]

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,9})\"?(?=$|[,;\s])", re.IGNORECASE)

QUEUED: Final = {
    "description": "The job is queued.",
    "headers": idempotency.described_headers("The job."),
}
"""The OpenAPI answer of a submission."""

logger = logging.getLogger(__name__)
router = APIRouter(tags=["jobs"], route_class=JsonRoute, dependencies=[READ_WRITE])


@router.post(
    "/jobs",
    status_code=202,
    response_model=Job,
    responses={
        200: {
            "model": Job | Plan,
            "description": "With Prefer: wait, the ended job. With plan=true, the plan.",
        },
        202: QUEUED,
        **problems(403, 404, 409, *BODY_STATUSES),
    },
)
async def create_job(
    body: JobCreate,
    request: Request,
    store: StoreDep,
    queue: QueueDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
    plan: Annotated[
        bool,
        Query(
            description="Only say what the job would do: nothing is stored or trained.",
            examples=[True],
        ),
    ] = False,
) -> Response:
    """Train a head, on a stored dataset or on embeddings and labels in the request.

    A repeated Idempotency-Key gets the first answer at once, without waiting.
    """
    if plan:
        planned = await to_thread.run_sync(
            partial(make_plan, body, tenant_id=tenant_id, store=store, settings=settings)
        )
        return Response(planned.model_dump_json(), media_type="application/json")
    key = await key_of(request, idempotency_key)
    answer = await to_thread.run_sync(
        partial(
            submit,
            body,
            key=key,
            actor=actor,
            store=store,
            queue=queue,
            settings=settings,
        )
    )
    return await when_ended(answer, request, prefer=prefer, tenant_id=tenant_id)


async def when_ended(
    answer: Answer, request: Request, *, prefer: str | None, tenant_id: str
) -> Response:
    """The answer to a submission; with Prefer: wait, that of the job once it has ended."""
    response = idempotency.http_response(answer, collection="jobs")
    seconds = _wait_seconds(prefer)
    if answer.is_replay or seconds is None:
        return response
    try:
        job = await _ended(answer.id, seconds, request=request, tenant_id=tenant_id)
    except DatabaseUnavailable as error:  # an error here would make the client send the job again
        logger.warning("job.wait_failed job_id=%s reason=%s", answer.id, error)
        return response
    return Response(
        Job.of(job).model_dump_json(),
        200 if job.status.is_final else 202,
        {"Location": response.headers["location"], "Preference-Applied": f"wait={seconds}"},
        media_type="application/json",
    )


@router.get("/jobs")
def list_jobs(
    query: Annotated[JobQuery, Query()], store: StoreDep, tenant_id: TenantDep
) -> JobPage:
    """List jobs, newest first."""
    with store.database.read() as tx:
        page = jobs.page(tx, tenant_id, cursor=query.cursor, limit=query.limit, status=query.status)
    return JobPage(items=[Job.of(job) for job in page.items], next_cursor=page.next_cursor)


@router.get("/jobs/{job_id}", responses=problems(404))
def get_job(job_id: JobId, store: StoreDep, tenant_id: TenantDep) -> Job:
    """Show a job: its status and progress, what it made or why it failed."""
    return Job.of(_get(store, tenant_id, job_id))


@router.post("/jobs/{job_id}/cancel", responses=problems(404))
def cancel_job(job_id: JobId, store: StoreDep, tenant_id: TenantDep, actor: ActorDep) -> Job:
    """Cancel a job; doing so again, or too late, changes nothing.

    A queued job is cancelled at once. A running one gets cancel_requested_at, and is cancelled once
    its worker has stopped, usually within seconds.
    """
    with store.database.begin() as tx:
        before = jobs.get(tx, tenant_id, job_id)
        job = jobs.request_cancel(tx, tenant_id, job_id)
        audit.note(
            tx,
            actor,
            "job.cancelled",
            job_id,
            outcome=audit.UNCHANGED if job == before else audit.DONE,
            name=job.name,
            status=job.status.value,
        )
    return Job.of(job)


@router.get(
    "/jobs/{job_id}/report",
    response_class=Response,
    responses={
        200: {
            "description": "The report as the worker wrote it, and what happened to the alias; or, "
            "for Accept: text/html, one HTML file that needs nothing else.",
            "content": {
                "application/json": {"schema": REPORT},
                "text/html": {"schema": {"type": "string"}},
            },
        },
        **problems(404, 409),
    },
)
def get_report(
    job_id: JobId,
    request: Request,
    store: StoreDep,
    tenant_id: TenantDep,
    form: Annotated[
        Literal["json", "html"] | None,
        Query(alias="format", description="Goes before the Accept header.", examples=["html"]),
    ] = None,
) -> Response:
    """Show what a job found: verdict, metrics, comparison, findings, spectra.

    From the publication of its head on there is a report; what it has still to find out is in
    `missing`.
    """
    job = _get(store, tenant_id, job_id)
    content = report_of(store, job)
    accept = request.headers.get("accept", "*/*")
    wants_html = preferred(accept, "application/json", "text/html") == "text/html"
    vary = {"Vary": "Accept"}
    if form == "html" or (form is None and wants_html):
        from service.jobs.report_pages import report_file  # Jinja2, which only pages need

        name = f"{job.head_name or job.name}-{job.head_version or job.id}-report.html"
        vary["Content-Disposition"] = f'attachment; filename="{name}"'
        return Response(report_file(content, job), media_type="text/html", headers=vary)
    return Response(content, media_type="application/json", headers=vary)


def report_of(store: Store, job: JobRecord) -> bytes:
    """The report of a job as JSON; Problem `report_not_ready` where there is none."""
    if job.report_sha256 is None:
        if job.kind is JobKind.PREDICTION:
            detail = "A prediction has no report: GET /jobs/{id}/output has its file."
        elif job.kind is JobKind.MIGRATION:
            detail = "A migration by a bridge has no report: the job's migration has what it found."
        elif job.status.is_final:
            detail = (
                f"The job is {job.status.value} and has no report. To get one, submit it again."
            )
        else:
            detail = f"The job is {job.status.value}: wait until its head is published."
        raise Problem(409, "report_not_ready", detail)
    content = store.artifacts.get_bytes(job.tenant_id, job.report_sha256)
    if job.alias_outcome is not None:
        # The worker wrote the report before the version had a number and the alias its place.
        content = orjson.dumps(orjson.loads(content) | {"alias": job.alias_outcome})
    return content


def _get(store: Store, tenant_id: str, job_id: str) -> JobRecord:
    with store.database.read() as tx:
        return jobs.get(tx, tenant_id, job_id)


def _wait_seconds(prefer: str | None) -> int | None:
    """N of `wait=N`, at most 60; None without it. Other preferences may be ignored (RFC 7240)."""
    found = _WAIT.search(prefer or "")
    return None if found is None else min(int(found[1]), MAX_WAIT_SECONDS)


async def _ended(job_id: str, seconds: float, *, request: Request, tenant_id: str) -> JobRecord:
    """The job when it has ended, or as it is after `seconds`, or when the service stops."""
    services = services_of(request)
    poll = services.settings.events_poll_seconds
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while True:
        job = await to_thread.run_sync(_get, services.store, tenant_id, job_id)
        left = deadline - clock()
        if job.status.is_final or left <= 0 or services.stopping.is_set():
            return job
        await asyncio.sleep(min(poll, left))
