"""The effective rank of each class before and after tuning, as a dumbbell."""

from functools import partial

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Report, found
from pages.svg import Linear

_MOST = 40
_ROW = 19
_LEFT, _RIGHT = 190, 600


def draw(report: Report, _candidate: str) -> Figure:
    """Classes by how much their effective rank changed."""
    spectra = found(
        report,
        "findings",
        "class_spectra",
        otherwise="The report has no spectra of single classes.",
    )
    raw = {one["name"]: one for one in spectra["raw"]["per_class"]}
    tuned = {one["name"]: one for one in spectra["tuned"]["per_class"]}
    rows = [
        (str(name), one, tuned[name])
        for name, one in raw.items()
        if name in tuned and words.is_number(one.get("effective_rank"))
    ]
    rows.sort(key=lambda row: row[2]["effective_rank"] - row[1]["effective_rank"])
    grown = sum(after["effective_rank"] > before["effective_rank"] for _, before, after in rows)
    split = words.split(str(spectra.get("split", "test")))
    left_out = (spectra["raw"].get("n_left_out") or 0) + (spectra["raw"].get("n_too_small") or 0)
    shown = rows if len(rows) <= _MOST else [*rows[: _MOST // 2], *rows[-_MOST // 2 :]]
    return Figure(
        sentence=_sentence(split, grown, len(rows)),
        panels=[
            Panel(
                sentence="" if len(shown) == len(rows) else f"The {_MOST} that changed most.",
                draw=partial(
                    _plot,
                    [(name, b["effective_rank"], a["effective_rank"]) for name, b, a in shown],
                ),
                table=Table(
                    [
                        Column("class", is_name=True),
                        Column("rows", "count"),
                        *(
                            Column(f"{measure}, {when}", "number")
                            for measure in ("SVE", "LSVR", "effective rank")
                            for when in ("raw", "tuned")
                        ),
                    ],
                    [
                        [
                            name,
                            before.get("n_rows"),
                            *(
                                one.get(measure)
                                for measure in ("entropy", "largest_ratio", "effective_rank")
                                for one in (before, after)
                            ),
                        ]
                        for name, before, after in rows
                    ],
                ),
            )
        ],
        caption="A class with few rows cannot have a higher effective rank than rows: compare the "
        "two ends of a line, not the classes."
        + (f" Left out: {left_out:,} classes, too many or with too few rows." if left_out else ""),
    )


def _sentence(split: str, grown: int, n_classes: int) -> str:
    how = {0: "every class uses fewer directions", n_classes: "every class uses more directions"}
    told = how.get(
        grown, f"{grown:,} of {n_classes:,} classes use more directions, the others fewer,"
    )
    return f"On {split} {told} after tuning."


def _plot(rows: list[tuple[str, float, float]]) -> Markup:
    height = 30 + _ROW * len(rows) + 44
    ends = [end for _, before, after in rows for end in (before, after)]
    x = Linear.over(ends, _LEFT, _RIGHT)
    bottom = height - 40
    parts = [
        svg.legend([("raw", "s1", 0), ("tuned", "s2", 3)], y=12, x=_LEFT),
        svg.x_axis(x, bottom, "effective rank", svg.plain, top=22),
    ]
    names, lines, befores, afters, changes = [], [], [], [], []
    for at, (name, before, after) in enumerate(rows):
        y = 34.0 + _ROW * at
        told = f"{name}: {words.number(before)} → {words.number(after)}"
        names.append(svg.text(_LEFT - 12, y + 4, words.shortened(words.clean(name), 26)))
        lines.append(svg.line(x(before), y, x(after), y))
        befores.append(svg.dot(x(before), y, 4))
        afters.append(svg.mark(3, x(after), y, 4, tip=told))
        change = f"{after - before:+.1f}".replace("-", words.MINUS)
        changes.append(svg.text(_RIGHT + 14, y + 4, change))
    parts += [
        svg.group(*names, text_anchor="end"),
        svg.group(*lines, class_="whisker"),
        svg.group(*befores, class_="fill s1"),
        svg.group(*afters, class_="fill s2"),
        *changes,
    ]
    label = "Effective rank by class, raw to tuned. " + "; ".join(
        f"{name} {words.number(before)} to {words.number(after)}"
        for name, before, after in rows[:8]
    )
    return svg.drawing(height, label, *parts)
