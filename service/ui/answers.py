"""How a page is answered: its headers, its place, and problems that are pages too."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.params import Depends as Dependency
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from service.http.errors import Problem, problem_of
from service.http.identity import KEY, Identity
from service.http.layers.security_headers import CONTENT_SECURITY_POLICY
from service.http.scopes import READ

if TYPE_CHECKING:
    from pages.views.shell import Place

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Final = {
    CONTENT_SECURITY_POLICY.decode(): POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
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


def page_router(needs: Dependency = READ) -> APIRouter:
    """A router for pages, which the API's document leaves out; `needs`: what of a key."""
    return APIRouter(route_class=PageRoute, include_in_schema=False, dependencies=[needs])


def place(request: Request) -> "Place":
    """Where the requested page is.

    Links lead out of `/ui/...` by `../`, so that they hold under whatever path a proxy serves them
    at.
    """
    from pages.views.shell import Place

    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    root: str = request.scope.get("root_path", "")
    inner = raw.partition(b"?")[0].removeprefix(root.encode())
    who = request.scope[KEY]
    is_admin = isinstance(who, Identity) and "admin" in who.scopes
    return Place(root="../" * (inner.count(b"/") - 1) or "./", is_admin=is_admin)


def html(content: str, status: int = 200) -> Response:
    """The page with the headers that every page has."""
    return Response(content, status, HEADERS, "text/html")


def _problem(problem: Problem, request: Request) -> Response:
    if problem.status_code == HTTPStatus.UNAUTHORIZED:
        return _to_login(request)
    from pages.views.problem import problem_page

    told: dict[str, Any] = orjson.loads(problem.response().body)
    response = html(problem_page(told, place(request)), problem.status_code)
    response.headers.update(problem.headers or {})
    return response


def _to_login(request: Request) -> Response:
    """Lead to the login, and from there back to this page."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).lstrip("/")
    query = request.scope["query_string"].decode("latin-1")
    then = quote(f"{path}?{query}" if query else path, safe="")
    return RedirectResponse(
        f"{place(request).root}ui/login?next={then}", HTTPStatus.SEE_OTHER, HEADERS
    )
