"""The compose stack under test: a project of its own, with its own passwords and port."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

from tests.support.places import ROOT

SERVICES = ("proxy", "api", "worker", "postgres", "redis")  # those that run on
OF_COMPOSE = ("NMTUNE_", "PROXY_", "POSTGRES_", "REDIS_", "COMPOSE_", "API_", "WORKER_")

# Short times, so that the tests are; images of its own, so that a running deployment keeps its.
SETTINGS = {
    "NMTUNE_IMAGE": "nmtune-server:test",
    "NMTUNE_PROXY_IMAGE": "nmtune-proxy:test",
    "NMTUNE_LEASE_SECONDS": "3",
    "NMTUNE_POLL_SECONDS": "0.5",
    "NMTUNE_CHECKPOINT_SECONDS": "1",
    "NMTUNE_BODY_SECONDS": "3",
}


class Stack:
    """The services of docker-compose.yml under a random project name and on a free port."""

    def __init__(self, folder: Path) -> None:
        self.project = f"nmtune-test-{token_hex(4)}"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.times: list[str] = []
        self.key = ""
        self._env_file = folder / "env"
        subprocess.run([ROOT / "deploy" / "make-env.sh", self._env_file], check=True)
        with self._env_file.open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in SETTINGS.items())
            file.write(f"PROXY_PORT={self.port}\n")

    @property
    def headers(self) -> dict[str, str]:
        """What a request brings to be let in."""
        return {"Authorization": f"Bearer {self.key}"}

    def passwords(self) -> list[str]:
        """What must be in no log."""
        lines = self._env_file.read_text().splitlines()
        passwords = [line.partition("=")[2] for line in lines if "PASSWORD=" in line]
        return [*passwords, self.key] if self.key else passwords

    def compose(self, *arguments: str, seconds: float = 120) -> str:
        """Run `docker compose` on this project; its stdout, or an AssertionError if it fails."""
        return compose(
            ["--env-file", str(self._env_file), "-p", self.project, *arguments], seconds=seconds
        )

    def up(self) -> None:
        """Build the images and start everything, until all are healthy."""
        began = time.monotonic()
        self.compose("build", "-q", seconds=1500)
        self.note(began, "build of the images (layers of an earlier build are used)")
        began = time.monotonic()
        self.compose("up", "-d", "--wait", seconds=300)
        self.note(began, "up --wait: from nothing to all services healthy")
        create = ("nmtune-server", "keys", "create", "tests", "--scopes", "admin")
        self.key = self.compose("exec", "-T", "api", *create).strip()

    def down(self) -> None:
        """End and remove what this project made; images stay."""
        began = time.monotonic()
        self.compose("down", "-v", "--remove-orphans", seconds=180)
        self.note(began, "down -v")

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, ended ones too."""
        return self.compose("ps", "-aq", service).split()

    def wait_healthy(self, container: str, *, seconds: float = 120) -> None:
        """Wait until the container's health check has passed."""
        deadline = time.monotonic() + seconds
        while inspect(container)["State"].get("Health", {}).get("Status") != "healthy":
            assert time.monotonic() < deadline, docker("logs", "--tail", "30", container)
            time.sleep(0.2)

    def restart(self, service: str) -> None:
        """Restart a service, one container after the other, each healthy before the next."""
        for container in self.containers(service):
            docker("restart", container)
            self.wait_healthy(container)

    def note(self, began: float, what: str) -> None:
        """Keep a time for the summary; `began` is in time.monotonic's seconds."""
        self.times.append(f"{time.monotonic() - began:7.1f} s  {what}")


def compose(
    arguments: Sequence[str], *, seconds: float = 120, env: dict[str, str] | None = None
) -> str:
    """`docker compose` with docker-compose.yml; the shell's own settings do not reach it."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(OF_COMPOSE)}
    command = ["docker", "compose", "-f", str(ROOT / "docker-compose.yml"), *arguments]
    return _run(command, seconds=seconds, env=clean | (env or {}))


def docker(*arguments: str, seconds: float = 120) -> str:
    """Run `docker` and return its stdout; AssertionError if it fails."""
    return _run(["docker", *arguments], seconds=seconds)


def inspect(container: str) -> dict[str, Any]:
    """What docker knows of a container."""
    found: list[dict[str, Any]] = json.loads(docker("inspect", container))
    return found[0]


def _run(command: list[str], *, seconds: float, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=seconds, env=env
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
