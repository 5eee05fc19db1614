"""What a route needs of a key: each states it in its `dependencies`, or its router does for all.

A route that states nothing fails a test. Statements add up, so a router's must not be stricter
than what one of its routes wants.
"""

import logging
from http import HTTPStatus
from typing import Final

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.params import Depends as Dependency
from fastapi.security.base import SecurityBase

from service.http.errors import Problem
from service.http.identity import Identity, check_head, identity_of
from service.http.layers.gate import SAFE_METHODS

logger = logging.getLogger(__name__)

_SAY: Final = {
    "predict": "make predictions",
    "read": "read this",
    "write": "change this",
    "admin": "do what is for administrators",
}


def check(identity: Identity, needed: str) -> None:
    """Raise Problem unless who asks has the scope."""
    if needed not in identity.scopes:
        logger.warning("scope.refused by=%s scope=%s", identity.actor, needed)
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "scope_missing",
            f"This key may not {_SAY[needed]}: that needs the scope {needed}. Use another key, "
            "or ask an administrator for one.",
            extensions={"scope_needed": needed},
        )


class Needs:
    """The dependency that checks a scope; `unsafe` is the one for methods that change things."""

    def __init__(self, safe: str | None, unsafe: str | None = None) -> None:
        self.safe = safe
        self.unsafe = unsafe if unsafe is not None else safe

    def scope_for(self, method: str) -> str | None:
        """The scope that a request of this method needs; None: no key at all."""
        return self.safe if method in SAFE_METHODS else self.unsafe

    async def __call__(self, request: Request) -> None:
        """Raise Problem unless who asks may do it."""
        needed = self.scope_for(request.method)
        if needed is None:
            return
        identity = identity_of(request.scope)
        check(identity, needed)
        name = request.path_params.get("name")
        if needed == "predict" and name is not None:
            check_head(identity, name)


class KeyNeeds(Needs, SecurityBase):
    """The same for a route that wants a key: /docs shows its scopes, and has a place for a key."""

    model = HTTPBearer(
        bearerFormat="nmk_...", description="A key of this server; without keys leave it out."
    )
    scheme_name = "key"


def needs_of(dependency: Dependency) -> Needs | None:
    """What a dependency of a route states; None if it is about something else."""
    return found if isinstance(found := dependency.dependency, Needs) else None


def _key(safe: str, unsafe: str | None = None) -> Dependency:
    needs: Dependency = Security(
        KeyNeeds(safe, unsafe), scopes=[one for one in (safe, unsafe) if one]
    )
    return needs


OPEN: Final[Dependency] = Depends(Needs(None))
"""Everybody, without a key."""
PREDICT: Final = _key("predict")
"""A route with a head in its path as `name`; one without must call `check_head` itself."""
READ: Final = _key("read")
WRITE: Final = _key("write")
READ_WRITE: Final = _key("read", "write")
"""`read` for GET, `write` for what changes things."""
ADMIN: Final = _key("admin")
