"""Routes of a browser's session: sign in, sign out, and who asks."""

import logging
from http import HTTPStatus
from typing import Final

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from service.access.credentials import COOKIE
from service.access.dependencies import AccessDep
from service.access.schemas import SessionCreate, Who
from service.access.who import Access, tenant_disabled
from service.http.dependencies import IdentityDep, StoreDep
from service.http.errors import Problem
from service.http.identity import OPERATOR, Identity, acting
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import OPEN, PREDICT
from service.limits.classes import RequestClass
from service.limits.meter import LimiterDep
from service.openid_choice import Grant
from store.access import audit, keys, scopes, secrets, sessions, tenants
from store.access.keys import ApiKey
from store.database.connection import Transaction
from store.errors import NotFound
from store.store import Store

logger = logging.getLogger(__name__)
router = APIRouter(tags=["keys"], route_class=JsonRoute)

_COOKIE: Final = f"{COOKIE}={{}}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={{}}"


@router.get("/identity", dependencies=[PREDICT])
def who_asks(store: StoreDep, identity: IdentityDep, access: AccessDep) -> Who:
    """Show who asks: whose key it is, and what it may do."""
    key = _key_of(store, identity)
    return Who(
        tenant_id=identity.tenant_id,
        key_id=identity.key_id,
        subject=identity.subject,
        name=None if key is None else key.name,
        scopes=[scope for scope in scopes.SCOPES if scope in identity.scopes],
        heads=None if identity.heads is None else sorted(identity.heads),
        expires_at=None if key is None else key.expires_at,
        keys_on=access.keys_on,
    )


@router.post(
    "/session",
    status_code=204,
    dependencies=[OPEN],
    responses=problems(401, 403, 409, 429, *BODY_STATUSES),
)
async def sign_in(
    body: SessionCreate,
    request: Request,
    response: Response,
    access: AccessDep,
    limiter: LimiterDep,
) -> None:
    """Open a session of 12 hours for a browser, which its cookie names; 2 idle hours end it."""
    if not access.keys_on:
        raise Problem(
            HTTPStatus.CONFLICT,
            "keys_off",
            "This server wants no key, so there is nothing to sign in to.",
        )
    address = request.client.host if request.client else ""
    if body.key is not None:
        identity = await access.who_has(body.key.strip(), address)
    elif access.login_links.use(body.code or ""):
        identity = OPERATOR
    else:
        raise access.wrong_key(address)
    # Who it is was not known when the request came in.
    allowance = limiter.known(identity) or await limiter.of(identity)
    await allowance.take(identity.bucket, RequestClass.WRITE)
    token = await to_thread.run_sync(_opened, access, identity, request)
    logger.info("session.opened by=%s", identity.actor)
    response.headers["Set-Cookie"] = session_cookie(token)
    response.headers["Cache-Control"] = "no-store"


@router.delete("/session", status_code=204, dependencies=[OPEN])
def sign_out(request: Request, response: Response, store: StoreDep) -> None:
    """End the browser's session; without one nothing happens."""
    if request.cookies.get(COOKIE):
        with store.database.begin() as tx:
            _end(tx, request)
    response.headers["Set-Cookie"] = _COOKIE.format("", 0)


def session_cookie(token: str) -> str:
    """The `Set-Cookie` of a session."""
    return _COOKIE.format(token, int(sessions.ABSOLUTE_SECONDS))


def opened_for_member(access: Access, grant: Grant, subject: str, request: Request) -> str:
    """The token of a new session for who signed in at the provider; the one before it ends."""
    with access.store.database.begin() as tx:
        _end(tx, request)
        try:
            tenant = tenants.get(tx, grant.tenant_id)
        except NotFound:
            logger.error("sign_in.no_tenant NMTUNE_OIDC_GROUPS names %s", grant.tenant_id)
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "group_unknown",
                "Your group is set up for a tenant that does not exist. Tell the operator.",
            ) from None
        if tenant.disabled_at is not None:
            raise tenant_disabled()
        token = sessions.create(
            tx, tenant.tenant_id, key=None, scopes=(grant.scope,), subject=subject
        )
        member = Identity(tenant.tenant_id, None, frozenset(), None, subject)
        _note_opened(tx, member, token, request)
    logger.info("session.opened by=%s tenant=%s", subject, grant.tenant_id)
    return token


def _opened(access: Access, identity: Identity, request: Request) -> str:
    """The token of a new session; the one before it in this browser ends."""
    with access.store.database.begin() as tx:
        _end(tx, request)
        if tenants.get(tx, identity.tenant_id).disabled_at is not None:
            raise tenant_disabled()
        key_id = identity.key_id
        key = None if key_id is None else keys.get(tx, identity.tenant_id, key_id)
        rights = ("admin",) if key is None else key.scopes
        token = sessions.create(tx, identity.tenant_id, key=key, scopes=rights)
        _note_opened(tx, identity, token, request)
        return token


def _note_opened(tx: Transaction, identity: Identity, token: str, request: Request) -> None:
    actor = acting(identity._replace(is_session=True), request.scope)
    audit.note(tx, actor, "session.opened", sessions.shown(secrets.sha256_of(token)))


def _end(tx: Transaction, request: Request) -> None:
    """End the session that the browser's cookie names, if there is one."""
    token = request.cookies.get(COOKIE)
    session = sessions.find(tx, token) if token else None
    if session is None:
        return
    sessions.end(tx, session)
    who = Identity(
        session.tenant_id, session.key_id, frozenset(), None, session.subject, is_session=True
    )
    audit.note(tx, acting(who, request.scope), "session.closed", sessions.shown(session.sha256))


def _key_of(store: Store, identity: Identity) -> ApiKey | None:
    if identity.key_id is None:
        return None
    with store.database.read() as tx:
        return keys.get(tx, identity.tenant_id, identity.key_id)
