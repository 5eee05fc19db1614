"""Describe the machine in a line, and keep measured tables in a page."""

import datetime
import platform
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

import nmtune

WIDTH = 140
"""Of a line of prose."""


def machine() -> str:
    """Date, processor, threads and versions, in one line."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    today = datetime.datetime.now(datetime.UTC).date()
    return (
        f"{today}, {cpu} ({torch.backends.cpu.get_cpu_capability()}), "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, nmtune {nmtune.__version__}"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows]]


def write(page: Path, name: str, text: str) -> None:
    """Put text between the marks `<!-- name:start -->` and `<!-- name:stop -->` of the page."""
    start, stop = f"<!-- {name}:start -->", f"<!-- {name}:stop -->"
    whole = page.read_text()
    before, found_start, rest = whole.partition(start)
    _, found_stop, after = rest.partition(stop)
    if not found_start or not found_stop:
        raise SystemExit(f"{page} lacks the marks {start} and {stop}")
    lines = "\n".join(_wrapped(line) for line in text.split("\n"))
    page.write_text(f"{before}{start}\n{lines}\n{stop}{after}")


def _wrapped(line: str) -> str:
    """A line of prose within the width of a page; tables stay as they are."""
    if line.startswith("|") or len(line) <= WIDTH:
        return line
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
