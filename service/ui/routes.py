"""The pages under /ui/: what the API answers, for people."""

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from service.http.errors import Problem
from service.http.scopes import OPEN
from service.ui import (
    audit,
    datasets,
    heads,
    home,
    jobs,
    login,
    maps,
    new,
    openid,
    reports,
    rows,
    trials,
)
from service.ui.answers import HEADERS, page_router

_KEPT: Final = {"Cache-Control": "public, max-age=31536000, immutable"}

router = APIRouter()
files = page_router(OPEN)
elsewhere = page_router()


@files.get("/ui/static/{digest}/{name}")
def page_file(digest: str, name: str) -> Response:
    """A style sheet or a script; its address has the hash of all, so that browsers keep it."""
    from pages import assets

    try:
        asset = assets.asset(name)
    except KeyError:
        raise Problem(404, "not_found", "The pages have no such file.") from None
    # An earlier version's address gets today's file, but is not kept.
    headers = _KEPT if digest == assets.digest() else {"Cache-Control": "no-store"}
    return Response(asset.content, media_type=asset.media_type, headers=headers)


@files.get("/")
def start() -> Response:
    """The first page, for whoever knows only the server's name."""
    return RedirectResponse("ui/", HTTPStatus.SEE_OTHER, HEADERS)


@elsewhere.get("/ui/{path:path}")
def no_page(path: str) -> Response:
    """Whatever else is asked for."""
    raise Problem(
        404, "not_found", f"There is no page at /ui/{path[:80]}. /docs lists what the API has."
    )


router.include_router(files)
_ALL = (login, openid, home, new, jobs, reports, rows, maps, heads, trials, datasets, audit)
for pages in _ALL:
    router.include_router(pages.router)
router.include_router(elsewhere)
