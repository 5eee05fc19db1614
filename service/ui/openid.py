"""The way to the company's provider, and back with its answer."""

import logging
import math
from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse

from service.access.dependencies import AccessDep
from service.access.openid import OpenId, failed
from service.access.openid_token import Member, word
from service.access.session_routes import opened_for_member, session_cookie
from service.access.sign_in import COOKIE, ENDED, SignIn
from service.access.who import Access
from service.http.errors import Problem
from service.http.scopes import OPEN
from service.openid_choice import granted
from service.ui.answers import HEADERS, page_router, place
from service.ui.login import START, page_or_start

logger = logging.getLogger(__name__)
router = page_router(OPEN)


@router.get("/ui/login/openid")
def begin_sign_in(
    request: Request,
    access: AccessDep,
    then: Annotated[str, Query(alias="next", max_length=1000)] = START,
) -> Response:
    """Lead to the provider, which leads back here."""
    sign_in = SignIn.new(page_or_start(then))
    address = _openid(access).page(sign_in, _callback(request))
    answer = RedirectResponse(address, HTTPStatus.SEE_OTHER, HEADERS)
    answer.headers["Set-Cookie"] = sign_in.set_cookie()
    return answer


@router.get("/ui/login/openid/callback")
def end_sign_in(
    request: Request,
    access: AccessDep,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
    iss: Annotated[str | None, Query(max_length=1000)] = None,
) -> Response:
    """Open a session for who signed in at the provider; or say why not."""
    openid = _openid(access)
    sign_in = SignIn.read(request.cookies.get(COOKIE))
    address = request.client.host if request.client else ""
    if seconds := access.guesses.seconds_to_wait(address):
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many sign-ins failed from this address. Try again later.",
            headers={"Retry-After": str(math.ceil(seconds))},
        )
    try:
        if sign_in is None or not sign_in.is_answered_by(state):
            raise _not_begun_here()
        if iss is not None and iss != openid.choice.issuer:
            raise failed("this answer is another provider's")
        if error or not code:
            raise _refused(word(error) or "no code came")
        member = openid.member(code, sign_in, _callback(request))
        token = _session(access, openid, member, request)
    except Problem as problem:
        access.guesses.note_wrong(address)
        problem.headers = {**(problem.headers or {}), "Set-Cookie": ENDED}
        raise
    then = page_or_start(sign_in.then)
    answer = RedirectResponse(f"{place(request).root}{then}", HTTPStatus.SEE_OTHER, HEADERS)
    answer.headers.append("Set-Cookie", ENDED)
    answer.headers.append("Set-Cookie", session_cookie(token))
    return answer


def _session(access: Access, openid: OpenId, member: Member, request: Request) -> str:
    grant = granted(openid.choice.grants, member.groups)
    if grant is None:
        logger.warning("sign_in.no_group groups=%d", len(member.groups))
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "group_unknown",
            "You are signed in at the identity provider, but none of your groups may use this "
            "server. Ask its operator.",
        )
    return opened_for_member(access, grant, member.subject, request)


def _openid(access: Access) -> OpenId:
    if access.openid is None or not access.keys_on:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "not_found",
            "This server has no identity provider to sign in at. Sign in with a key.",
        )
    return access.openid


def _callback(request: Request) -> str:
    return f"{request.base_url}ui/login/openid/callback"


def _not_begun_here() -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "sign_in_expired",
        "This sign-in was not begun in this browser, took longer than 10 minutes, or was used "
        "before. Sign in again. Over plain http from another machine browsers keep no session.",
    )


def _refused(why: str) -> Problem:
    logger.warning("sign_in.refused reason=%s", why)
    return Problem(
        HTTPStatus.FORBIDDEN,
        "sign_in_refused",
        f"The identity provider did not sign you in ({why}). Sign in again, or with a key.",
    )
