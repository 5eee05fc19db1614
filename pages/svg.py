"""Draw with SVG: scales, ticks, axes and marks. Colours and fonts are the style sheet's."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

from markupsafe import Markup, escape

from pages import words

WIDTH: Final = 680
"""Units of a drawing, about as many pixels as it has on a page."""

_LABEL: Final = 240
"""Characters of a drawing's description; the table beside it has all numbers."""


def element(name: str, *content: Markup | str, **attributes: object) -> Markup:
    """`<name ...>content</name>`, all of it escaped; `class_` is class, stroke_x is stroke-x."""
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is not None:
            # A page has thousands of numbers, and looking for characters to escape takes time.
            written = _short(value) if isinstance(value, float) else escape(value)
            parts.append(f' {_attribute(key)}="{written}"')
    inside = "".join([one if isinstance(one, Markup) else escape(one) for one in content])
    parts.append(f">{inside}</{name}>" if inside else "/>")
    return Markup("".join(parts))  # noqa: S704  each part is escaped above


@cache
def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def joined(parts: Iterable[Markup]) -> Markup:
    """Elements side by side."""
    return Markup("").join(parts)


def group(*content: Markup, **attributes: object) -> Markup:
    """`<g>`."""
    return element("g", *content, **attributes)


def text(x: float, y: float, content: str, **attributes: object) -> Markup:
    """A line of text; what XML cannot hold is replaced."""
    return element("text", words.clean(content), x=float(x), y=float(y), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> Markup:
    """A straight line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)


def path(points: Sequence[tuple[float, float]], **attributes: object) -> Markup:
    """A line through `points`."""
    return element("path", d=_way(points), **attributes)


def area(points: Sequence[tuple[float, float]], **attributes: object) -> Markup:
    """The area within `points`."""
    return element("path", d=f"{_way(points)}z", **attributes)


def linked(content: Markup, href: str | None) -> Markup:
    """The drawing as a link; without an address as it is."""
    return content if href is None else element("a", content, href=href)


def dot(x: float, y: float, r: float, tip: str = "", **attributes: object) -> Markup:
    """A circle; `tip` is shown when a pointer rests on it."""
    return element("circle", _tip(tip), cx=float(x), cy=float(y), r=float(r), **attributes)


def rect(
    x: float, y: float, width: float, height: float, tip: str = "", **attributes: object
) -> Markup:
    """A rectangle; one of a negative width is drawn to the left."""
    return element(
        "rect",
        _tip(tip),
        x=float(min(x, x + width)),
        y=float(y),
        width=float(abs(width)),
        height=float(height),
        **attributes,
    )


def mark(shape: int, x: float, y: float, r: float, tip: str = "", **attributes: object) -> Markup:
    """A circle, square, triangle or diamond, so that no series is told by its colour alone."""
    corners = [
        [],
        [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        [(0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
        [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
    ][shape % 4]
    if not corners:
        return dot(x, y, r, tip, **attributes)
    way = _way([(x + r * dx, y + r * dy) for dx, dy in corners])
    return element("path", _tip(tip), d=f"{way}z", **attributes)


def drawing(
    height: float, label: str, *content: Markup, width: float = WIDTH, has_links: bool = False
) -> Markup:
    """The whole picture; `label` says in a sentence what it shows."""
    return element(
        "svg",
        *content,
        viewBox=f"0 0 {_short(width)} {_short(height)}",
        class_="chart",
        role="group" if has_links else "img",
        aria_label=words.shortened(words.clean(label), _LABEL),
    )


class Scale(Protocol):
    """Places values on an axis from `start` to `end`."""

    @property
    def start(self) -> float:
        """Where the least value lies."""

    @property
    def end(self) -> float:
        """Where the greatest value lies."""

    def __call__(self, value: float) -> float:
        """Where `value` lies, in units of the drawing."""

    def ticks(self) -> list[float]:
        """The values to be named, in order."""


@dataclass(frozen=True)
class Linear:
    """Values from `low` to `high`, evenly, onto `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    n_ticks: int = 5

    @classmethod
    def over(
        cls, values: Iterable[float], start: float, end: float, *, n_ticks: int = 5
    ) -> "Linear":
        """A scale that holds all `values`, its ends at ticks."""
        finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(finite), max(finite)
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
            margin = abs(low) * 0.1 or 1.0
            low, high = low - margin, high + margin
        step = _step((high - low) / n_ticks)
        return cls(
            math.floor(low / step + 1e-9) * step,
            math.ceil(high / step - 1e-9) * step,
            start,
            end,
            n_ticks,
        )

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        step = _step((self.high - self.low) / self.n_ticks)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [at * step for at in range(first, last + 1)]


@dataclass(frozen=True)
class Log:
    """Values from `low` to `high`, both above 0, by their logarithms, onto `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float) -> "Log":
        """A scale that holds all `values` above 0."""
        positive = [value for value in values if value > 0 and math.isfinite(value)] or [1.0, 10.0]
        low, high = min(positive), max(positive)
        return (
            cls(low, high, start, end) if high > low * 1.0001 else cls(low / 2, low * 2, start, end)
        )

    def __call__(self, value: float) -> float:
        held = min(max(value, self.low), self.high)
        share = math.log(held / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Powers of ten; between few of them also 2 and 5 of each."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        steps = (1, 2, 5) if last - first <= 2 else (1,)
        values = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        return [value for value in values if self.low * 0.999 <= value <= self.high * 1.001]


Write = Callable[[float], str]


def x_axis(scale: Scale, y: float, label: str, write: Write, *, top: float | None = None) -> Markup:
    """Ticks and their values below `y`, grid lines up to `top`, the label under them."""
    places = [(scale(value), write(value)) for value in scale.ticks()]
    parts = [text(x, y + 15, told) for x, told in places]
    if top is not None:
        parts.append(group(*(line(x, top, x, y) for x, _ in places), class_="grid"))
    middle = (scale(scale.ticks()[0]) + scale(scale.ticks()[-1])) / 2 if scale.ticks() else 0
    parts.append(text(middle, y + 32, label, class_="axis"))
    return group(*parts, text_anchor="middle")


def y_axis(scale: Scale, left: float, right: float, label: str, write: Write) -> Markup:
    """Ticks left of `left`, grid lines to `right`, the label above."""
    places = [(scale(value), write(value)) for value in scale.ticks()]
    top = min(scale.start, scale.end)
    return group(
        group(*(line(left, y, right, y) for y, _ in places), class_="grid"),
        group(*(text(left - 6, y + 4, told) for y, told in places), text_anchor="end"),
        text(0, top - 12, label, class_="axis") if label else Markup(""),
    )


def legend(entries: Sequence[tuple[str, str, int]], *, y: float, x: float = 0) -> Markup:
    """One entry after the other: its words, its series (s1 ...) and its shape; -1 is a line."""
    parts = []
    for words_of, series, shape in entries:
        if shape < 0:
            parts.append(line(x, y - 4, x + 22, y - 4, class_=f"line {series}"))
        else:
            parts.append(mark(shape, x + 11, y - 4, 4.5, class_=f"fill {series}"))
        parts.append(text(x + 28, y, words_of))
        x += 28 + 7.0 * len(words_of) + 20
    return group(*parts, class_="legend")


def plain(value: float) -> str:
    """A tick's value in as few characters as it takes."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        digits, _, power = f"{value:.5e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(power)}".replace("-", words.MINUS)
    return f"{value:.6g}".replace("-", words.MINUS)


def share(value: float) -> str:
    """A tick's value in per cent."""
    return f"{plain(round(100 * value, 6))}{words.NBSP}%"


def _step(least: float) -> float:
    """The next of 1, 2, 5, 10 ... times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= least * (1 - 1e-9))


def _short(value: float) -> str:
    """A place to a tenth of a unit."""
    if not math.isfinite(value):
        raise ValueError("a mark has no place")
    rounded = f"{value:.1f}".removesuffix(".0")
    return "0" if rounded == "-0" else rounded


def _way(points: Sequence[tuple[float, float]]) -> str:
    """The points as a path's data: the first as it is, each other from the one before."""
    placed = [(round(10 * x), round(10 * y)) for x, y in points]
    steps = [(x - a, y - b) for (a, b), (x, y) in itertools.pairwise(placed)]
    (x, y), *_ = placed
    way = f"M{_short(x / 10)} {_short(y / 10)}"
    if steps:
        numbers = " ".join(_short(part / 10) for step in steps for part in step)
        way += "l" + numbers.replace(" -", "-")
    return way


def _tip(words_of: str) -> Markup:
    return element("title", words.clean(words_of)) if words_of else Markup("")
