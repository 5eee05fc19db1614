"""The built distributions, and what else an installer finds."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.distributions import wheelhouse

ROOT = Path(__file__).parent.parent.parent
PROJECTS = {"nmtune": "nmtune", "nmtune_server": ".", "nmtune_client": "clients/python"}

Install = Callable[..., Path]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of sdists and wheels; each wheel was built from its sdist."""
    folder = tmp_path_factory.mktemp("built")
    for place in PROJECTS.values():
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
        done = subprocess.run([*command, str(ROOT / place)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheels that stand for what is installed here."""
    folder = tmp_path_factory.mktemp("others")
    wheelhouse.fill(folder)
    return folder


@pytest.fixture
def offline(built: Path, others: Path) -> dict[str, str]:
    """The environment of an installer that finds these wheels and asks no index."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP", "UV_", "NMTUNE_", "PYTHON", "VIRTUAL_ENV"))
    }
    return kept | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{built} {others}",
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": f"{built},{others}",
    }


@pytest.fixture
def install(offline: dict[str, str], tmp_path: Path) -> Install:
    """Install requirements into an empty environment; its folder of programs."""

    def into_an_empty_environment(*requirements: str) -> Path:
        folder = tmp_path / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        python = folder / "bin" / "python"
        command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
        done = subprocess.run(
            [*command, *requirements], env=offline, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return folder / "bin"

    return into_an_empty_environment
