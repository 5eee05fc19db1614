"""The spectrum before and after tuning: does one direction dominate, how many are in use?"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Absent, Report, found
from pages.svg import Log

Shares: TypeAlias = Sequence[tuple[str, Sequence[float]]]
"""The spectra to compare: a name, and each rank's share of the sum."""

_POINTS = 64
_TOP, _BOTTOM, _LEFT, _RIGHT = 44, 262, 56, 664
_MEASURES = (("entropy", "SVE"), ("largest_ratio", "LSVR"), ("effective_rank", "effective rank"))


def draw(report: Report, _candidate: str) -> Figure:
    """A log-log plot for each split, raw and tuned embeddings together."""
    spectra = found(report, "spectra", otherwise="The report has no spectra.")
    raw, tuned = spectra.get("raw") or {}, spectra.get("tuned") or {}
    splits = [split for split in words.in_order(list(raw)) if split in tuned]
    if not splits:
        raise Absent("The report has no spectra of the tuned embeddings.")
    centering = spectra.get("centering", "none")
    centred = "not centred" if centering == "none" else f"centred: {words.clean(centering)}"
    return Figure(
        sentence=_sentence(splits[0], raw[splits[0]], tuned[splits[0]]),
        panels=[_panel(split, raw[split], tuned[split]) for split in splits],
        caption=f"Singular values, each as a share of their sum, by rank ({centred}). SVE is their "
        "entropy: a flatter spectrum has more. LSVR is minus the log of the first share: more "
        "means a weaker dominant direction. Effective rank is exp(SVE). They describe the space "
        "and are no forecast of accuracy: our noise study, on small encoders, could not show one.",
    )


def _panel(split: str, raw: Mapping[str, Any], tuned: Mapping[str, Any]) -> Panel:
    series = [("raw", raw), ("tuned", tuned)]
    shares = [(name, _shares(one)) for name, one in series]
    table = Table(
        [Column("embeddings"), *(Column(title, "number") for _, title in _MEASURES), *_columns()],
        [
            [name, *(one.get(key) for key, _ in _MEASURES), *_some(_shares(one))]
            for name, one in series
        ],
    )
    if not all(values for _, values in shares):
        return Panel(
            title=words.split(split),
            key=split,
            sentence="The singular values themselves are not in this report.",
            table=table,
        )
    return Panel(
        title=words.split(split),
        key=split,
        draw=partial(_plot, split, shares),
        table=table,
        read=partial(_readout, shares),
    )


def _columns() -> list[Column]:
    return [Column(f"share of rank {rank}", "percent") for rank in _RANKS]


_RANKS = (1, 2, 5, 10, 50, 100)


def _some(shares: Sequence[float]) -> list[float | None]:
    return [shares[rank - 1] if rank <= len(shares) else None for rank in _RANKS]


def _shares(one: Mapping[str, Any]) -> list[float]:
    values = [float(value) for value in one.get("singular_values") or ()]
    total = sum(values)
    return [value / total for value in values] if total > 0 else []


def _ranks(n: int) -> list[int]:
    """Ranks evenly on a logarithmic axis, from 1 to n."""
    if n <= _POINTS:
        return list(range(1, n + 1))
    return sorted({round(math.exp(math.log(n) * at / (_POINTS - 1))) for at in range(_POINTS)})


def _x(longest: int) -> Log:
    return Log(1, max(longest, 2), _LEFT, _RIGHT)


def _readout(shares: Shares) -> dict[str, Any]:
    longest = max(len(values) for _, values in shares)
    x, ranks = _x(longest), _ranks(longest)
    return {
        "x": [round(x(rank)) for rank in ranks],
        "label": "rank",
        "at": ranks,
        "series": [
            {
                "name": name,
                "v": [float(f"{100 * values[at - 1]:.3g}") for at in _own(ranks, values)],
                "unit": "%",
            }
            for name, values in shares
        ],
    }


def _own(ranks: Sequence[int], values: Sequence[float]) -> list[int]:
    """The ranks at which a series has something to show."""
    return [rank for rank in ranks if rank <= len(values) and values[rank - 1] > 0]


def _plot(split: str, shares: Shares) -> Markup:
    longest = max(len(values) for _, values in shares)
    x = _x(longest)
    positive = [value for _, values in shares for value in values if value > 0]
    # The numerically zero tail would take most of the axis.
    least = max(positive) * 1e-6
    y = Log.over([value for value in positive if value >= least], _BOTTOM, _TOP)
    parts = [
        svg.y_axis(y, _LEFT, _RIGHT, "share of the sum", svg.share),
        svg.x_axis(x, _BOTTOM, "rank of the singular value", svg.plain, top=_TOP),
        svg.legend(
            [("raw embeddings", "s1", -1), ("tuned embeddings", "s2 dashed", -1)], y=14, x=_LEFT
        ),
    ]
    ranks = _ranks(longest)
    for number, (_, values) in enumerate(shares, 1):
        style = f"line s{number}" + (" dashed" if number == 2 else "")
        parts.append(
            svg.path([(x(at), y(values[at - 1])) for at in _own(ranks, values)], class_=style)
        )
    label = f"Spectrum on {words.split(split)}, log-log. " + " ".join(
        f"{name}: the first singular value is {words.percent(values[0])} of the sum, the tenth "
        f"{words.percent(values[min(9, len(values) - 1)])}."
        for name, values in shares
    )
    return svg.drawing(_BOTTOM + 40, label, *parts)


def _sentence(split: str, raw: Mapping[str, Any], tuned: Mapping[str, Any]) -> str:
    before, after = raw.get("effective_rank"), tuned.get("effective_rank")
    first, then = raw.get("largest_ratio"), tuned.get("largest_ratio")
    if not all(words.is_number(value) for value in (before, after, first, then)):
        return ""
    more = "more" if after > before else "fewer"  # type: ignore[operator]
    weaker = "weaker" if then > first else "stronger"  # type: ignore[operator]
    return (
        f"On {words.split(split)} the tuned embeddings use {more} directions (effective rank "
        f"{words.number(before)} → {words.number(after)}), "  # type: ignore[arg-type]
        f"and the dominant one is {weaker} (LSVR {words.number(first)} → "  # type: ignore[arg-type]
        f"{words.number(then)})."  # type: ignore[arg-type]
    )
