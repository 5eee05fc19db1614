"""Take the ids and texts of rows out of a report before it goes into a bundle."""

from collections.abc import Iterator
from typing import Any, Final

import orjson

_PRIVATE: Final = ("id", "text", "train_id", "train_text")


def without_rows(report: bytes) -> bytes:
    """The report without ids and texts, which become null; the same bytes if it has none.

    A bundle is passed on, but the ids and texts of rows belong to their owner.
    """
    document: Any = orjson.loads(report)
    has_changed = False
    for row in _named(document if isinstance(document, dict) else {}):
        for name in _PRIVATE:
            if row.get(name) is not None:
                row[name], has_changed = None, True
    return orjson.dumps(document) if has_changed else report


def _named(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows that the findings name."""
    findings = report.get("findings") or {}
    yield from (findings.get("label_errors") or {}).get("suspected") or ()
    for split in ((findings.get("near_duplicates") or {}).get("splits") or {}).values():
        yield from split.get("pairs") or ()
