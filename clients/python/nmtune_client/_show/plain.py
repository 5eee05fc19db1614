"""Plain text for people: aligned columns, sizes and durations."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime

WIDTH = 100


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), gap: int = 2) -> str:
    """`rows` as aligned lines; the columns numbered in `right` are flushed right."""
    if not rows:
        return ""
    widths = [max(width_of(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - width_of(cell))
            cells.append(space + cell if index in right else cell + space)
        lines.append((" " * gap).join(cells).rstrip())
    return "\n".join(lines)


def width_of(text: str) -> int:
    """How wide a terminal writes `text`: a character such as 東 is two wide, an accent none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in "WF")
        for one in text
    )


def shorten(text: str, width: int) -> str:
    """`text`, its end replaced by dots if it is wider than `width`."""
    if width_of(text) <= width:
        return text
    while width_of(text) > width - 3:
        text = text[:-1]
    return text + "..."


def cut_to_words(text: str, width: int) -> str:
    """`text`, the words at its end replaced by dots if it is wider than `width`: no number is cut.

    What is one long word is cut all the same.
    """
    if width_of(text) <= width:
        return text
    whole = text
    while whole and width_of(whole) > width - 3:
        whole = whole.rpartition(" ")[0].rstrip()
    return f"{whole}..." if whole else shorten(text, width)


def fitted(parts: Mapping[str, str], width: int | None, *, least: Sequence[str]) -> str:
    """`parts` in one line; too wide for it, those named in `least` are left out one by one."""
    kept = dict(parts)
    for name in least:
        if width is None or width_of("  ".join(kept.values())) <= width:
            break
        kept.pop(name, None)
    return "  ".join(kept.values())


def duration(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours}:{minutes:02d}:{whole % 60:02d}"
    return f"{minutes}:{whole % 60:02d}"


def seconds_of(text: str) -> int:
    """The seconds that `90s`, `30m`, `12h`, `7d` or `2w` are; ValueError for anything else."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not (number.isascii() and number.isdigit()) or not int(number[:12]):
        raise ValueError(
            f"{text!r} is not a length of time: write a number and s, m, h, d or w, such as 7d"
        )
    return int(number[:12]) * units[unit]


def size(n_bytes: int | None) -> str:
    """`812 B`, `6.7 MiB`; empty if unknown."""
    if n_bytes is None:
        return ""
    amount, unit = float(n_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def moment(value: datetime | None) -> str:
    """A time in the reader's own zone, to the second; empty if there is none."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value else ""
