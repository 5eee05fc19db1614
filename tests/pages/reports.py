"""What the tests of pages share: a real report, and how to look at a page."""

import copy
import gzip
import json
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</title></style></script><b>",
    "\N{RIGHT-TO-LEFT OVERRIDE}shalom \N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET}",
    "n" * 64,
    "\N{SMILING FACE WITH SUNGLASSES} {{ 7 * 7 }}",
    "=HYPERLINK(1)",
    "a\x00b\x1bc",
)
_VOID = {"meta", "link", "input", "br", "img"}
_IMPLIED = {"td", "th", "tr", "tbody", "thead", "li", "dt", "dd", "option"}


@cache
def _real() -> bytes:
    return gzip.decompress((Path(__file__).parent / "report.json.gz").read_bytes())


def real_report() -> dict[str, Any]:
    """The report of a real job: examples/data/intents.npz with both analyses, 24 classes."""
    found: dict[str, Any] = json.loads(_real())
    return found


def renamed(report: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The report with other class names, wherever they stand."""

    def change(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: change(one) for key, one in value.items()}
        if isinstance(value, list):
            return [change(one) for one in value]
        return names.get(value, value) if isinstance(value, str) else value

    changed: dict[str, Any] = change(copy.deepcopy(report))
    return changed


class Page(HTMLParser):
    """A page taken apart: its elements, its text, its ids."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID and tag not in _IMPLIED:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All text that is shown."""
        return " ".join(" ".join(self.texts).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of this name."""
        return [attributes for name, attributes in self.tags if name == tag]
