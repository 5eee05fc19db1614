"""The page where a browser signs in and out."""

import re
from typing import Annotated, Final

from fastapi import Query, Request, Response

from service.access.dependencies import AccessDep
from service.access.session_routes import who_asks
from service.http.dependencies import StoreDep
from service.http.identity import KEY, Identity
from service.http.scopes import OPEN
from service.ui.answers import html, page_router, place

START: Final = "ui/"
_PAGE: Final = re.compile(r"ui/[A-Za-z0-9_.@/-]*(\?[A-Za-z0-9_.=&%+-]*)?")

router = page_router(OPEN)


@router.get("/ui/login")
def login(
    request: Request,
    store: StoreDep,
    access: AccessDep,
    then: Annotated[str, Query(alias="next", max_length=1000)] = START,
) -> Response:
    """Sign in, or see who is signed in and sign out."""
    from pages.views.login import login_page

    found = request.scope[KEY]
    is_known = access.keys_on and isinstance(found, Identity)
    who = who_asks(store, found, access).model_dump(mode="json") if is_known else None
    page = login_page(
        place(request),
        keys_on=access.keys_on,
        who=who,
        then=page_or_start(then),
        has_provider=access.openid is not None,
    )
    return html(page)


def page_or_start(then: str) -> str:
    """The page to go on to, if it is one of ours: a link to the login must not lead elsewhere."""
    is_ours = _PAGE.fullmatch(then) is not None and ".." not in then and "//" not in then
    return then if is_ours else START
