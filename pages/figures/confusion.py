"""What is taken for what: a heat table, or with many classes the most frequent mistakes."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from markupsafe import Markup, escape

from pages import svg, words
from pages.figure import Column, Figure, Linked, Panel, Table
from pages.reading import Absent, Report, judged, rows_link

MOST_DRAWN = 40
_LISTED = 20
_STEPS = 6
_CELL = 22

Link: TypeAlias = Callable[[str, str], str | None]
"""The address of the rows of a true class that were taken for another."""


def draw(report: Report, candidate: str) -> Figure:
    """A heat table for each split."""
    panels, first = [], ""
    for split, metrics in judged(report, candidate).items():
        mistakes = metrics.get("confusions") or []
        first = first or _sentence(candidate, split, mistakes)
        names = [str(one["name"]) for one in metrics.get("per_class") or ()]
        link = partial(_link, report, candidate, split)
        panels.append(_panel(split, names, metrics.get("confusion_matrix"), mistakes, link))
    if not any(panel.table for panel in panels):
        raise Absent("The report does not say which classes were taken for which.")
    return Figure(
        sentence=first,
        panels=panels,
        caption="Rows: the true class; columns: what it was taken for. The darker, the more rows "
        "(by their logarithm); the diagonal, which is right, is muted.",
    )


def _panel(
    split: str,
    names: Sequence[str],
    matrix: Any,
    mistakes: Sequence[Mapping[str, Any]],
    link: Link,
) -> Panel:
    title = words.split(split)
    if not matrix or len(names) > MOST_DRAWN or len(matrix) != len(names):
        table = Table(
            [
                Column("true class", is_name=True),
                Column("taken for", is_name=True),
                Column("rows", "count"),
            ],
            [
                [
                    one["true"],
                    one["predicted"],
                    Linked(one["n_rows"], link(str(one["true"]), str(one["predicted"]))),
                ]
                for one in mistakes
            ],
            n_shown=_LISTED,
        )
        told = f"{title}: the most frequent mistakes." if mistakes else f"{title}: no mistake."
        return Panel(title=title, key=split, sentence=told, table=table)
    seen = [at for at in range(len(names)) if sum(matrix[at]) or sum(row[at] for row in matrix)]
    return Panel(
        title=title,
        key=split,
        draw=partial(_heat_table, title, names, matrix, seen, link),
        draw_svg=partial(_heat_map, title, names, matrix, seen),
        table=Table(
            [
                Column("true class", is_name=True),
                *(Column(names[at], "count", is_name=True) for at in seen),
            ],
            [[names[at], *(matrix[at][to] for to in seen)] for at in seen],
            n_shown=0,
        ),
    )


def _sentence(candidate: str, split: str, mistakes: Sequence[Mapping[str, Any]]) -> str:
    if not mistakes:
        return f"{words.capital(words.the(candidate))} makes no mistake on {words.split(split)}."
    told = [
        f"{words.clean(one['true'])} for {words.clean(one['predicted'])} ({one['n_rows']:,})"
        for one in mistakes[:3]
    ]
    return (
        f"{words.capital(words.the(candidate))} most often mistakes {words.listed(told)}, on "
        f"{words.split(split)}."
    )


def _step(n_rows: int, most: int) -> int:
    """How dark a cell is, 0 to 6, by the logarithm of its rows."""
    if n_rows <= 0:
        return 0
    return 1 + min(_STEPS - 1, math.floor(_STEPS * math.log(n_rows) / math.log(most + 1)))


def _most(matrix: Any, seen: Sequence[int]) -> int:
    return max((matrix[at][to] for at in seen for to in seen if at != to), default=1) or 1


def _link(report: Report, candidate: str, split: str, label: str, predicted: str) -> str | None:
    return rows_link(report, split=split, label=label, predicted=predicted, candidate=candidate)


def _heat_table(
    title: str, names: Sequence[str], matrix: Any, seen: Sequence[int], link: Link
) -> Markup:
    most = _most(matrix, seen)
    head = svg.joined(
        svg.element("th", svg.element("bdi", _short(names[at])), scope="col") for at in seen
    )
    rows = []
    for at in seen:
        cells = [svg.element("th", svg.element("bdi", _short(names[at])), scope="row")]
        for to in seen:
            n_rows = int(matrix[at][to])
            style = "d" if at == to else f"h{_step(n_rows, most)}" if n_rows else None
            attributes = {"class": style} if style else {}
            href = link(names[at], names[to]) if n_rows else None
            cells.append(_cell(n_rows, attributes, href))
        rows.append(svg.element("tr", *cells))
    return svg.element(
        "table",
        svg.element("caption", f"Confusion matrix on {title}", class_="hidden"),
        svg.element("thead", svg.element("tr", _corner(), head)),
        svg.element("tbody", *rows),
        class_="heat",
    )


def _corner() -> Markup:
    return Markup("<td>true \\ taken for</td>")


def _cell(n_rows: int, attributes: Mapping[str, str], href: str | None) -> Markup:
    if not n_rows:
        return Markup("<td></td>")
    return svg.element("td", svg.linked(escape(n_rows), href), **attributes)


def _short(name: str) -> str:
    return words.shortened(words.clean(name), 32)


def _heat_map(title: str, names: Sequence[str], matrix: Any, seen: Sequence[int]) -> Markup:
    """The same as a picture, to take away: one path for all cells of a colour."""
    most, left, top, size = _most(matrix, seen), 190, 150, _CELL * len(seen)
    parts = [svg.rect(left, top, size, size, class_="cell")]
    cells: dict[str, list[tuple[int, int]]] = {}
    numbers = []
    for row, at in enumerate(seen):
        y = top + _CELL * row
        name = words.shortened(words.clean(names[at]), 26)
        parts.append(svg.text(left - 8, y + 15, name, text_anchor="end", class_="name"))
        place = f"translate({left + _CELL * row + 15},{top - 8}) rotate(-90)"
        parts.append(svg.text(0, 0, name, transform=place, class_="name"))
        for column, to in enumerate(seen):
            if n_rows := int(matrix[at][to]):
                x = left + _CELL * column
                step = "d" if at == to else f"h{_step(n_rows, most)}"
                cells.setdefault(step, []).append((x, y))
                style = "on-mark" if step == "h6" else "tiny"
                numbers.append(svg.text(x + _CELL / 2, y + 15, str(n_rows), class_=style))
    for step, places in sorted(cells.items()):
        way = "".join(f"M{x} {y}h{_CELL}v{_CELL}h-{_CELL}z" for x, y in places)
        parts.append(svg.element("path", d=way, class_=f"cell {step}"))
    return svg.drawing(
        top + size + 8,
        f"Confusion matrix on {title}",
        svg.text(0, 14, f"{title}: rows true, columns taken for", class_="axis"),
        *parts,
        svg.group(*numbers, text_anchor="middle"),
        width=max(svg.WIDTH, left + size + 8),
    )
