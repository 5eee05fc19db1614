"""The first page: what runs, what is live, what is wrong."""

from functools import partial
from http import HTTPStatus
from typing import Any, Final

from anyio import to_thread
from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from service.heads.routes import list_heads
from service.heads.schemas import HeadQuery
from service.http.dependencies import IdentityDep, StoreDep
from service.http.identity import Identity
from service.jobs.routes import list_jobs
from service.jobs.schemas import JobQuery
from service.operate.health import services_of, told_checks
from service.ui.answers import HEADERS, html, page_router, place
from store.states import JobStatus
from store.store import Store

_UNFINISHED: Final = 25
_RECENT: Final = 10
_HEADS: Final = 20

router = page_router()


@router.get("/ui")
def to_home() -> Response:
    """The same with its slash, which links on the page count on."""
    return RedirectResponse("ui/", HTTPStatus.SEE_OTHER, HEADERS)


@router.get("/ui/")
async def home_page(request: Request, store: StoreDep, identity: IdentityDep) -> Response:
    """Running and queued jobs, heads, and what `/readyz` warns of."""
    from pages.views import home as view

    checks = await told_checks(services_of(request))
    told = {name: check.model_dump() for name, check in checks.items()}
    unfinished, recent, heads = await to_thread.run_sync(partial(_found, store, identity))
    return html(view.home_page(told, unfinished, recent, heads, place(request)))


def _found(store: Store, identity: Identity) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """What the lists of the API answer: unfinished jobs, the newest of all, heads. Blocking."""

    def jobs(limit: int, status: JobStatus | None = None) -> list[Any]:
        query = JobQuery(status=status, limit=limit)
        items: list[Any] = list_jobs(query, store, identity.tenant_id).model_dump(mode="json")[
            "items"
        ]
        return items

    unfinished = jobs(_UNFINISHED, JobStatus.RUNNING) + jobs(_UNFINISHED, JobStatus.QUEUED)
    heads = list_heads(HeadQuery(limit=_HEADS), store, identity).model_dump(mode="json")
    return unfinished, jobs(_RECENT), heads
