"""The pages of the rows behind a job's numbers: the rows, and the suspected labels among them."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from service.http.dependencies import StoreDep, TenantDep
from service.http.errors import Problem
from service.job_rows import files
from service.job_rows.page import page
from service.job_rows.schemas import RowQuery
from service.jobs.routes import JobId
from service.jobs.schemas import Job
from service.ui.again import settings_of
from service.ui.answers import HEADERS, html, page_router, place
from service.ui.queries import read_query
from store import job_files
from store.store import Store

_N_SUSPECTS: Final = 100

router = page_router()


@router.get("/ui/jobs/{job_id}/rows")
def rows_page(job_id: JobId, request: Request, store: StoreDep, tenant_id: TenantDep) -> Response:
    """The rows that the query chooses, with the parameters of `GET /jobs/{id}/rows`."""
    from pages.views import rows as view

    asked = dict(request.query_params)
    query = read_query(RowQuery, asked)
    found = found_or_job(store, tenant_id, job_id, job_files.ROWS)
    if isinstance(found, Response):
        return found
    listed = page(store, found, query).model_dump(mode="json")
    return html(view.rows_page(job_of(found), listed, place(request), asked))


@router.get("/ui/jobs/{job_id}/labels")
def labels_page(
    job_id: JobId,
    request: Request,
    store: StoreDep,
    tenant_id: TenantDep,
    cursor: str | None = None,
) -> Response:
    """The suspected labels, the most doubtful first."""
    from pages.views import labels as view

    asked = {"only": "suspected", "sort": "suspicion", "neighbours": True, "limit": _N_SUSPECTS}
    query = read_query(RowQuery, asked | {"cursor": cursor})
    found = found_or_job(store, tenant_id, job_id, job_files.ROWS)
    if isinstance(found, Response):
        return found
    listed = page(store, found, query).model_dump(mode="json")
    return html(
        view.labels_page(
            job_of(found),
            listed,
            place(request),
            cursor=cursor,
            again=settings_of(Job.of(found.job)),
        )
    )


def found_or_job(store: Store, tenant_id: str, job_id: str, name: str) -> files.Found | Response:
    """The file of a job; as long as there is none, the way to the job's page."""
    try:
        return files.find(store, tenant_id, job_id, name)
    except Problem as problem:
        if problem.code != "job_file_not_ready":
            raise
        return RedirectResponse(f"../{job_id}", HTTPStatus.SEE_OTHER, HEADERS)


def job_of(found: files.Found) -> dict[str, Any]:
    """The job as the API shows it."""
    return Job.of(found.job).model_dump(mode="json")
