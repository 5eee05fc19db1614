"""Refuse requests that a web page of another site made a browser send.

Without this layer every page that a user of this machine visits could ask this server: it would
read by renaming its own host (see `service.hosts`), and write by a form or a `fetch` that needs no
permission. Programs other than browsers send only `Host` of the headers examined here.
"""

from http import HTTPStatus
from typing import Final

from starlette.types import Scope

from service import hosts
from service.hosts import Hosts
from service.http.errors import Problem

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""They change nothing, so any page may send them; it cannot read the answer."""
PROBES: Final = frozenset({"/livez", "/readyz"})
"""What a load balancer may ask by address, or without a `Host`."""

_OWN_SITES: Final = frozenset({b"same-origin", b"none"})
"""`none`: the user acted, not a page."""


class Gate:
    """Refuses an unknown `Host` (421) and another site's writes (403)."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts

    def check(self, scope: Scope, path: str) -> None:
        """Raise Problem unless the request may come in."""
        problem = self._refusal(scope, path)
        if problem is not None:
            raise problem

    def _refusal(self, scope: Scope, path: str) -> Problem | None:
        asked: list[bytes] = []
        origins: list[bytes] = []
        sites: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"host":
                asked.append(value)
            elif name == b"origin":
                origins.append(value)
            elif name == b"sec-fetch-site":
                sites.append(value)
        problem = self._unknown(path, asked)
        if problem is not None or scope["method"] in SAFE_METHODS:
            return problem
        if sites:
            return None if _OWN_SITES.issuperset(sites) else _cross_site()
        host = asked[0] if asked else b""
        is_own = all(self._hosts.is_own_page(origin, host) for origin in origins)
        return None if is_own else _cross_site()

    def _unknown(self, path: str, asked: list[bytes]) -> Problem | None:
        if len(asked) == 1:
            if self._hosts.knows(asked[0]) or (path in PROBES and hosts.is_address(asked[0])):
                return None
            return _unknown_host()
        return None if not asked and path in PROBES else _invalid_host()


def _unknown_host() -> Problem:
    return Problem(
        HTTPStatus.MISDIRECTED_REQUEST,
        "unknown_host",
        "The host of this request is not a name of this server. On its own machine, use "
        "http://localhost or http://127.0.0.1, with the port. To use any other name, add it to "
        f"the setting {hosts.SETTING}.",
        field="Host",
    )


def _invalid_host() -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "invalid_host",
        "A request must name its host exactly once, in the header Host (and by the same name in "
        "its first line, if that holds a whole URL).",
        field="Host",
    )


def _cross_site() -> Problem:
    return Problem(
        HTTPStatus.FORBIDDEN,
        "cross_site",
        "A page of another site sent this, and only this server's own pages and programs may "
        "change things. If the page is this server's, behind a proxy, have the proxy pass Host on "
        f"unchanged, or add the page's host to the setting {hosts.SETTING}.",
    )
