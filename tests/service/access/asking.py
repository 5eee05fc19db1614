"""Send requests with a key or a session's cookie, and find the routes of an app."""

from collections.abc import Iterator
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from service.access.credentials import COOKIE
from service.http.scopes import Needs, needs_of
from tests.service.in_process import InProcess


class Asking(InProcess):
    """A client of the app that brings a key to each request."""

    def with_key(self, key: str, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} | dict(arguments.pop("headers", {}))
        return self(method, path, headers=headers, **arguments)

    def with_cookie(self, token: str, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Cookie": f"{COOKIE}={token}"} | dict(arguments.pop("headers", {}))
        return self(method, path, headers=headers, **arguments)


def token_of(answer: httpx.Response) -> str:
    """The session's token that an answer sets."""
    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name == COOKIE
    return rest.partition(";")[0]


def routes(app: FastAPI) -> Iterator[BaseRoute]:
    """Every route of the app, those of included routers too."""
    left: list[BaseRoute] = list(app.routes)
    while left:
        route = left.pop()
        inner = getattr(route, "original_router", None)
        if inner is not None:
            left += inner.routes
        else:
            yield route


def stated(route: APIRoute) -> list[Needs]:
    """What a route, or the router it was made with, states."""
    return [needs for one in route.dependencies if (needs := needs_of(one)) is not None]
