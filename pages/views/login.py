"""The login: a key, or the link that the server printed, opens a session; or who is signed in."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pages import words
from pages.views.shell import Place, page


def login_page(
    place: Place,
    *,
    keys_on: bool,
    who: Mapping[str, Any] | None,
    then: str,
    has_provider: bool = False,
) -> str:
    """who: what GET /identity says of the session, if there is one. then: the page to go to, from
    the service's root. has_provider: whether one can sign in at the company's own."""
    rights = ", ".join(words.clean(scope) for scope in who["scopes"]) if who else ""
    return page(
        "login.html.jinja",
        place,
        scripts=("login.js",),
        keys_on=keys_on,
        signed_in=who is not None,
        by=_by(who) if who else "",
        name=words.clean(who["name"] or who["subject"] or "") if who else "",
        tenant=words.clean(who["tenant_id"]) if who else "",
        rights=rights,
        then=f"{place.root}{then}",
        provider=f"{place.root}ui/login/openid?next={quote(then, safe='')}" if has_provider else "",
    )


def _by(who: Mapping[str, Any]) -> str:
    if who["name"]:
        return "With the key"
    return "As" if who["subject"] else "As the operator"
