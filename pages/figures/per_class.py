"""Precision, recall and F1 of each class."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Linked, Panel, Table
from pages.reading import Report, judged, rows_link
from pages.svg import Linear

MOST_DRAWN = 40
_ROW = 19
_LEFT, _RIGHT = 190, 600


def draw(report: Report, candidate: str) -> Figure:
    """A bar a class for F1, marks for precision and recall; beyond 40 classes a table."""
    of = judged(report, candidate)
    panels, first = [], ""
    for split, metrics in of.items():
        rows = [one for one in metrics.get("per_class") or () if one.get("support")]
        if not rows:
            continue
        rows.sort(key=lambda one: one["f1"])
        links = [
            rows_link(report, split=split, label=str(one["name"]), candidate=candidate)
            for one in rows
        ]
        first = first or _sentence(candidate, split, rows)
        panels.append(
            Panel(
                title=words.split(split),
                key=split,
                sentence=f"{words.split(split)}: {len(rows):,} classes with rows, weakest first.",
                draw=partial(_plot, split, rows, links) if len(rows) <= MOST_DRAWN else None,
                table=Table(
                    [
                        Column("class", is_name=True),
                        Column("rows", "count"),
                        Column("precision", "percent"),
                        Column("recall", "percent"),
                        Column("F1", "percent"),
                    ],
                    [
                        [
                            Linked(one["name"], link),
                            one["support"],
                            one["precision"],
                            one["recall"],
                            one["f1"],
                        ]
                        for one, link in zip(rows, links, strict=True)
                    ],
                ),
            )
        )
    return Figure(
        sentence=first,
        panels=panels,
        caption="Recall: the share of a class's rows that is found. Precision: of what is called "
        "so, the share that is right. F1 is their harmonic mean; of few rows all three say little.",
    )


def _sentence(candidate: str, split: str, rows: Sequence[Any]) -> str:
    weakest = [
        f"{words.clean(one['name'])} (F1 {words.percent(one['f1'])}, {one['support']:,} rows)"
        for one in rows[:3]
    ]
    return (
        f"{words.capital(words.the(candidate))} is weakest on {words.listed(weakest)}, on "
        f"{words.split(split)}."
    )


def _plot(split: str, rows: Sequence[Any], links: Sequence[str | None]) -> Markup:
    height = 30 + _ROW * len(rows) + 44
    x = Linear(0, 1, _LEFT, _RIGHT)
    parts = [
        svg.legend([("F1", "s1", 1), ("precision", "s2", 2), ("recall", "s3", 0)], y=12, x=_LEFT),
        svg.x_axis(x, height - 40, "share", svg.share, top=22),
    ]
    names, bars, precisions, recalls, supports = [], [], [], [], []
    for at, one in enumerate(rows):
        y = 34.0 + _ROW * at
        name = words.clean(one["name"])
        written = svg.text(_LEFT - 12, y + 4, words.shortened(name, 26))
        names.append(svg.linked(written, links[at]))
        bars.append(svg.rect(_LEFT, y - 5, x(one["f1"]) - _LEFT, 10))
        told = f"precision {words.percent(one['precision'])}, recall {words.percent(one['recall'])}"
        precisions.append(svg.mark(2, x(one["precision"]), y, 3.6))
        recalls.append(svg.dot(x(one["recall"]), y, 3, tip=f"{name}: {told}"))
        supports.append(svg.text(_RIGHT + 16, y + 4, f"{words.count(one['support'])} rows"))
    parts += [
        svg.group(*names, text_anchor="end"),
        svg.group(*bars, class_="fill s1 soft"),
        svg.group(*precisions, class_="fill s2"),
        svg.group(*recalls, class_="fill s3"),
        *supports,
    ]
    label = (
        f"F1, precision and recall by class on {words.split(split)}, weakest first. "
        + "; ".join(f"{words.clean(one['name'])} {words.percent(one['f1'])}" for one in rows[:8])
    )
    return svg.drawing(height, label, *parts, has_links=any(links))
