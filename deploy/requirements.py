"""The home of the image's requirements: what pyproject.toml files ask for, with chosen extras.

Usage: python deploy/requirements.py EXTRA,EXTRA PYPROJECT...

Prints one requirement a line. An extra that no file has is named on stderr and left out. The image
installs this list in a layer of its own, so that a change of our code does not download it again.
"""

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path


def requirements(paths: Sequence[Path], extras: Sequence[str]) -> tuple[list[str], set[str]]:
    """The requirements of the projects at `paths`, and those of `extras` that none of them has."""
    found: list[str] = []
    unknown = set(extras)
    for path in paths:
        project = tomllib.loads(path.read_text())["project"]
        optional = project.get("optional-dependencies", {})
        found += project.get("dependencies", [])
        for extra in extras:
            found += optional.get(extra, [])
        unknown -= optional.keys()
    return found, unknown


def main() -> None:
    extras = [name for name in sys.argv[1].split(",") if name]
    found, unknown = requirements([Path(argument) for argument in sys.argv[2:]], extras)
    if unknown:
        sys.stderr.write(f"left out, for there is no such extra: {', '.join(sorted(unknown))}\n")
    sys.stdout.write("\n".join(found) + "\n")


if __name__ == "__main__":
    main()
