"""The pages of jobs."""

from fastapi import Request, Response

from service.http.dependencies import StoreDep, TenantDep
from service.jobs.routes import JobId
from service.jobs.schemas import Job
from service.ui.answers import html, page_router, place
from store import jobs

router = page_router()


@router.get("/ui/jobs/{job_id}")
def job_page(job_id: JobId, request: Request, store: StoreDep, tenant_id: TenantDep) -> Response:
    """A job: how far it is, or what became of it."""
    from pages.views import job as view

    with store.database.read() as tx:
        job = jobs.get(tx, tenant_id, job_id)
    return html(view.job_page(Job.of(job).model_dump(mode="json"), place(request)))
