"""What a few labels of each OOD domain would be worth: the head adapted to some of its rows."""

from collections.abc import Mapping
from typing import Any

from pages import words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Report, found


def draw(report: Report, _candidate: str) -> Figure:
    """The accuracy on each domain as it is, and with each number of labels."""
    tried = found(
        report,
        "findings",
        "new_domain",
        otherwise="There is no OOD split with rows enough to try what labels of it are worth.",
    )
    splits: Mapping[str, Any] = tried.get("splits") or {}
    rows = [
        [
            words.split(name),
            size.get("n_labels"),
            splits[name].get("accuracy"),
            size.get("accuracy"),
            size.get("gain"),
            *(size.get("gain_interval") or (None, None)),
        ]
        for name in words.in_order(list(splits))
        for size in splits[name].get("sizes") or ()
    ]
    columns = [
        Column("split", is_name=True),
        Column("labels", "count"),
        Column("accuracy as it is", "percent"),
        Column("adapted", "percent"),
        Column("gain", "points"),
        Column("from", "points"),
        Column("to", "points"),
    ]
    return Figure(
        sentence=words.clean(tried.get("sentence") or ""),
        panels=[Panel(table=Table(columns, rows))],
        caption=words.clean(tried.get("hint") or ""),
    )
