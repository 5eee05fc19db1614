"""Who asks: whose data a request may see and create, and what it may do.

`service.access.who` finds it out before anything else reads the request, and `service.front` puts
it into the ASGI scope; everything behind reads it here.
"""

from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.types import Scope

from service.http.errors import Problem
from service.http.layers import request_id
from store.access import scopes
from store.access.audit import Actor, ActorKind
from store.names import DEFAULT_TENANT

KEY: Final = "nmtune.identity"
"""Where it is in the scope: an Identity, or the Problem of a request without good credentials."""


class Identity(NamedTuple):
    """Who asks."""

    tenant_id: str
    key_id: str | None
    """The key that was sent, or that opened the browser's session; None without a subject: the
    operator."""
    scopes: frozenset[str]
    """With all that they hold."""
    heads: frozenset[str] | None = None
    """The only heads that it may predict with; None: all."""
    subject: str | None = None
    """Who signed in by the company's identity provider."""
    is_session: bool = False
    """Whether a browser that signed in asks."""

    @property
    def bucket(self) -> str:
        """Whose requests count together for the rates."""
        return self.key_id or self.subject or self.tenant_id

    @property
    def actor(self) -> str:
        """Who it is in 64 characters, for what is noted of an act."""
        return self.key_id or (self.subject or "operator")[:64]


EVERYBODY: Final = Identity(DEFAULT_TENANT, None, scopes.held(scopes.SCOPES))
"""Who asks a server without keys: anyone who reaches it may do everything."""

OPERATOR: Final = EVERYBODY
"""Who followed the link that the server printed on its own machine."""


def identity_of(scope: Scope) -> Identity:
    """Who asks. Raises Problem if that is not known."""
    found: Identity | Problem = scope[KEY]
    if isinstance(found, Problem):
        raise found
    return found


def tenant_of(scope: Scope) -> str:
    """The owner of everything that the request may see and create. Raises Problem."""
    return identity_of(scope).tenant_id


def actor_of(scope: Scope) -> Actor:
    """Who acts, for the audit. Raises Problem if who asks is not known."""
    return acting(identity_of(scope), scope)


def acting(identity: Identity, scope: Scope) -> Actor:
    """The same of a request by which `identity` has just become known: a login."""
    kind = ActorKind.SESSION if identity.is_session else ActorKind.KEY
    if identity.key_id is None and not identity.is_session:
        kind = ActorKind.ANYONE
    return Actor(
        tenant_id=identity.tenant_id,
        kind=kind,
        id=identity.key_id
        or identity.subject
        or ("anyone" if kind is ActorKind.ANYONE else "operator"),
        request_id=request_id.current(),
        address=scope["client"][0] if scope.get("client") else None,
    )


def check_head(identity: Identity, reference: str) -> None:
    """Raise Problem if the key is narrowed to other heads than that of `pets@3`."""
    if identity.heads is not None and reference.partition("@")[0] not in identity.heads:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "scope_missing",
            f"This key is only good for {', '.join(sorted(identity.heads)[:5])}. Use a key for "
            "this head, or ask an administrator for one.",
            extensions={"scope_needed": "predict"},
        )
