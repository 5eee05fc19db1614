"""The pages under /ui/: what the API answers, for people.

Links lead out of `/ui/...` by `../`, so that they hold under whatever path a proxy serves them at.
"""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from service.http.dependencies import StoreDep, TenantDep
from service.http.errors import Problem, problem_of
from service.http.security_headers import CONTENT_SECURITY_POLICY
from service.jobs.routes import JobId, report_of
from service.jobs.schemas import Job
from store import jobs
from store.jobs import Job as JobRecord
from store.store import Store

if TYPE_CHECKING:
    from pages.views.shell import Place

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = {
    CONTENT_SECURITY_POLICY.decode(): POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_KEPT: Final = {"Cache-Control": "public, max-age=31536000, immutable"}

Candidate = Annotated[str | None, Query(max_length=200)]
Split = Annotated[str | None, Query(max_length=1000)]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose problems are pages too."""

    def get_route_handler(self) -> Handler:
        """The handler that FastAPI makes, with problems told in HTML."""
        handle = super().get_route_handler()

        async def as_page(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                problem = problem_of(error)
                if problem is None:
                    raise
                return _problem(problem, request)

        return as_page


router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/ui/static/{digest}/{name}")
def page_file(digest: str, name: str) -> Response:
    """A style sheet or a script; its address has its hash, so that browsers keep it."""
    from pages import assets

    try:
        asset = assets.asset(name)
    except KeyError:
        raise Problem(404, "not_found", "The pages have no such file.") from None
    # An earlier version's address gets today's file, but is not kept.
    headers = _KEPT if digest == asset.digest else {"Cache-Control": "no-store"}
    return Response(asset.content, media_type=asset.media_type, headers=headers)


@router.get("/ui/jobs/{job_id}")
def job_page(job_id: JobId, request: Request, store: StoreDep, tenant_id: TenantDep) -> Response:
    """A job: how far it is, or what became of it."""
    from pages.views import job as view

    job = _job(store, tenant_id, job_id)
    return _html(view.job_page(Job.of(job).model_dump(mode="json"), _place(request)))


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
    from service.jobs.report_pages import html_of, known

    job = _job(store, tenant_id, job_id)
    if job.report_sha256 is None:
        return RedirectResponse(f"../{job_id}", HTTPStatus.SEE_OTHER, _HEADERS)
    report = known(report_of(store, job), job)
    try:
        rendered = view.report_page(report, _place(request), candidate=candidate, split=split)
    except view.UnknownError as unknown:
        raise Problem(404, "not_found", str(unknown)) from None
    return _html(html_of(rendered, job_id))


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


@router.get("/ui/{path:path}")
def no_page(path: str) -> Response:
    """Whatever else is asked for."""
    raise Problem(
        404, "not_found", f"There is no page at /ui/{path[:80]}. /docs lists what the API has."
    )


def _job(store: Store, tenant_id: str, job_id: str) -> JobRecord:
    with store.database.read() as tx:
        return jobs.get(tx, tenant_id, job_id)


def _place(request: Request) -> "Place":
    from pages.views.shell import Place

    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    root: str = request.scope.get("root_path", "")
    inner = raw.partition(b"?")[0].removeprefix(root.encode())
    return Place(root="../" * (inner.count(b"/") - 1) or "./")


def _html(content: str, status: int = 200) -> Response:
    return Response(content, status, _HEADERS, "text/html")


def _problem(problem: Problem, request: Request) -> Response:
    from pages.views.problem import problem_page

    told: dict[str, Any] = orjson.loads(problem.response().body)
    response = _html(problem_page(told, _place(request)), problem.status_code)
    response.headers.update(problem.headers or {})
    return response
