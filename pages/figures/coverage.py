"""What `abstain_below` buys: accuracy of the answered rows against how many are answered."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Absent, Report, judged, published
from pages.svg import Linear

_TOP, _BOTTOM, _LEFT, _RIGHT = 44, 262, 56, 664


def draw(report: Report, candidate: str) -> Figure:
    """Two lines over the threshold for each split, out of the reliability bins, which are exact."""
    advice: Mapping[str, Any] = report.get("abstention") or {}
    threshold = advice.get("threshold") if candidate == published(report) else None
    panels = []
    for split, metrics in judged(report, candidate).items():
        points = _points(metrics.get("reliability") or [])
        if points:
            panels.append(_panel(split, points, threshold))
    if not panels:
        raise Absent("The report has no reliability bins to work this out from.")
    return Figure(
        sentence=words.clean(advice.get("sentence") or "")
        if candidate == published(report)
        else f"What {words.the(candidate)} answers, and how well, by abstain_below.",
        panels=panels,
        caption="Send abstain_below with a prediction: rows whose largest probability is below it "
        "get no label. Choose it in domain; out of domain it keeps less of what it promises.",
    )


def _points(bins: Sequence[Mapping[str, Any]]) -> list[tuple[float, float, float | None, int]]:
    """Threshold, coverage, accuracy of the answered rows, and their number, at each bin's edge."""
    total = sum(one["n_rows"] for one in bins)
    if not total:
        return []
    points = []
    for at, one in enumerate(bins):
        above = bins[at:]
        n_rows = sum(each["n_rows"] for each in above)
        right = sum(each["n_rows"] * each["accuracy"] for each in above if each["n_rows"])
        points.append((one["low"], n_rows / total, right / n_rows if n_rows else None, n_rows))
    return points


def _panel(
    split: str,
    points: Sequence[tuple[float, float, float | None, int]],
    threshold: float | None,
) -> Panel:
    known = [
        (low, coverage, accuracy) for low, coverage, accuracy, _ in points if accuracy is not None
    ]
    return Panel(
        title=words.split(split),
        key=split,
        draw=partial(_plot, split, known, threshold),
        read=partial(_readout, known),
        table=Table(
            [
                Column("abstain_below", "number"),
                Column("answered", "percent"),
                Column("rows answered", "count"),
                Column("accuracy of the answered", "percent"),
            ],
            [[low, coverage, n_rows, accuracy] for low, coverage, accuracy, n_rows in points],
        ),
    )


_X: Final = Linear(0, 1, _LEFT, _RIGHT)


def _readout(known: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    return {
        "x": [round(_X(low)) for low, _, _ in known],
        "label": "abstain_below",
        "at": [round(low, 4) for low, _, _ in known],
        "series": [
            {
                "name": name,
                "v": [float(f"{100 * one[column]:.4g}") for one in known],
                "unit": "%",
            }
            for column, name in ((1, "answered"), (2, "right in"))
        ],
    }


def _plot(
    split: str, known: Sequence[tuple[float, float, float]], threshold: float | None
) -> Markup:
    x = _X
    y = Linear.over(
        [1.0, *(min(coverage, accuracy) for _, coverage, accuracy in known)], _BOTTOM, _TOP
    )
    parts = [
        svg.y_axis(y, _LEFT, _RIGHT, "", svg.share),
        svg.x_axis(x, _BOTTOM, "abstain_below", svg.plain, top=_TOP),
        svg.legend(
            [("accuracy of the answered", "s2", -1), ("share answered", "s1 dashed", -1)],
            y=14,
            x=_LEFT,
        ),
    ]
    if threshold is not None:
        parts += [
            svg.line(x(threshold), _TOP, x(threshold), _BOTTOM, class_="zero"),
            svg.text(x(threshold) - 6, _BOTTOM - 8, f"advised: {threshold:g}", text_anchor="end"),
        ]
    parts += [
        svg.path([(x(low), y(coverage)) for low, coverage, _ in known], class_="line s1 dashed"),
        svg.path([(x(low), y(accuracy)) for low, _, accuracy in known], class_="line s2"),
    ]
    label = f"Share answered and accuracy by abstain_below on {words.split(split)}. " + "; ".join(
        f"{low:.2f}: {words.percent(coverage)} answered, {words.percent(accuracy)} right"
        for low, coverage, accuracy in known[::3]
    )
    return svg.drawing(_BOTTOM + 40, label, *parts)
