"""Write `nmtune_client/_sync` from `nmtune_client/_async`, or with `--check` say what differs.

    python clients/python/generate_sync.py [--check]

A generated file is the asynchronous one without `async` and `await`, its names without `Async`.
What truly differs between the two is written by hand, in `concurrency.py` of each folder.
"""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "nmtune_client"
SOURCES, TARGETS = PACKAGE / "_async", PACKAGE / "_sync"
BY_HAND = {"__init__.py", "concurrency.py"}

WORDS = (
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAwaitable\[(.+?)\]\]", r"\1]"),
    (r"\bAsyncGenerator\[(.+), None\]", r"Generator[\1, None, None]"),
    (r"\bAbstractAsync", "Abstract"),
    (r"\bAsync([A-Z]\w*)", r"\1"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\baclosing\b", "closing"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\.a(read|close|iter_bytes)\(", r".\1("),
    (r"\b_async\b", "_sync"),
)
PROSE = (
    ("in asyncio; used with `with`", "and is used with `with`"),
    (
        "tasks may share a client; a cancelled one closes only its own connection.",
        "threads may share a client.",
    ),
)
HEADER = (
    "# Written by generate_sync.py out of _async/{name}: edit that file, then run the script.\n"
)


def synchronous(name: str) -> str:
    """The synchronous form of a module of `_async`."""
    text = (SOURCES / name).read_text()
    for pattern, replacement in WORDS:
        text = re.sub(pattern, replacement, text)
    for asynchronous, plain in PROSE:
        text = text.replace(asynchronous, plain)
    return _tidied(HEADER.format(name=name) + text, TARGETS / name)


def _tidied(text: str, path: Path) -> str:
    """The text with its imports in order and its lines as the formatter has them."""
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        ["check", "--quiet", "--fix-only", "--select=I,SIM117,F401,UP028,C416", "--unsafe-fixes"],
        ["format", "--quiet"],
    ):
        arguments = [*ruff, *command, "--stdin-filename", str(path), "-"]
        done = subprocess.run(arguments, input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


def main() -> int:
    """Write the files, or compare them; 1 if one of them differs."""
    names = {path.name for path in SOURCES.glob("*.py")} - BY_HAND
    made = {name: synchronous(name) for name in sorted(names)}
    if "--check" not in sys.argv[1:]:
        for name, text in made.items():
            (TARGETS / name).write_text(text)
        return 0
    present = {path.name for path in TARGETS.glob("*.py")} - BY_HAND
    stale = [
        name for name in made if name not in present or (TARGETS / name).read_text() != made[name]
    ]
    stale += sorted(present - names)
    if stale:
        print(f"_sync differs from what _async makes of it: {', '.join(stale)}; run {__file__}")  # noqa: T201
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
