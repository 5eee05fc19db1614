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


def compared(name: str, **changes: Any) -> dict[str, Any]:
    """An encoder that a job compared."""
    metrics = {
        split: {"n_rows": 100, "accuracy": 0.9, "log_loss": 0.3, "ece": 0.02}
        for split in ("train", "test", "ood/hwu")
    }
    return {
        "name": name,
        "status": "ranked",
        "n_columns": 384,
        "held_out": {"log_loss": 0.31, "difference": 0.0, "interval": None, "ties": True},
        "metrics": metrics,
        "tokens_per_1000_texts": 10_250.0,
        "cost_per_1000_texts": 0.000205,
        "latency": {"n_texts": 20, "median_seconds": 0.0121, "p95_seconds": 0.0304},
        "share_truncated": 0.015,
    } | changes


def with_encoders(*encoders: dict[str, Any]) -> dict[str, Any]:
    """The real report as that of a job that compared these encoders, the first of them chosen."""
    pair = {
        "split": "test",
        "kind": "id",
        "candidate": encoders[-1]["name"],
        "baseline": encoders[0]["name"],
        "accuracy_difference": -0.01,
        "interval": [-0.02, 0.0],
        "finding": "unclear",
    }
    part = {
        "chosen": encoders[0]["name"],
        "reason": "It ties and is cheaper.",
        "sample": 1000,
        "compared": list(encoders),
        "comparison": [pair],
    }
    return real_report() | {"encoders": part}


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
