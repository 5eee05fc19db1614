"""When to trust the head: conformal sets and the OOD score, tried on rows it never learnt from."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Report, found
from pages.svg import Linear

_ROW = 26
_LEFT, _RIGHT = 190, 520
_BAND = 84


def draw(report: Report, _candidate: str) -> Figure:
    """Coverage and set size by split; OOD scores by split with the threshold."""
    trust = found(
        report,
        "findings",
        "trust",
        otherwise="The head has learnt neither conformal sets nor an OOD score: that takes method "
        "auto or a validation split, and enough rows.",
    )
    panels = []
    if conformal := trust.get("conformal"):
        panels.append(_coverage(conformal))
    if ood := trust.get("ood"):
        panels.append(_ood(ood))
    return Figure(
        sentence=words.clean(trust.get("sentence") or ""),
        panels=panels,
        caption="Coverage is promised for rows like the training's; on OOD splits it shows how "
        "much less it is there. An AUROC of 0.5 is chance, 1 tells every row.",
    )


def _coverage(conformal: Mapping[str, Any]) -> Panel:
    splits: Mapping[str, Any] = conformal.get("splits") or {}
    names = words.in_order(list(splits))
    return Panel(
        title="Conformal sets",
        draw=partial(_coverages, splits, names, conformal.get("level")),
        table=Table(
            [
                Column("split", is_name=True),
                Column("rows", "count"),
                Column("coverage", "percent"),
                Column("classes a row", "number"),
            ],
            [
                [
                    words.split(name),
                    *(splits[name].get(key) for key in ("n_rows", "coverage", "mean_size")),
                ]
                for name in names
            ],
        ),
    )


def _coverages(splits: Mapping[str, Any], names: Sequence[str], level: Any) -> Markup:
    height = 74 + _ROW * len(names)
    x = Linear.over(
        [1.0, *(splits[name]["coverage"] for name in names), level or 1.0], _LEFT, _RIGHT
    )
    parts = [svg.x_axis(x, height - 40, "rows whose set holds the true class", svg.share, top=20)]
    if words.is_number(level):
        parts += [
            svg.line(x(level), 14, x(level), height - 40, class_="zero"),
            svg.text(x(level), 10, f"level {level:g}", text_anchor="middle"),
        ]
    for at, name in enumerate(names):
        one, y = splits[name], 36.0 + _ROW * at
        tip = f"{words.split(name)}: {words.percent(one['coverage'])}"
        parts += [
            svg.text(_LEFT - 14, y + 4, words.shortened(words.split(name), 26), text_anchor="end"),
            svg.line(x(level or 1), y, x(one["coverage"]), y, class_="whisker"),
            svg.mark(3, x(one["coverage"]), y, 5, tip=tip, class_="fill s2"),
            svg.text(
                _RIGHT + 14,
                y + 4,
                f"{words.percent(one['coverage'])}, {one['mean_size']:.2f} classes",
            ),
        ]
    label = "Coverage of conformal sets. " + "; ".join(
        f"{words.split(name)}: {words.percent(splits[name]['coverage'])} with "
        f"{splits[name]['mean_size']:.2f} classes a row"
        for name in names
    )
    return svg.drawing(height, label, *parts)


def _ood(ood: Mapping[str, Any]) -> Panel:
    splits: Mapping[str, Any] = ood.get("splits") or {}
    names = words.in_order(list(splits))
    edges = ood.get("edges")
    has_counts = edges and all(splits[name].get("counts") for name in names)
    draw = (
        partial(_histograms, ood, splits, names) if has_counts else partial(_shares, splits, names)
    )
    columns = [
        Column("split", is_name=True),
        Column("rows", "count"),
        Column("above the threshold", "percent"),
        Column("AUROC against the test rows", "number"),
    ]
    rows = [
        [
            words.split(name),
            *(splits[name].get(key) for key in ("n_rows", "share_above_threshold", "auroc")),
        ]
        for name in names
    ]
    return Panel(title="OOD score", draw=draw, table=Table(columns, rows))


def _shares(splits: Mapping[str, Any], names: Sequence[str]) -> Markup:
    """What an earlier version's report has: how much of each split is above the threshold."""
    height = 66 + _ROW * len(names)
    x = Linear(0, 1, _LEFT, _RIGHT)
    parts = [svg.x_axis(x, height - 40, "rows above the threshold", svg.share, top=10)]
    for at, name in enumerate(names):
        share, y = splits[name]["share_above_threshold"], 28.0 + _ROW * at
        parts += [
            svg.text(_LEFT - 14, y + 4, words.shortened(words.split(name), 26), text_anchor="end"),
            svg.rect(_LEFT, y - 7, x(share) - _LEFT, 14, class_=f"fill {_series(name)} soft"),
            svg.text(_RIGHT + 14, y + 4, words.percent(share) + _auroc(splits[name])),
        ]
    return svg.drawing(height, _label(splits, names), *parts)


def _histograms(ood: Mapping[str, Any], splits: Mapping[str, Any], names: Sequence[str]) -> Markup:
    """A histogram of the score for each split, one under the other, and the threshold."""
    edges = [float(edge) for edge in ood["edges"]]
    height = 34 + _BAND * len(names) + 40
    x = Linear(edges[0], edges[-1], 56, 664)
    bottom = height - 40
    threshold = float(ood["threshold"])
    parts = [svg.x_axis(x, bottom, "OOD score (the last bin holds all above)", svg.plain, top=24)]
    for at, name in enumerate(names):
        counts = splits[name]["counts"]
        floor = 34.0 + _BAND * (at + 1) - 8
        most = max(counts) or 1
        bars = [
            svg.rect(
                x(edges[bin_]) + 0.5,
                floor - 54 * n_rows / most,
                x(edges[bin_ + 1]) - x(edges[bin_]) - 1,
                54 * n_rows / most,
                tip=f"{edges[bin_]:.2f} to {edges[bin_ + 1]:.2f}: {n_rows:,} rows",
            )
            for bin_, n_rows in enumerate(counts)
            if n_rows
        ]
        share = words.percent(splits[name]["share_above_threshold"])
        told = f"{words.split(name)}: {share} above{_auroc(splits[name])}"
        parts += [
            svg.group(*bars, class_=f"fill {_series(name)} soft"),
            svg.line(56, floor, 664, floor, class_="whisker"),
            svg.text(56, floor - 60, told),
        ]
    if edges[0] <= threshold <= edges[-1]:
        parts += [
            svg.line(x(threshold), 18, x(threshold), bottom, class_="zero"),
            svg.text(x(threshold), 12, f"threshold {threshold:.2f}", text_anchor="middle"),
        ]
    return svg.drawing(height, _label(splits, names), *parts)


def _series(name: str) -> str:
    return "s2" if name.startswith(words.OOD_PREFIX) else "s1"


def _auroc(one: Mapping[str, Any]) -> str:
    return f", AUROC {one['auroc']:.2f}" if words.is_number(one.get("auroc")) else ""


def _label(splits: Mapping[str, Any], names: Sequence[str]) -> str:
    return "OOD score by split. " + "; ".join(
        f"{words.split(name)}: {words.percent(splits[name]['share_above_threshold'])} of the rows "
        f"above the threshold{_auroc(splits[name])}"
        for name in names
    )
