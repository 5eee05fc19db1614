"""A figure: a sentence, what is drawn, and the table of its numbers."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from markupsafe import Markup

from pages import words
from pages.reading import Report
from pages.words import Kind, Value


@dataclass(frozen=True)
class Best:
    """A cell that stands out."""

    value: Value


@dataclass(frozen=True)
class Linked:
    """A cell that leads to the rows behind it; without an address it is a plain one."""

    value: Value
    href: str | None


Cell: TypeAlias = Value | Best | Linked


@dataclass(frozen=True)
class Column:
    """A column's heading and how its values are written."""

    title: str
    kind: Kind = "text"
    is_name: bool = False
    """Whether its values are the user's words, in whatever script."""


@dataclass(frozen=True)
class Table:
    """The numbers of a figure, as they are; pages write them shorter, CSV in full."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    n_shown: int = 1000
    """Rows on a page; a file has all of them."""

    def shown(self) -> list[list[tuple[str, Column, bool, str | None]]]:
        """Each cell's text, its column, whether it stands out, and where it leads."""
        return [
            [
                (
                    words.written(_value(cell), column.kind),
                    column,
                    isinstance(cell, Best),
                    cell.href if isinstance(cell, Linked) else None,
                )
                for cell, column in zip(row, self.columns, strict=True)
            ]
            for row in self.rows[: self.n_shown]
        ]

    @property
    def n_left_out(self) -> int:
        """Rows that only the file has."""
        return max(0, len(self.rows) - self.n_shown)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One view of a figure, such as one split: what is drawn and its numbers."""

    title: str = ""
    key: str = ""
    """The split's own name, which links use."""
    sentence: str = ""
    draw: Callable[[], Markup] | None = None
    """Draws what a page shows; None: the table itself is the figure."""
    draw_svg: Callable[[], Markup] | None = None
    """Draws what can be taken away as a file, where that is another than `drawn`."""
    table: Table | None = None
    is_aside: bool = False
    """Whether the table waits behind its title until it is asked for."""
    read: Callable[[], Mapping[str, Any]] | None = None
    """Gives the places along the x axis and what to say there, for a crosshair."""

    @cached_property
    def drawn(self) -> Markup | None:
        """What a page shows. Drawn when it is asked for: a page shows one split of many."""
        return None if self.draw is None else self.draw()

    @cached_property
    def readout(self) -> Mapping[str, Any] | None:
        """What a crosshair says."""
        return None if self.read is None else self.read()

    @property
    def picture(self) -> Markup | None:
        """The SVG to take away."""
        return self.draw_svg() if self.draw_svg is not None else self.drawn

    @property
    def has_picture(self) -> bool:
        """Whether there is one."""
        return self.draw_svg is not None or self.draw is not None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What one question's answer looks like; `sentence` says it first."""

    sentence: str = ""
    panels: Sequence[Panel] = field(default_factory=tuple)
    caption: str = ""
    """How to read it, and what it cannot say."""


Draw: TypeAlias = Callable[[Report, str], Figure]
"""The figure of a report and the candidate looked at; raises `Absent` where there is none."""


def csv_of(figure: Figure) -> str:
    """All numbers of a figure as CSV, in full; with several panels the first column names each."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    tables = [(one.key or one.title, one.table) for one in figure.panels if one.table is not None]
    is_split = len(tables) > 1 or any(panel.key for panel in figure.panels)
    header: list[str] | None = None
    for name, table in tables:
        titles = [column.title for column in table.columns]
        if titles != header:
            writer.writerow([*(["panel"] if is_split else []), *titles])
            header = titles
        for row in table.rows:
            cells = [_file_cell(_value(cell)) for cell in row]
            writer.writerow([*([_file_cell(name)] if is_split else []), *cells])
    return file.getvalue()


def _value(cell: Cell) -> Value:
    return cell.value if isinstance(cell, Best | Linked) else cell


def _file_cell(value: Value) -> Value:
    """A spreadsheet takes text that begins so for a formula; a quote before it makes it text."""
    if isinstance(value, str) and value.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return "" if value is None else value
