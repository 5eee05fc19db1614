"""The audit: who did what, newest first."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from pages import words
from pages.views.shell import Place, page

FIELDS: Final = ("actor", "action", "target", "since", "until")
_MOST_CHARACTERS: Final = 120


def audit_page(
    found: Mapping[str, Any], place: Place, *, chosen: Mapping[str, str], is_first: bool
) -> str:
    """The page of a list, as `GET /audit` answers it. chosen: the filters that are set."""
    cursor = found["next_cursor"]
    return page(
        "audit.html.jinja",
        place,
        section="audit",
        entries=[line_of(entry) for entry in found["items"]],
        chosen={name: chosen.get(name, "") for name in FIELDS},
        is_filtered=bool(chosen),
        is_first=is_first,
        query=urlencode(chosen),
        newest=f"?{urlencode(chosen)}",
        older=f"?{urlencode({**chosen, 'cursor': cursor})}" if cursor else None,
    )


def line_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What the list says of an act."""
    told = [
        f"{words.clean(name)}: {_told(value)}"
        for name, value in entry["details"].items()
        if value not in (None, "", [])
    ]
    by = {"key": "by key", "session": "in a browser", "worker": "worker"}
    return {
        "at": words.time(entry["at"]),
        "actor": words.clean(entry["actor_id"]),
        "how": by.get(entry["actor_kind"], ""),
        "action": words.clean(entry["action"]),
        "target": words.clean(entry["target"]),
        "is_done": entry["outcome"] == "done",
        "told": words.shortened("; ".join(told), _MOST_CHARACTERS),
        "address": words.clean(entry["address"] or ""),
    }


def _told(value: object) -> str:
    if isinstance(value, list):
        return words.listed([words.clean(one) for one in value])
    return words.clean(value)
