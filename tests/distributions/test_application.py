"""The server as an application in an environment of its own: pipx, uv tool."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.standalone.servers import Server, job_request

pytestmark = pytest.mark.slow


def test_uv_tool_installs_a_server_that_serves(offline: dict[str, str], tmp_path: Path) -> None:
    places = {
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }
    installed(["uv", "tool", "install", "--python", sys.executable], offline | places)
    it_serves(tmp_path / "bin" / "nmtune-server", tmp_path / "data")


def test_pipx_installs_a_server_that_serves(offline: dict[str, str], tmp_path: Path) -> None:
    """With uv underneath: with pip, pipx first fetches the newest pip from an index."""
    places = {
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
        "PIPX_DEFAULT_BACKEND": "uv",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }
    installed(["pipx", "install", "--python", sys.executable], offline | places)
    it_serves(tmp_path / "bin" / "nmtune-server", tmp_path / "data")


def installed(command: list[str], environment: dict[str, str]) -> None:
    """Run an installer for nmtune-server."""
    done = subprocess.run(
        [sys.executable, "-m", *command, "nmtune-server"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def it_serves(program: Path, data_dir: Path) -> None:
    """The command starts from anywhere, trains a job, predicts with its head and stops."""
    doctor = subprocess.run(
        [program, "doctor", "--port", "0", "--data-dir", data_dir],
        cwd=data_dir.parent,
        capture_output=True,
        text=True,
    )
    assert doctor.returncode == 0, doctor.stdout
    server = Server(
        subprocess.Popen(
            [program, "up", "--port", "0", "--data-dir", data_dir],
            cwd=data_dir.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    try:
        with server.client() as client:
            body = job_request(epochs=30)
            ended = client.post("/jobs", json=body, headers={"Prefer": "wait=60"})
            assert ended.json()["status"] == "succeeded", ended.text
            asked = {"head": "blobs", "embedding": "2,2,2,2,2,2,2,2"}
            assert client.get("/predict", params=asked).json()["label"] == "class 1"
            assert client.get("/openapi.json").status_code == httpx.codes.OK
        assert server.stop() == 0
    finally:
        server.end()
    assert "Traceback" not in server.errors
