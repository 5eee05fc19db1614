"""Differences between two candidates with their intervals, as a forest plot."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Linked, Panel, Table
from pages.reading import Report, found, rows_link
from pages.svg import Linear

_FINDINGS = {
    "gain": "gain",
    "loss": "loss",
    "probable_gain": "probable gain",
    "probable_loss": "probable loss",
    "unclear": "unclear",
}
_ROW = 22
_LEFT, _RIGHT = 190, 520

Comparisons = Sequence[Mapping[str, Any]]
Link: TypeAlias = Callable[[Mapping[str, Any], str], str | None]
"""The address of the rows `gained` or `lost` in a comparison."""


def draw(report: Report, _candidate: str) -> Figure:
    """What the candidates gain on each other, split by split."""
    rows = found(
        report,
        "comparison",
        otherwise="The report has no comparison: there was one candidate, or no held-out split.",
    )
    shown = [one for one in rows if not str(one["baseline"]).startswith(words.ABLATION)]
    if not shown:
        shown = rows
    link = link_of(report)
    return Figure(
        sentence=_sentence(shown),
        panels=[Panel(draw=partial(plot, shown, link), table=table(shown, link))],
        caption="Difference of accuracy on the same rows, with its 95 % interval from a paired "
        "bootstrap; right of 0 the first of the two is better. A filled mark is clear (the "
        "interval leaves out 0 and McNemar's test says so), a hollow one may be chance. The "
        "intervals speak of other rows of the same splits, not of domains that are not here.",
    )


def link_of(report: Report) -> Link:
    """Where this report's comparisons lead to."""
    return partial(_link, report)


def _link(report: Report, one: Mapping[str, Any], only: str) -> str | None:
    if one.get("kind") == "ood_mean":
        return None
    pair = {"candidate": str(one["candidate"]), "against": str(one["baseline"])}
    return rows_link(report, only=only, split=str(one["split"]), **pair)


def _nowhere(_one: Mapping[str, Any], _only: str) -> None:
    """Comparisons of which no rows are at hand."""


def plot(rows: Comparisons, link: Link = _nowhere) -> Markup:
    """A row for each split under each pair's heading."""
    pairs = _by_pair(rows)
    height = 56 + _ROW * (len(rows) + len(pairs))
    ends = [end for one in rows for end in one["interval"]]
    x = Linear.over([0.0, *ends], _LEFT, _RIGHT)
    parts = [svg.line(x(0), 8, x(0), height - 44, class_="zero")]
    y = 14.0
    for (candidate, baseline), of in pairs.items():
        heading = f"{words.candidate(candidate)} against {words.candidate(baseline)}"
        parts.append(svg.text(0, y + 4, heading, class_="strong"))
        y += _ROW
        for one in of:
            parts.append(_row(one, x, y, link(one, "gained")))
            y += _ROW
    axis = svg.x_axis(
        x, height - 40, "difference of accuracy, points", lambda at: svg.plain(round(100 * at, 6))
    )
    has_links = any(link(one, "gained") for one in rows)
    return svg.drawing(height, _label(rows), axis, *parts, has_links=has_links)


def table(rows: Comparisons, link: Link = _nowhere) -> Table:
    """The numbers of the plot."""
    columns = [
        Column("candidate"),
        Column("baseline"),
        Column("split", is_name=True),
        Column("rows", "count"),
        Column("accuracy", "percent"),
        Column("baseline's", "percent"),
        Column("difference", "points"),
        Column("from", "points"),
        Column("to", "points"),
        Column("rows gained", "count"),
        Column("rows lost", "count"),
        Column("p (McNemar)", "p"),
        Column("finding"),
    ]
    return Table(
        columns,
        [
            [
                words.candidate(str(one["candidate"])),
                words.candidate(str(one["baseline"])),
                _split(one),
                one.get("n_rows"),
                one.get("candidate_accuracy"),
                one.get("baseline_accuracy"),
                one["accuracy_difference"],
                *one["interval"],
                Linked(one.get("n_gained"), link(one, "gained")),
                Linked(one.get("n_lost"), link(one, "lost")),
                one.get("p_value"),
                _finding(one),
            ]
            for one in rows
        ],
    )


def _row(one: Mapping[str, Any], x: Linear, y: float, href: str | None) -> Markup:
    finding = _finding(one)
    kind = "gain" if "gain" in finding else "loss" if "loss" in finding else "unclear"
    is_clear = finding in {"gain", "loss"}
    low, high = one["interval"]
    difference = one["accuracy_difference"]
    told = f"{words.points(difference)} ({words.points(low)} to {words.points(high)})"
    split = words.shortened(_split(one), 24)
    return svg.group(
        svg.linked(svg.text(14, y + 4, split), href),
        svg.line(x(low), y, x(high), y, class_="whisker"),
        svg.mark(
            0 if kind == "unclear" else 3,
            x(difference),
            y,
            4.5,
            tip=f"{_split(one)}: {told}, {finding}",
            class_="filled" if is_clear else "hollow",
        ),
        svg.text(_RIGHT + 14, y + 4, f"{words.points(difference)}  {finding}"),
        class_=kind,
    )


def _by_pair(rows: Comparisons) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    pairs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in rows:
        pairs.setdefault((str(one["candidate"]), str(one["baseline"])), []).append(one)
    return pairs


def _split(one: Mapping[str, Any]) -> str:
    return words.split("ood_mean" if one.get("kind") == "ood_mean" else str(one["split"]))


def _finding(one: Mapping[str, Any]) -> str:
    finding = str(one.get("finding", "unclear"))
    return _FINDINGS.get(finding, words.clean(finding))


def _sentence(rows: Comparisons) -> str:
    candidate = str(rows[0]["candidate"])
    own = [one for one in rows if one["candidate"] == candidate and one.get("kind") != "ood"]
    gains = sum(_finding(one) == "gain" for one in own)
    losses = sum(_finding(one) == "loss" for one in own)
    rest = len(own) - gains - losses
    return (
        f"The published head ({words.candidate(candidate)}) gains clearly in {gains}, loses "
        f"clearly in {losses} and shows no clear difference in {rest} of its {len(own)} "
        "comparisons (in domain, and on the mean domain)."
    )


def _label(rows: Comparisons) -> str:
    told = [
        f"{words.candidate(str(one['candidate']))} against "
        f"{words.candidate(str(one['baseline']))} on {_split(one)}: "
        f"{words.points(one['accuracy_difference'])}, {_finding(one)}"
        for one in rows[:12]
    ]
    return "Forest plot of accuracy differences in points. " + "; ".join(told) + "."
