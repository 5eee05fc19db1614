"""What a page says when there is nothing to show: what is wrong and what to do."""

from collections.abc import Mapping
from typing import Any

from pages import words
from pages.views.shell import Place, page


def problem_page(problem: Mapping[str, Any], place: Place) -> str:
    """The page of a problem, as the API's application/problem+json says it."""
    return page(
        "problem.html.jinja",
        place,
        title=words.clean(problem["title"]),
        status=problem["status"],
        detail=words.clean(problem["detail"]),
        request_id=words.clean(problem.get("request_id") or ""),
    )
