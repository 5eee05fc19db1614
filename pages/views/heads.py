"""The list of heads: what is live, how good it is."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from pages import words
from pages.views.shell import Place, page

PROD: Final = "prod"
"""The alias whose version a list shows, and that versions are compared with."""


def heads_page(found: Mapping[str, Any], place: Place, *, is_first: bool) -> str:
    """The page of a list, as `GET /heads` answers it. is_first: whether it has the newest heads."""
    cursor = found["next_cursor"]
    return page(
        "heads.html.jinja",
        place,
        section="heads",
        heads=[line_of(head) for head in found["items"]],
        is_first=is_first,
        newest="?",
        older=f"?{urlencode({'cursor': cursor})}" if cursor else None,
    )


def line_of(head: Mapping[str, Any]) -> dict[str, Any]:
    """What a list says of a head: of its `prod` version, else of the latest."""
    aliases = head["aliases"]
    shown = live(head) or head["versions"][0]
    return {
        "name": head["name"],
        "n_versions": len(head["versions"]),
        "aliases": [f"{alias}: {version}" for alias, version in aliases.items()],
        "shown": f"{PROD}: {shown['version']}"
        if PROD in aliases
        else f"latest: {shown['version']}",
        "is_live": PROD in aliases,
        "version": shown["version"],
        "method": words.candidate(str(shown["method"])),
        "test": percent(accuracy(shown, "test")),
        "ood": percent(ood_mean(shown)),
        "n_classes": len(shown["classes"]),
        "created_at": words.time(shown["created_at"]),
    }


def live(head: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The version that the alias `prod` names."""
    number = head["aliases"].get(PROD)
    return next((one for one in head["versions"] if one["version"] == number), None)


def accuracy(version: Mapping[str, Any], split: str) -> float | None:
    """A version's accuracy on a split, if it was tested there."""
    found = (version["metrics"].get(split) or {}).get("accuracy")
    return float(found) if words.is_number(found) else None


def ood_mean(version: Mapping[str, Any]) -> float | None:
    """The mean accuracy over the domains."""
    domains = [split for split in version["metrics"] if split.startswith(words.OOD_PREFIX)]
    found = [one for one in (accuracy(version, split) for split in domains) if one is not None]
    return sum(found) / len(found) if found else None


def percent(share: float | None) -> str:
    """A share, or a dash."""
    return words.NOTHING if share is None else words.percent(share)
