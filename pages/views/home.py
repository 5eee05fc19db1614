"""The first page: what runs, what is live, what is wrong?"""

from collections.abc import Mapping, Sequence
from typing import Any

from pages import words
from pages.views import heads as heads_view
from pages.views.jobs import line_of
from pages.views.shell import Place, page

Jobs = Sequence[Mapping[str, Any]]


def home_page(
    checks: Mapping[str, Mapping[str, Any]],
    unfinished: Jobs,
    recent: Jobs,
    heads: Mapping[str, Any],
    place: Place,
) -> str:
    """The page of the service, out of `GET /readyz`, three lists of jobs and one of heads.

    unfinished: the running jobs, then the queued ones. recent: the newest of all.
    """
    ended = [one for one in recent if one["status"] not in ("queued", "running")]
    return page(
        "home.html.jinja",
        place,
        scripts=["follow.js"],
        section="home",
        trouble=[
            (words.clean(name), words.clean(check["message"] or check["status"]))
            for name, check in checks.items()
            if check["status"] != "ok"
        ],
        unfinished=[line_of(job) for job in unfinished],
        ended=[line_of(job) for job in ended],
        heads=[heads_view.line_of(head) for head in heads["items"]],
        has_more_heads=heads["next_cursor"] is not None,
    )
