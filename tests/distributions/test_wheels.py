"""What is in each wheel and sdist, and what it says of itself."""

import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from nmtune_client import __version__ as client_version

import nmtune
from tests.distributions.conftest import PROJECTS, ROOT

PACKAGES = {
    "nmtune": {"nmtune": ROOT / "nmtune"},
    "nmtune_server": {
        name: ROOT / name
        for name in (
            *("store", "outbound", "providers", "pages"),
            *("workers", "service", "standalone", "migrations"),
        )
    },
    "nmtune_client": {"nmtune_client": ROOT / "clients" / "python" / "nmtune_client"},
}
VERSIONS = {
    "nmtune": nmtune.__version__,
    "nmtune_server": nmtune.__version__,
    "nmtune_client": client_version,
}
TYPED = {"nmtune/py.typed", "nmtune_client/py.typed"}
OF_ALEMBIC = {"migrations/script.py.mako"}
SHIPPED = {".py", ".css", ".jinja", ".js"}

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("name", PROJECTS)]


def wheel_of(built: Path, name: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(built / f"{name}-{VERSIONS[name]}-py3-none-any.whl")


def test_a_wheel_holds_its_packages_and_nothing_else(built: Path, name: str) -> None:
    expected = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES[name].items()
        for path in folder.rglob("*")
        if path.suffix in SHIPPED
    }
    with wheel_of(built, name) as wheel:
        found = set(wheel.namelist())
    info = f"{name}-{VERSIONS[name]}.dist-info"
    about = {f"{info}/{one}" for one in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    if name != "nmtune":
        about.add(f"{info}/entry_points.txt")
    beside = {one for one in TYPED | OF_ALEMBIC if one.partition("/")[0] in PACKAGES[name]}
    assert found == expected | about | beside
    assert not [one for one in found if "test" in Path(one).parts or "conftest" in one]


def test_a_wheel_says_which_version_it_is_and_what_it_needs(built: Path, name: str) -> None:
    with wheel_of(built, name) as wheel:
        text = wheel.read(f"{name}-{VERSIONS[name]}.dist-info/METADATA").decode()
    about = Parser().parsestr(text)
    assert (about["Name"], about["Version"]) == (name.replace("_", "-"), VERSIONS[name])
    assert about["Description-Content-Type"] == "text/markdown"
    needs = about.get_all("Requires-Dist")
    ours = [one for one in needs if one.startswith("nmtune")]
    assert ours == (
        [f"nmtune[onnx,skops]=={nmtune.__version__}"] if name == "nmtune_server" else []
    )
    if name == "nmtune":
        plain = {one.partition(">")[0] for one in needs if "extra ==" not in one}
        assert plain == {"numpy", "safetensors", "scikit-learn", "torch"}
        assert about.get_all("Provides-Extra") == ["onnx", "plot", "skops"]


def test_an_sdist_has_licence_and_readme_and_no_tests(built: Path, name: str) -> None:
    stem = f"{name}-{VERSIONS[name]}"
    with tarfile.open(built / f"{stem}.tar.gz") as sdist:
        found = {one.removeprefix(f"{stem}/") for one in sdist.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"} <= found
    tops = {one.partition("/")[0] for one in found}
    assert not tops & {"tests", "benchmarks", "docs", "examples", "dist", "nmtune-data"}
    licence = (ROOT / "LICENSE").read_bytes()
    assert (ROOT / PROJECTS[name] / "LICENSE").read_bytes() == licence
