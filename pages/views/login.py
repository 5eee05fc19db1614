"""The login: a key, or the link that the server printed, opens a session; or who is signed in."""

from collections.abc import Mapping
from typing import Any

from pages import words
from pages.views.shell import Place, page


def login_page(place: Place, *, keys_on: bool, who: Mapping[str, Any] | None, then: str) -> str:
    """who: what GET /identity says of the session, if there is one. then: the page to go to, from
    the service's root."""
    rights = ", ".join(words.clean(scope) for scope in who["scopes"]) if who else ""
    return page(
        "login.html.jinja",
        place,
        scripts=("login.js",),
        keys_on=keys_on,
        signed_in=who is not None,
        name=words.clean(who["name"] or "the operator") if who else "",
        tenant=words.clean(who["tenant_id"]) if who else "",
        rights=rights,
        then=f"{place.root}{then}",
    )
