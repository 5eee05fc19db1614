"""The pages of jobs: the list, and one."""

from typing import Annotated, Any, Final

from fastapi import Query, Request, Response

from service.http.dependencies import StoreDep, TenantDep
from service.http.errors import Problem
from service.jobs.event_schemas import Event
from service.jobs.routes import JobId, get_job, list_jobs
from service.jobs.schemas import JobQuery
from service.ui.again import settings_of
from service.ui.answers import html, page_router, place
from store import events
from store.store import Store

MOST_EVENTS: Final = 2000
"""How many events of a job are read; `auto` with both analyses has some 400."""

_AT_ONCE: Final = 200

router = page_router()


@router.get("/ui/jobs")
def jobs_page(
    query: Annotated[JobQuery, Query()], request: Request, store: StoreDep, tenant_id: TenantDep
) -> Response:
    """The list of jobs, newest first."""
    from pages.views import jobs as view

    found = list_jobs(query, store, tenant_id).model_dump(mode="json")
    status = query.status.value if query.status else None
    return html(view.jobs_page(found, place(request), status=status, is_first=query.cursor is None))


@router.get("/ui/jobs/{job_id}")
def job_page(
    job_id: JobId,
    request: Request,
    store: StoreDep,
    tenant_id: TenantDep,
    candidate: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """A job: how far it is, or what became of it."""
    from pages.views import job as view

    job = get_job(job_id, store, tenant_id)
    happened = _events(store, tenant_id, job_id)
    try:
        page = view.job_page(
            job.model_dump(mode="json"),
            happened,
            place(request),
            candidate=candidate,
            again=settings_of(job),
        )
    except view.NoCandidateError as unknown:
        raise Problem(404, "not_found", str(unknown)) from None
    return html(page)


def _events(store: Store, tenant_id: str, job_id: str) -> list[dict[str, Any]]:
    """The job's events, as the pages of `GET /jobs/{id}/events` list them."""
    found: list[dict[str, Any]] = []
    while len(found) < MOST_EVENTS:
        with store.database.read() as tx:
            after = int(found[-1]["id"].removeprefix("evt_")) if found else 0
            some = events.page(tx, tenant_id, job_id, after=after, limit=_AT_ONCE)
        found += [Event.of(event).model_dump(mode="json") for event in some]
        if len(some) < _AT_ONCE:
            break
    return found
