"""Pieces of Markdown that all generated pages are made of."""

import inspect
from collections.abc import Iterable
from typing import Final

NOTE: Final = "<!-- Made by docs/generate: change the code, then run `make docs-reference`. -->"


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table with one line a row."""
    titles = list(columns)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(one) + " |" for one in lines)


def prose(text: str) -> str:
    """Paragraphs, one line each."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)


def cell(text: str) -> str:
    """Text in one line, without the signs that end a cell or begin markup."""
    plain = " ".join(text.split())
    for sign in ("|", "*", "<"):
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def page(title: str, *parts: str) -> str:
    """A whole page."""
    return "\n\n".join([f"# {title}", NOTE, *(part for part in parts if part)]) + "\n"
