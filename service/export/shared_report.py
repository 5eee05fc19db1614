"""The report as a bundle gives it to others: without the ids and texts of rows."""

from collections.abc import Iterator
from typing import Any, Final

import orjson

_PRIVATE: Final = ("id", "text", "train_id", "train_text")


def without_rows(report: bytes) -> bytes:
    """The same bytes where no row is named by id or text; else with null in their place.

    A bundle is passed on, and what a row is called or says is the owner's alone.
    """
    document: Any = orjson.loads(report)
    has_changed = False
    for row in _named(document if isinstance(document, dict) else {}):
        for name in _PRIVATE:
            if row.get(name) is not None:
                row[name], has_changed = None, True
    return orjson.dumps(document) if has_changed else report


def _named(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows that its findings name."""
    findings = report.get("findings") or {}
    yield from (findings.get("label_errors") or {}).get("suspected") or ()
    for split in ((findings.get("near_duplicates") or {}).get("splits") or {}).values():
        yield from split.get("pairs") or ()
