"""Would more labels help? Accuracy by number of training rows, with bands over seeds."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Absent, Report, found
from pages.svg import Linear, Log

_TOP, _BOTTOM, _LEFT, _RIGHT = 52, 270, 56, 560
_N_SERIES = 8


def draw(report: Report, _candidate: str) -> Figure:
    """A line with its band for each split."""
    curve = found(
        report,
        "findings",
        "learning_curve",
        otherwise='Not asked for. A job with "analyses": ["learning_curve"] tells whether more '
        "labels would help.",
    )
    points = curve.get("points") or []
    if not points:
        raise Absent(words.clean(curve.get("sentence") or "No learning curve could be drawn."))
    splits = words.in_order(list(points[0]["splits"]))
    outlook: Mapping[str, Any] = curve.get("outlook") or {}
    columns = [
        Column("training rows", "count"),
        Column("split", is_name=True),
        Column("accuracy", "percent"),
        Column("± over seeds", "points"),
        Column("seeds", "count"),
    ]
    rows = [
        [
            point["n_rows"],
            words.split(split),
            one["accuracy"],
            one.get("deviation"),
            one.get("n_seeds"),
        ]
        for point in points
        for split in splits
        if (one := point["splits"].get(split))
    ]
    panels = [Panel(draw=partial(_plot, points, splits), table=Table(columns, rows))]
    if any(words.is_number(one.get("gain")) for one in outlook.values()):
        panels.append(_outlook(outlook))
    return Figure(
        sentence=words.clean(curve.get("sentence") or ""),
        panels=panels,
        caption=words.capital(words.the(str(curve.get("candidate", ""))))
        + ", trained on parts of the "
        "training rows; the band is one standard deviation over seeds.",
    )


def _outlook(outlook: Mapping[str, Any]) -> Panel:
    keys = ("n_rows", "gain", "low", "high", "verdict")
    return Panel(
        title="What doubling the labels would bring",
        table=Table(
            [
                Column("split", is_name=True),
                Column("from rows", "count"),
                Column("gain, points", "points"),
                Column("from", "points"),
                Column("to", "points"),
                Column("outlook"),
            ],
            [
                [words.split(split), *(outlook[split].get(key) for key in keys)]
                for split in words.in_order(list(outlook))
            ],
        ),
    )


def _plot(points: Sequence[Mapping[str, Any]], splits: Sequence[str]) -> Markup:
    x = Log.over([point["n_rows"] for point in points], _LEFT, _RIGHT)
    bounds = [
        one["accuracy"] + sign * (one.get("deviation") or 0)
        for point in points
        for one in point["splits"].values()
        for sign in (-1, 1)
    ]
    y = Linear.over(bounds, _BOTTOM, _TOP)
    parts = [
        svg.y_axis(y, _LEFT, _RIGHT, "accuracy", svg.share),
        svg.group(
            *(
                svg.text(x(point["n_rows"]), _BOTTOM + 15, words.count(point["n_rows"]))
                for point in points
            ),
            svg.text((_LEFT + _RIGHT) / 2, _BOTTOM + 32, "training rows (log)"),
            text_anchor="middle",
        ),
    ]
    ends = []
    for number, split in enumerate(splits):
        series = f"s{number + 1}" if number < _N_SERIES else "s0"
        own = [
            (point["n_rows"], point["splits"][split])
            for point in points
            if split in point["splits"]
        ]
        upper = [(x(n), y(one["accuracy"] + (one.get("deviation") or 0))) for n, one in own]
        lower = [(x(n), y(one["accuracy"] - (one.get("deviation") or 0))) for n, one in own]
        parts += [
            svg.area([*upper, *reversed(lower)], class_=f"fill {series} band"),
            svg.path([(x(n), y(one["accuracy"])) for n, one in own], class_=f"line {series}"),
            *(
                svg.mark(
                    number,
                    x(n),
                    y(one["accuracy"]),
                    3.5,
                    tip=f"{words.split(split)}, {n:,} rows: {words.percent(one['accuracy'])}",
                    class_=f"fill {series}",
                )
                for n, one in own
            ),
        ]
        ends.append((y(own[-1][1]["accuracy"]), split, number, series))
    parts.append(_names(ends))
    label = "Accuracy by number of training rows. " + "; ".join(
        f"{words.split(split)}: {words.percent(points[0]['splits'][split]['accuracy'])} with "
        f"{points[0]['n_rows']:,} rows, {words.percent(points[-1]['splits'][split]['accuracy'])} "
        f"with {points[-1]['n_rows']:,}"
        for split in splits
        if split in points[0]["splits"] and split in points[-1]["splits"]
    )
    return svg.drawing(_BOTTOM + 42, label, *parts)


def _names(ends: list[tuple[float, str, int, str]]) -> Markup:
    """Each line's name at its end, none over another."""
    parts, least = [], 0.0
    for y, split, number, series in sorted(ends):
        least = max(y, least + 15)
        parts += [
            svg.mark(number, _RIGHT + 16, least, 4, class_=f"fill {series}"),
            svg.text(_RIGHT + 26, least + 4, words.shortened(words.split(split), 14)),
        ]
    return svg.group(*parts)
