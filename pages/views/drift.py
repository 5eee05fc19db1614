"""Drift: does traffic still look like the rows that a head was trained on?"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from markupsafe import Markup

from pages import svg, words
from pages.figure import Column, Figure, Panel, Table
from pages.svg import Linear
from pages.views.shell import Place, page

_STATES: Final = {
    "none": ("no drift", "good"),
    "some": ("some drift", "plain"),
    "much": ("much drift", "bad"),
    "not_enough_rows": ("too few rows", "plain"),
}
_SOME, _MUCH = 0.1, 0.25
_HOURS: Final = (("24", "a day"), ("72", "3 days"), ("168", "a week"), ("720", "30 days"))
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 664, 40, 190
_SERIES: Final = (
    ("norm_psi", "norms", "s1", 0),
    ("class_psi", "predicted classes", "s2", 1),
    ("mean_shift", "mean shift", "s3", 2),
)

Windows = Sequence[Mapping[str, Any]]


def drift_page(drift: Mapping[str, Any], place: Place, *, asked: str = "") -> str:
    """The page of a head's drift, as `GET /heads/{name}/drift?by=hour` answers.

    asked: the version or alias that was asked for; empty: the latest.
    """
    state = str(drift["state"])
    name, kind = _STATES.get(state, (words.clean(state), "plain"))
    windows = drift.get("windows") or []
    hours = str(drift["hours"])
    return page(
        "drift.html.jinja",
        place,
        section="heads",
        name=words.clean(drift["name"]),
        version=drift["version"],
        state=name,
        state_kind=kind,
        sentence=words.clean(drift["sentence"]),
        tiles=_tiles(drift),
        hours=[*_HOURS, *(() if hours in dict(_HOURS) else ((hours, f"{hours} hours"),))],
        chosen_hours=hours,
        asked=words.clean(asked),
        is_recording=drift["is_recording"],
        figures=[("Rows by hour", rows_by_hour(windows)), ("Drift by hour", psi_by_hour(windows))]
        if windows
        else [],
        columns=_columns(drift.get("columns") or []),
    )


def rows_by_hour(windows: Windows) -> Figure:
    """A bar an hour: how many rows were predicted."""
    most = max(windows, key=lambda one: one["n_rows"])
    return Figure(
        sentence=f"{words.count(sum(one['n_rows'] for one in windows))} rows in "
        f"{words.count(len(windows))} {_hours_in_words(windows)} with rows; most, "
        f"{words.count(most['n_rows'])}, from {words.time(most['started_at'])}.",
        panels=[Panel(draw=partial(_bars, windows), table=_table(windows))],
    )


def _bars(windows: Windows) -> Markup:
    x, width = _hours(windows)
    y = Linear.over([0.0, *(float(one["n_rows"]) for one in windows)], _BOTTOM, _TOP, n_ticks=4)
    bars = [
        svg.rect(
            x(_hour(one)) - width / 2,
            y(one["n_rows"]),
            width,
            _BOTTOM - y(one["n_rows"]),
            tip=f"{words.time(one['started_at'])}: {words.count(one['n_rows'])} rows",
        )
        for one in windows
    ]
    return svg.drawing(
        _BOTTOM + 36,
        "Rows predicted by hour",
        svg.y_axis(y, _LEFT, _RIGHT, "rows", svg.plain),
        svg.group(*bars, class_="fill s1"),
        _time_axis(windows, x),
    )


def _hours_in_words(windows: Windows) -> str:
    return "hour" if len(windows) == 1 else "hours"


def psi_by_hour(windows: Windows) -> Figure:
    """The three measures of each hour that has enough rows, with the bounds of their words."""
    known = [one for one in windows if words.is_number(one.get("norm_psi"))]
    if not known:
        return Figure(
            sentence="No hour has enough rows to be compared on its own; all together are above."
        )
    worst = max(known, key=lambda one: max(one["norm_psi"], one["class_psi"] or 0))
    return Figure(
        sentence=f"Farthest from {words.time(worst['started_at'])}: "
        f"norms {words.number(worst['norm_psi'])}, predicted classes "
        f"{words.written(worst['class_psi'], 'number')}.",
        panels=[Panel(draw=partial(_lines, windows, known))],
        caption="Norms and predicted classes: population stability index (PSI) against the "
        "training rows; mean shift: in their standard deviations. 0.1 counts as some drift, 0.25 "
        "as much. An hour with few rows is not compared.",
    )


def _lines(windows: Windows, known: Windows) -> Markup:
    x, _ = _hours(windows)
    values = [one[key] for one in known for key, *_ in _SERIES if words.is_number(one.get(key))]
    y = Linear.over([0.0, _MUCH, *values], _BOTTOM, _TOP, n_ticks=4)
    bounds = [
        svg.group(
            svg.line(_LEFT, y(at), _RIGHT, y(at), class_="zero"),
            svg.text(_RIGHT - 4, y(at) - 4, told, text_anchor="end"),
        )
        for at, told in ((_SOME, "some"), (_MUCH, "much"))
    ]
    return svg.drawing(
        _BOTTOM + 36,
        "Drift by hour: norms, predicted classes, mean shift",
        svg.legend([(told, style, shape) for _, told, style, shape in _SERIES], y=14, x=_LEFT),
        svg.y_axis(y, _LEFT, _RIGHT, "", svg.plain),
        *bounds,
        *(_series(known, x, y, *one) for one in _SERIES),
        _time_axis(windows, x),
    )


def _series(
    known: Windows, x: Linear, y: Linear, key: str, told: str, style: str, shape: int
) -> Markup:
    points = [(x(_hour(one)), y(one[key]), one) for one in known if words.is_number(one.get(key))]
    marks = [
        svg.mark(
            shape,
            px,
            py,
            3.4,
            tip=f"{words.time(one['started_at'])}: {told} {words.number(one[key])}",
            class_="fill",
        )
        for px, py, one in points
    ]
    way = svg.path([(px, py) for px, py, _ in points], class_="line") if len(points) > 1 else ""
    return svg.group(Markup(way), *marks, class_=style)  # noqa: S704  of svg, or empty


def _hour(one: Mapping[str, Any]) -> float:
    """When the hour began, in hours."""
    return datetime.fromisoformat(str(one["started_at"])).timestamp() / 3600


def _hours(windows: Windows) -> tuple[Linear, float]:
    """The axis of the hours, and how wide a bar is."""
    first, last = _hour(windows[0]), _hour(windows[-1])
    width = (_RIGHT - _LEFT - 8) / (last - first + 1)
    edge = min(width, 60) / 2 + 4
    return Linear(first, max(last, first + 1), _LEFT + edge, _RIGHT - edge), min(width * 0.8, 48)


def _time_axis(windows: Windows, x: Linear) -> Markup:
    """The first and the last hour, and up to three between."""
    first, last = _hour(windows[0]), _hour(windows[-1])
    step = max(1, -(-int(last - first) // 4))
    places = [first + step * at for at in range(int((last - first) // step) + 1)]
    marks = [svg.text(x(at), _BOTTOM + 16, _named(at)) for at in places]
    return svg.group(
        svg.line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, class_="grid"), *marks, text_anchor="middle"
    )


def _named(hour: float) -> str:
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%m-%d %H:%M}"


def _table(windows: Windows) -> Table:
    return Table(
        [
            Column("hour (UTC)"),
            Column("rows", "count"),
            Column("state"),
            Column("norm PSI", "number"),
            Column("class PSI", "number"),
            Column("mean shift", "number"),
            Column("spread", "number"),
        ],
        [
            [
                words.time(one["started_at"]),
                one["n_rows"],
                _STATES.get(str(one["state"]), (words.clean(one["state"]),))[0],
                one.get("norm_psi"),
                one.get("class_psi"),
                one.get("mean_shift"),
                one.get("spread_ratio"),
            ]
            for one in windows
        ],
    )


def _columns(columns: Sequence[Mapping[str, Any]]) -> Table | None:
    if not columns:
        return None
    return Table(
        [Column("column"), Column("shift, in deviations", "number"), Column("z", "number")],
        [[str(one["column"]), one["shift"], one["z"]] for one in columns],
    )


def _tiles(drift: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    def told(key: str) -> str:
        return words.written(drift.get(key), "number")

    return [
        ("Rows", words.written(drift["n_rows"], "count"), "predicted in these hours"),
        ("Norms", told("norm_psi"), "PSI"),
        ("Predicted classes", told("class_psi"), "PSI"),
        ("Means", told("mean_shift"), "deviations moved"),
        ("Spread", told("spread_ratio"), "1 is unchanged"),
    ]
