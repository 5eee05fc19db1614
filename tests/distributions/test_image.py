"""The list that the Dockerfile installs is what the packages that it holds ask for."""

import subprocess
import sys
import tomllib

from tests.distributions.conftest import PROJECTS, ROOT

SCRIPT = ROOT / "deploy" / "requirements.py"
FILES = [ROOT / place / "pyproject.toml" for place in PROJECTS.values()]


def requirements(extras: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, extras, *FILES]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_the_image_gets_what_the_wheels_ask_for() -> None:
    projects = [tomllib.loads(path.read_text())["project"] for path in FILES]
    science, server, client = projects
    wanted = [*science["dependencies"], *server["dependencies"], *client["dependencies"]]
    for extra in ("onnx", "skops"):  # the server asks for nmtune[onnx,skops]
        wanted += science["optional-dependencies"][extra]
    wanted += server["optional-dependencies"]["s3"]
    found = requirements("s3")
    lines = found.stdout.splitlines()
    assert set(lines) == {one for one in wanted if not one.startswith("nmtune")}
    assert len(lines) == len(set(lines))
    assert found.stderr == ""


def test_an_unknown_extra_is_named_and_left_out() -> None:
    found = requirements("s3,no-such")
    assert found.stdout == requirements("s3").stdout
    assert "no-such" in found.stderr


def test_the_dockerfile_names_every_project() -> None:
    text = (ROOT / "Dockerfile").read_text()
    for place in PROJECTS.values():
        folder = "" if place == "." else f"{place}/"
        assert f"COPY {folder}pyproject.toml" in text
        assert f" {folder}pyproject.toml" in text.partition('deploy/requirements.py "$EXTRAS"')[2]
    assert "pip wheel --no-deps --wheel-dir /wheels ./nmtune . ./clients/python" in text


def test_the_image_is_given_every_package_of_the_server() -> None:
    """The build sees only what .dockerignore lets through."""
    server = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = server["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{one}" for one in [*packages, "nmtune", "clients/python"]} <= set(let_through)
