"""SVE and LSVR beside accuracy: may this job's spectra be read as a forecast?"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Absent, Report, candidates, found
from pages.svg import Linear

_MEASURES = (("entropy", "SVE"), ("largest_ratio", "LSVR"))
_TOP, _BOTTOM = 34, 230


def draw(report: Report, _candidate: str) -> Figure:
    """A dot for each candidate, numbered; one plot of SVE and one of LSVR for each split."""
    told = found(report, "spectra", otherwise="The report has no spectra.").get("correlation")
    told = told if isinstance(told, Mapping) else {}
    names = candidates(report)
    splits = list(
        {split: 0 for name in names for split in _places(report, name) if split != "train"}
    )
    panels = []
    for split in words.in_order(splits):
        rows = [
            (number, name, _places(report, name)[split])
            for number, name in enumerate(names, 1)
            if split in _places(report, name)
        ]
        if len(rows) > 1:
            panels.append(_panel(split, rows, (told.get("splits") or {}).get(split) or {}))
    if not panels:
        raise Absent("It takes the spectra of several candidates, which this report does not have.")
    return Figure(
        sentence=words.clean(told.get("sentence") or ""),
        panels=panels,
        caption="Spearman's rho ranks the candidates by spectrum and by accuracy: 1 where both "
        "orders agree, −1 where they are reversed, and with so few candidates easily far from 0 "
        "by chance.",
    )


def _places(report: Report, name: str) -> dict[str, tuple[float, float, float]]:
    """By split SVE, LSVR and accuracy of one candidate."""
    one = (report.get("candidates") or {}).get(name) or {}
    places = {}
    for split, spectrum in (one.get("spectra") or {}).items():
        values: tuple[Any, Any, Any] = (
            spectrum.get("entropy"),
            spectrum.get("largest_ratio"),
            ((one.get("metrics") or {}).get(split) or {}).get("accuracy"),
        )
        if all(map(words.is_number, values)):
            places[split] = values
    return places


def _panel(
    split: str, rows: list[tuple[int, str, tuple[float, float, float]]], told: Mapping[str, Any]
) -> Panel:
    rhos = [_rho(told.get(key), title) for key, title in _MEASURES]
    key = "; ".join(f"{number} {words.candidate(name)}" for number, name, _ in rows)
    table = Table(
        [
            Column("mark", "count"),
            Column("candidate"),
            Column("SVE", "number"),
            Column("LSVR", "number"),
            Column("accuracy", "percent"),
        ],
        [[number, words.candidate(name), *values] for number, name, values in rows],
    )
    return Panel(
        title=words.split(split),
        key=split,
        sentence=f"{key}.",
        draw=partial(_plots, split, rows, rhos),
        table=table,
    )


def _plots(
    split: str, rows: list[tuple[int, str, tuple[float, float, float]]], rhos: list[str]
) -> Markup:
    y = Linear.over([values[2] for _, _, values in rows], _BOTTOM, _TOP, n_ticks=4)
    plots = [
        _plot(rows, at, title, y, left=56 + 338 * at, rho=rhos[at])
        for at, (_, title) in enumerate(_MEASURES)
    ]
    label = f"Accuracy against SVE and LSVR on {words.split(split)}. {'; '.join(rhos)}."
    return svg.drawing(_BOTTOM + 40, label, *plots)


def _plot(
    rows: list[tuple[int, str, tuple[float, float, float]]],
    at: int,
    title: str,
    y: Linear,
    *,
    left: float,
    rho: str,
) -> Markup:
    right = left + 276
    x = Linear.over([values[at] for _, _, values in rows], left, right, n_ticks=4)
    parts = [
        svg.y_axis(y, left, right, "", svg.share),
        svg.text(left, 14, f"accuracy, {rho}", class_="axis"),
        svg.x_axis(x, _BOTTOM, title, svg.plain, top=_TOP),
    ]
    dots, numbers = [], []
    for number, name, values in reversed(rows):  # the published one on top
        place = x(values[at]), y(values[2])
        tip = f"{words.candidate(name)}: {words.number(values[at])}, {words.percent(values[2])}"
        style = "s2" if number == 1 else None
        dots.append(svg.dot(*place, 9, tip=tip, class_=style))
        numbers.append(svg.text(place[0], place[1] + 4, str(number)))
    parts += [
        svg.group(*dots, class_="fill s1 edge"),
        svg.group(*numbers, text_anchor="middle", class_="on-mark"),
    ]
    return svg.group(*parts)


def _rho(told: Any, title: str) -> str:
    if not isinstance(told, Mapping) or not words.is_number(told.get("rho")):
        return f"{title}: rho not known"
    sign = f"{told['rho']:+.2f}".replace("-", words.MINUS)
    p: Any = told.get("p_value")
    likely = f", p = {words.p_value(p)}" if words.is_number(p) else ""
    return f"{title}: rho {sign}{likely}"
