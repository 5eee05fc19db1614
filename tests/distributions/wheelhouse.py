"""Let installers work offline: wheels of what is installed here, whose modules are links.

A test cannot download torch. So each installed distribution becomes a wheel with its true name,
version and requirements, and with a .pth file that leads to links to its modules. pip, pipx and uv
then resolve and install as they would from an index, and an environment sees exactly what its
distributions ask for.
"""

import base64
import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

LEFT_OUT = ("nmtune", "nmtune-server", "nmtune-client", "pip")
"""Ours, which come from their own wheels, and pip, which every new environment brings itself."""
_WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def fill(folder: Path) -> None:
    """Put a wheel of every installed distribution into `folder`, but for those of LEFT_OUT."""
    modules = folder / "modules"
    seen: set[str] = set()
    for one in distributions():
        name = _normal(one.metadata["Name"])
        if name not in seen and name not in LEFT_OUT:
            seen.add(name)
            _link(one, modules / name)
            _pack(one, folder, modules / name)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _link(one: Distribution, folder: Path) -> None:
    """Links to the modules and libraries of a distribution, by their names at the top."""
    folder.mkdir(parents=True)
    tops = {file.parts[0] for file in one.files or ()}
    for top in tops - {"..", "__pycache__"}:
        if not top.endswith((".dist-info", ".pth")):
            (folder / top).symlink_to(Path(str(one.locate_file(top))).resolve())


def _pack(one: Distribution, folder: Path, modules: Path) -> None:
    name = _normal(one.metadata["Name"]).replace("-", "_")
    stem = f"{name}-{one.version}"
    files = {
        f"{name}.links.pth": f"{modules}\n",
        f"{stem}.dist-info/METADATA": one.read_text("METADATA") or "",
        f"{stem}.dist-info/WHEEL": _WHEEL,
    }
    files[f"{stem}.dist-info/RECORD"] = _record(files.items(), f"{stem}.dist-info/RECORD")
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def _record(files: Iterable[tuple[str, str]], own_path: str) -> str:
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    for path, text in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
        rows.writerow([path, f"sha256={digest.rstrip('=')}", len(text.encode())])
    rows.writerow([own_path, "", ""])
    return written.getvalue()
