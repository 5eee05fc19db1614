"""Draw the study: accuracy and spectra over noise, and accuracy over LSVR."""

from collections.abc import Callable, Sequence

from markupsafe import Markup

from benchmarks.study.answer import RAW
from benchmarks.study.summary import Interval, Numbers, Results
from pages import svg
from pages.svg import Linear
from pages.views.report import standalone

_HEIGHT, _TOP, _BOTTOM = 300, 56, 250
_PANELS = ((58, 320), (398, 660))
"""Left and right of the two panels."""


def pictures(results: Results) -> dict[str, str]:
    """SVG files by name; each stands alone."""
    return {
        "accuracy": _over_noise(
            results,
            "accuracy of the linear probe",
            {
                "in domain": results.accuracy(RAW, "id"),
                "out of domain": results.accuracy(RAW, "ood"),
            },
            svg.share,
        ),
        "spectra": _over_noise(
            results,
            "spectra of the features",
            {
                "SVE, ID test": results.spectrum("sve", "id", "none", method=RAW),
                "LSVR, OOD": results.spectrum("lsvr", "ood", "none", method=RAW),
            },
            svg.plain,
        ),
        "forecast": _scatter(results),
    }


def _over_noise(
    results: Results, told: str, panels: dict[str, Numbers], write: Callable[[float], str]
) -> str:
    parts = [_legend(results)]
    for (title, values), (left, right) in zip(panels.items(), _PANELS, strict=True):
        parts += _panel(results, title, values, left, right, write)
    drawn = svg.drawing(_HEIGHT, f"{told} by the level of noise; bars: 95 % over models", *parts)
    return standalone(drawn)


def _panel(
    results: Results,
    title: str,
    values: Numbers,
    left: float,
    right: float,
    write: Callable[[float], str],
) -> list[Markup]:
    found = [Interval.of(one) for one in values]
    ends = [value for one in found for value in (one.mean, one.low, one.high) if value is not None]
    x = Linear.over([level for _, level in results.conditions], left, right)
    y = Linear.over(ends, _BOTTOM, _TOP)
    parts = [
        svg.y_axis(y, left, right, "", write),
        svg.x_axis(x, _BOTTOM, "wrong labels in pre-training", svg.share),
        svg.text(left, _TOP - 12, title, class_="axis"),
    ]
    for number, kind in enumerate(results.kinds):
        at, shift = results.of_kind(kind), 3 * (number - 1)  # so that bars do not hide each other
        places = [x(results.conditions[index][1]) + shift for index in at]
        pairs = list(zip(places, (found[index] for index in at), strict=True))
        series = f"s{number + 1}"
        parts.append(
            svg.path([(place, y(one.mean)) for place, one in pairs], class_=f"line {series}")
        )
        for place, one in pairs:
            if one.low is not None and one.high is not None:
                bar = svg.line(place, y(one.low), place, y(one.high), class_="whisker")
                parts.append(svg.group(bar, class_=series))
            parts.append(svg.mark(number, place, y(one.mean), 3.5, class_=f"fill {series}"))
    return parts


def _scatter(results: Results) -> str:
    """A mark for each model: its shape is the kind of noise, its colour the level."""
    levels = sorted({level for _, level in results.conditions})
    parts = [
        svg.legend(
            [(f"{level:.0%}", f"s{number + 1}", 0) for number, level in enumerate(levels)], y=14
        ),
        svg.legend([(kind, "s0", number + 1) for number, kind in enumerate(results.kinds)], y=32),
    ]
    accuracy = results.accuracy(RAW, "ood")
    measures = {
        "SVE, ID test": results.spectrum("sve", "id", "none", method=RAW),
        "LSVR, OOD": results.spectrum("lsvr", "ood", "none", method=RAW),
    }
    for (title, values), (left, right) in zip(measures.items(), _PANELS, strict=True):
        x = Linear.over(values.ravel().tolist(), left, right, n_ticks=4)
        y = Linear.over(accuracy.ravel().tolist(), _BOTTOM, _TOP)
        parts += [
            svg.y_axis(y, left, right, "", svg.share),
            svg.x_axis(x, _BOTTOM, title, svg.plain),
        ]
        for at, (kind, level) in enumerate(results.conditions):
            shape = results.kinds.index(kind) + 1 if kind in results.kinds else 0
            series = f"s{levels.index(level) + 1}"
            marks = [
                svg.mark(shape, x(a), y(b), 3, class_=f"fill soft {series}")
                for a, b in zip(values[at], accuracy[at], strict=True)
            ]
            parts.append(svg.group(*marks))
    label = "Accuracy of the linear probe out of domain by SVE and by LSVR, a mark for each model"
    return standalone(svg.drawing(_HEIGHT, label, *parts))


def _legend(results: Results) -> Markup:
    kinds: Sequence[str] = results.kinds
    return svg.legend([(kind, f"s{n + 1}", n) for n, kind in enumerate(kinds)], y=14)
