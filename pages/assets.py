"""The style sheet and scripts of the pages, each under the hash of its bytes."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

STYLES: Final = ("page.css", "chart.css", "acts.css", "rows.css")
SCRIPTS: Final = ("table.js", "copy.js", "send.js", "keys.js")
"""What every page loads; a page names its further scripts."""
FILE_STYLES: Final = ("page.css", "chart.css")
FILE_SCRIPTS: Final = ("switch.js", "readout.js", "table.js", "copy.js", "take.js")
"""What the one-file report carries."""

_MEDIA_TYPES: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_EXPLAINED: Final = re.compile(r"/\*\*.*?\*/", re.DOTALL)
_VARIABLE: Final = re.compile(r"var\((--[a-z0-9-]+)\)")
_LIGHT: Final = re.compile(r"(--[a-z0-9-]+):\s*light-dark\(([^,()]+),[^()]+\)")


@dataclass(frozen=True)
class Asset:
    """A file that pages load."""

    content: bytes
    media_type: str


@cache
def _assets() -> dict[str, Asset]:
    folder = files("pages") / "static"
    return {
        file.name: Asset(
            _served(file.name, file.read_text()), _MEDIA_TYPES[file.name.rpartition(".")[2]]
        )
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
    }


def _served(name: str, text: str) -> bytes:
    """The file without indents and blank lines; a script without what explains it, too."""
    told = _EXPLAINED.sub("", text) if name.endswith(".js") else text
    return "\n".join(filter(None, map(str.strip, told.splitlines()))).encode()


def asset(name: str) -> Asset:
    """One of the files in `static/`; KeyError for any other."""
    return _assets()[name]


@cache
def digest() -> str:
    """Of all files together: part of their addresses, so that browsers may keep them for ever.

    One for all, so that a script finds those that it imports right beside it.
    """
    together = hashlib.sha256()
    for name, one in _assets().items():
        together.update(f"{name}\0{len(one.content)}\0".encode() + one.content)
    return together.hexdigest()[:16]


@cache
def inlined(names: Sequence[str]) -> str:
    """Several files as one text for a page that carries them; each script in a block of its own."""
    texts = []
    for name in names:
        text = asset(name).content.decode()
        texts.append(f"{{\n{text}\n}}" if name.endswith(".js") else text)
    return "\n".join(texts)


@cache
def chart_style() -> str:
    """The style of a drawing that stands alone: plain light colours, which every program knows."""
    light = dict(_LIGHT.findall(asset("page.css").content.decode()))
    light["--font"] = "system-ui, sans-serif"
    return _VARIABLE.sub(lambda found: light[found[1]].strip(), asset("chart.css").content.decode())


def csp_hash(text: str) -> str:
    """The source expression that lets a content policy allow this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
