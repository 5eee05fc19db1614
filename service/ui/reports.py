"""The pages of a job's report: the page, its figures to take away."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from service.http.dependencies import StoreDep, TenantDep
from service.http.errors import Problem
from service.jobs.routes import JobId, report_of
from service.ui.answers import HEADERS, page_router, place
from store import jobs
from store.jobs import Job as JobRecord
from store.store import Store

router = page_router()

Candidate = Annotated[str | None, Query(max_length=200)]
Split = Annotated[str | None, Query(max_length=1000)]


@router.get("/ui/jobs/{job_id}/report")
def report_page(
    job_id: JobId,
    request: Request,
    store: StoreDep,
    tenant_id: TenantDep,
    candidate: Candidate = None,
    split: Split = None,
) -> Response:
    """The report of a job; as long as there is none, the job's page."""
    from pages.views import report as view
    from service.jobs.report_pages import known, parts_of

    job = _job(store, tenant_id, job_id)
    if job.report_sha256 is None:
        return RedirectResponse(f"../{job_id}", HTTPStatus.SEE_OTHER, HEADERS)
    report = known(report_of(store, job), job)
    try:
        rendered = view.report_page(report, place(request), candidate=candidate, split=split)
    except view.UnknownError as unknown:
        raise Problem(404, "not_found", str(unknown)) from None
    return StreamingResponse(parts_of(rendered, job_id), headers=HEADERS, media_type="text/html")


@router.get("/ui/jobs/{job_id}/report/figures/{name}")
def report_figure(
    job_id: JobId,
    name: Annotated[str, Path(pattern=r"^[a-z-]{1,40}(-[0-9]{1,4}\.svg|\.csv)$")],
    store: StoreDep,
    tenant_id: TenantDep,
    candidate: Candidate = None,
) -> Response:
    """A figure to take away: `spectrum-1.svg` is its first picture, `spectrum.csv` its numbers."""
    from pages.reading import Absent
    from pages.views import report as view
    from service.jobs.report_pages import known

    job = _job(store, tenant_id, job_id)
    report = known(report_of(store, job), job)
    stem, _, form = name.rpartition(".")
    try:
        if form == "csv":
            content, media_type = view.figure_csv(report, stem, candidate), "text/csv"
        else:
            key, _, number = stem.rpartition("-")
            content = view.figure_svg(report, key, int(number), candidate)
            media_type = "image/svg+xml"
    except (Absent, view.UnknownError) as missing:
        raise Problem(404, "not_found", str(missing)) from None
    headers = {
        "Content-Disposition": f'attachment; filename="{job.name}-{name}"',
        "Cache-Control": "no-store",
    }
    return Response(content.encode(), media_type=media_type, headers=headers)


def _job(store: Store, tenant_id: str, job_id: str) -> JobRecord:
    with store.database.read() as tx:
        return jobs.get(tx, tenant_id, job_id)
