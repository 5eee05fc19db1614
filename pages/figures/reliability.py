"""Confidence against accuracy: may a probability be taken at its word?"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Absent, Report, judged, published
from pages.svg import Linear

_TOP, _BOTTOM, _LEFT, _RIGHT = 44, 344, 56, 396

Bins = Sequence[Mapping[str, Any]]


def draw(report: Report, candidate: str) -> Figure:
    """Dots beside the diagonal, their size by rows; of the published head also untempered ones."""
    calibration: Mapping[str, Any] = report.get("calibration") or {}
    is_published = candidate == published(report)
    before: Mapping[str, Any] = (calibration.get("splits") or {}) if is_published else {}
    panels, told = [], []
    for split, metrics in judged(report, candidate).items():
        after = metrics.get("reliability") or []
        if not after:
            continue
        one: Mapping[str, Any] = before.get(split) or {}
        panels.append(_panel(split, after, one.get("reliability_before") or [], metrics, one))
        if words.is_number(one.get("ece_before")):
            change = f"{words.percent(one['ece_before'])} → {words.percent(one['ece_after'])}"
            told.append(f"{words.split(split)} {change}")
        elif words.is_number(metrics.get("ece")):
            told.append(f"{words.split(split)} {words.percent(metrics['ece'])}")
    if not panels:
        raise Absent("The report has no reliability bins of this candidate.")
    temperature = calibration.get("temperature") if before else None
    through = (
        f", before → after its temperature of {words.number(temperature)}" if temperature else ""
    )
    return Figure(
        sentence=f"Calibration error (ECE) of {words.the(candidate)}{through}: {'; '.join(told)}.",
        panels=panels,
        caption="A dot below the diagonal is surer than it is right. The temperature is fitted on "
        "held-out rows of the training domain: out of domain any head is surer than it should be, "
        "and the distance to the diagonal there shows by how much.",
    )


def _panel(
    split: str, after: Bins, before: Bins, metrics: Mapping[str, Any], one: Mapping[str, Any]
) -> Panel:
    sides = [("after", after)] if before else [("", after)]
    if before:
        sides.insert(0, ("before", before))
    return Panel(
        title=words.split(split),
        key=split,
        sentence=_sentence(metrics, one),
        draw=partial(_plot, split, after, before),
        table=Table(
            [
                *([Column("temperature")] if before else []),
                Column("confidence above", "percent"),
                Column("up to", "percent"),
                Column("rows", "count"),
                Column("mean confidence", "percent"),
                Column("accuracy", "percent"),
            ],
            [
                [
                    *([when] if when else []),
                    bin_["low"],
                    bin_["high"],
                    bin_["n_rows"],
                    bin_["mean_confidence"],
                    bin_["accuracy"],
                ]
                for when, bins in sides
                for bin_ in bins
                if bin_["n_rows"]
            ],
        ),
    )


def _sentence(metrics: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    if words.is_number(one.get("log_loss_before")):
        change = f"{words.number(one['log_loss_before'])} → {words.number(one['log_loss_after'])}"
        return f"Log loss {change}."
    loss = metrics.get("log_loss")
    return f"Log loss {words.number(loss)}." if words.is_number(loss) else ""  # type: ignore[arg-type]


def _plot(split: str, after: Bins, before: Bins) -> Markup:
    x, y = Linear(0, 1, _LEFT, _RIGHT), Linear(0, 1, _BOTTOM, _TOP)
    most = max(one["n_rows"] for one in after) or 1
    entries = [("as answered", "s2", 0)]
    if before:
        entries.insert(0, ("without temperature", "s1", 1))
    parts = [
        svg.y_axis(y, _LEFT, _RIGHT, "accuracy", svg.share),
        svg.x_axis(x, _BOTTOM, "confidence (largest probability)", svg.share, top=_TOP),
        svg.legend(entries, y=14, x=_LEFT + 90),
        svg.line(x(0), y(0), x(1), y(1), class_="zero"),
    ]
    for shape, series, bins in ((1, "s1 hollow", before), (0, "s2 soft", after)):
        marks = []
        for one in bins:
            if one["n_rows"] and one["accuracy"] is not None:
                sure, right = words.percent(one["mean_confidence"]), words.percent(one["accuracy"])
                tip = f"{one['n_rows']:,} rows: {sure} sure, {right} right" if not shape else ""
                r = 3 + 9 * math.sqrt(min(one["n_rows"] / most, 1))
                place = x(one["mean_confidence"]), y(one["accuracy"])
                marks.append(svg.mark(shape, *place, r, tip=tip))
        parts.append(svg.group(*marks, class_=f"fill {series}"))
    parts.append(_histogram(after, most))
    label = f"Reliability on {words.split(split)}. " + "; ".join(
        f"confidence {words.percent(one['mean_confidence'])}: accuracy "
        f"{words.percent(one['accuracy'])} of {one['n_rows']:,} rows"
        for one in after
        if one["n_rows"]
    )
    return svg.drawing(_BOTTOM + 40, label, *parts)


def _histogram(bins: Bins, most: int) -> Markup:
    """How many rows each bin has, beside the plot."""
    left, right = 470, 640
    x, y = Linear.over([0, most], left, right, n_ticks=3), Linear(0, 1, _BOTTOM, _TOP)
    bars = [
        svg.rect(
            left,
            y(one["high"]) + 1,
            x(one["n_rows"]) - left,
            y(one["low"]) - y(one["high"]) - 2,
        )
        for one in bins
        if one["n_rows"]
    ]
    return svg.group(
        svg.text(left, _TOP - 12, "confidence", class_="axis"),
        svg.x_axis(x, _BOTTOM, "rows", svg.plain, top=_TOP),
        svg.group(
            *(svg.text(left - 6, y(at) + 4, svg.share(at)) for at in (0, 0.5, 1)), text_anchor="end"
        ),
        svg.group(*bars, class_="fill s2 soft"),
    )
