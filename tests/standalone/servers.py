"""A server process of the standalone tests, and a client's view of it."""

import re
import signal
import subprocess
import threading
from typing import Any, Protocol

import httpx
import numpy as np
import psutil


class Start(Protocol):
    """Starts `nmtune-server` with arguments, and with settings as NMTUNE_ variables."""

    def __call__(self, *arguments: str, **settings: object) -> "Server": ...


class Server:
    """One `nmtune-server` process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.errors = ""
        self._reader = threading.Thread(target=self._read_errors)
        self._reader.start()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:  # a full pipe would block the server
            self.errors += line

    def ready_line(self) -> str:
        """What it prints once it is ready; fails if it ends first."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it ended before it was ready: {self.errors}"
        return line.strip()

    def client(self) -> httpx.Client:
        """A client of the address in the ready line."""
        found = re.search(r"http://\S+", self.ready_line())
        assert found is not None
        return httpx.Client(base_url=found[0], timeout=120)

    def stop(self, *, seconds: float = 60) -> int:
        """SIGTERM, then the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def exit_status(self, *, seconds: float = 60) -> int:
        status = self.process.wait(seconds)
        self._reader.join()
        return status

    def trainings(self) -> list[psutil.Process]:
        """Its child processes."""
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()


def job_request(**config: object) -> dict[str, Any]:
    """A job of 120 rows of two blobs, with a test split."""
    random = np.random.default_rng(1)
    y = np.arange(120) % 2
    x = random.normal(size=(120, 8)) + 2 * y[:, None]
    return {
        "name": "blobs",
        "embeddings": x.round(3).tolist(),
        "labels": [f"class {label}" for label in y],
        "splits": ["train"] * 80 + ["test"] * 40,
        "method": "nmtune",
        "config": {"l2": 1.0, **config},
    }


def submit(client: httpx.Client, **config: object) -> str:
    """Post a job and return its id."""
    answer = client.post("/jobs", json=job_request(**config))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def status(client: httpx.Client, job_id: str) -> str:
    return str(client.get(f"/jobs/{job_id}").json()["status"])
