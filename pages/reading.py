"""Read a report of any version: what a figure needs, or a sentence on why it is not there."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from pages import words

Report: TypeAlias = Mapping[str, Any]
"""The report as `GET /jobs/{id}/report` answers it."""


ROWS_AT: Final = "rows_at"
"""Where a page adds the address of the rows behind its numbers; a file has no such place."""


class Absent(Exception):  # noqa: N818  nothing went wrong
    """The report does not hold what a figure shows; its text says why, and what would help."""


def found(report: Report, *path: str, otherwise: str) -> Any:
    """What lies at `path`; Absent, with the sentence `otherwise`, where there is nothing."""
    value: Any = report
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
        if value is None or value in ({}, []):
            raise Absent(otherwise)
    return value


def published(report: Report) -> str:
    """The candidate that the job published."""
    return str(report.get("method", ""))


def of_head(report: Report) -> str:
    """The candidate that the head at hand is: the published one, unless the report says which."""
    return str(report.get("candidate") or published(report))


def candidates(report: Report) -> list[str]:
    """All candidates, the published one first, those of an ablation last."""
    names = [str(name) for name in report.get("candidates") or {}]
    method = published(report)
    return sorted(names, key=lambda name: (name != method, name.startswith(words.ABLATION)))


def metrics(report: Report, candidate: str) -> Mapping[str, Any]:
    """A candidate's metrics by split, in reading order."""
    all_of = found(
        report,
        "candidates",
        candidate,
        "metrics",
        otherwise=f"The report has no metrics of {words.the(candidate)}.",
    )
    return {split: all_of[split] for split in words.in_order(list(all_of))}


def judged(report: Report, candidate: str) -> Mapping[str, Any]:
    """A candidate's metrics on the splits that it did not learn from; on train if it is alone."""
    everything = metrics(report, candidate)
    held_out = {split: one for split, one in everything.items() if split != "train"}
    return held_out or everything


def classes(report: Report) -> list[str]:
    """The class names, in the order of their indices."""
    return [str(name) for name in (report.get("dataset") or {}).get("classes") or ()]


def rows_link(report: Report, **which: str) -> str | None:
    """The address of the rows that `which` chooses, as `GET /jobs/{id}/rows` takes it, or None.

    Without a candidate the rows are the published one's.
    """
    if ROWS_AT not in report:
        return None
    if which.get("candidate") == published(report):
        del which["candidate"]
    return f"{report[ROWS_AT]}?{urlencode(which)}"


def title(report: Report) -> str:
    """What the report is about: the name of its head."""
    return words.clean(report.get("name") or "head")
