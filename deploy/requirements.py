"""The image's requirements: what pyproject.toml files ask for, with chosen extras.

Usage: python deploy/requirements.py EXTRA,EXTRA PYPROJECT...

Prints one requirement a line. A project that another one asks for is not printed, but what that
asks of it is, with its extras. An extra that no file has is named on stderr and left out. The image
installs this list in a layer of its own, so that a change of our code does not download it again.
"""

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?")


def requirements(paths: Sequence[Path], extras: Sequence[str]) -> tuple[list[str], set[str]]:
    """The requirements of the projects at `paths`, and those of `extras` that none of them has."""
    projects = {
        project["name"]: project
        for project in (tomllib.loads(path.read_text())["project"] for path in paths)
    }
    optional = {name: one.get("optional-dependencies", {}) for name, one in projects.items()}
    waiting = [line for project in projects.values() for line in project.get("dependencies", [])]
    waiting += [line for one in optional.values() for name in extras for line in one.get(name, [])]
    found: list[str] = []
    for line in waiting:
        name, asked = _parts(line)
        if name in projects:
            waiting += [more for extra in asked for more in optional[name][extra]]
        elif line not in found:
            found.append(line)
    return found, set(extras).difference(*optional.values())


def _parts(requirement: str) -> tuple[str, list[str]]:
    """The name and the extras of a requirement."""
    match = _REQUIREMENT.match(requirement)
    if match is None:
        raise ValueError(f"not a requirement: {requirement!r}")
    return match[1], [extra.strip() for extra in (match[2] or "").split(",") if extra.strip()]


def main() -> None:
    extras = [name for name in sys.argv[1].split(",") if name]
    found, unknown = requirements([Path(argument) for argument in sys.argv[2:]], extras)
    if unknown:
        sys.stderr.write(f"left out, for there is no such extra: {', '.join(sorted(unknown))}\n")
    sys.stdout.write("\n".join(found) + "\n")


if __name__ == "__main__":
    main()
