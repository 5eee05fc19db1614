"""Write the reference pages that are made from the code.

    python -m docs.generate [--check]

`--check` writes nothing and fails if a page is not what the code says, as tests/test_docs_site.py
does.
"""

import sys
from collections.abc import Callable
from typing import Final

from docs.generate.code import ROOT
from docs.generate.codes import codes_page
from docs.generate.commands import commands_page
from docs.generate.routes import routes_page
from docs.generate.settings import settings_page

FOLDER: Final = ROOT / "docs/reference"
PAGES: Final[dict[str, Callable[[], str]]] = {
    "codes.md": codes_page,
    "commands.md": commands_page,
    "routes.md": routes_page,
    "settings.md": settings_page,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them."""
    stale = []
    for name, make in PAGES.items():
        path, text = FOLDER / name, make()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text)
    if stale and "--check" in arguments:
        print(f"Run `make docs-reference`: {', '.join(stale)} in docs/reference is not the code's.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
