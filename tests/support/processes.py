"""Real `nmtune-server` processes on one data directory, and what they log."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from nmtune_client import Client

READY = re.compile(r"is ready(?: at (http://\S+))?")
COMPLAINTS = ("Traceback", "was never retrieved", "database is locked", " ERROR ", " CRITICAL ")

BRIEF_LEASE = {"NMTUNE_LEASE_SECONDS": "6"}
"""For a worker that is to be killed, so that others soon take its job; the others keep theirs."""


class Process:
    """One `nmtune-server` process; what it logs is kept, and must hold no complaint."""

    def __init__(self, command: str, data_dir: Path, **environment: str) -> None:
        self.log_path = data_dir.parent / f"{command}-{time.monotonic_ns()}.log"
        arguments = [sys.executable, "-m", "standalone", command, "--data-dir", str(data_dir)]
        if command != "worker":
            arguments += ["--port", "0"]
        clean = {name: value for name, value in os.environ.items() if "NMTUNE" not in name}
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                arguments,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=clean
                | {"NMTUNE_LEASE_SECONDS": "60", "NMTUNE_POLL_SECONDS": "0.2"}
                | {"NMTUNE_STANDBY": "false"}  # its children are then its trainings
                | {"NMTUNE_MAP_SECONDS": "0"}
                | environment,
            )
        self.pid = self._process.pid
        self.url = self._await_ready()
        self.client = Client(self.url or "http://127.0.0.1:1")  # a worker answers nobody

    def _await_ready(self) -> str:
        lines: queue.Queue[str] = queue.Queue()
        stdout = self._process.stdout
        assert stdout is not None

        def read() -> None:
            for line in stdout:
                lines.put(line)
            lines.put("")

        threading.Thread(target=read, daemon=True).start()
        while line := lines.get(timeout=60):
            if found := READY.search(line):
                return (found[1] or "").rstrip("/")
        raise AssertionError(f"the process did not start:\n{self.log_path.read_text()}")

    def trainings(self) -> list[psutil.Process]:
        """The training processes it has started and that still run."""
        if not psutil.pid_exists(self.pid):
            return []
        return [
            child
            for child in psutil.Process(self.pid).children(recursive=True)
            if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
        ]

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as the kernel would: at once, with nothing tidied."""
        self.client.close()
        self._process.kill()
        self._process.wait(timeout=60)

    def stop(self) -> None:
        """End it as an operator would, if it still runs, and expect a clean exit."""
        self.client.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(timeout=60) == 0, self.log_path.read_text()[-3000:]
        if self._process.stdout is not None:
            self._process.stdout.close()


class Site:
    """One data directory and the processes that a test runs on it."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.processes: list[Process] = []
        self.expected: list[str] = []  # complaints that the test causes on purpose

    def start(self, command: str = "up", **environment: str) -> Process:
        process = Process(command, self.data_dir, **environment)
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            process.stop()

    def complaints(self) -> list[str]:
        """Lines of any log that no fault should cause."""
        return [
            line
            for process in self.processes
            for line in self.complaints_in(process.log_path.read_text())
        ]

    def complaints_in(self, logged: str) -> list[str]:
        """Lines of this log that no fault should cause."""
        return [
            line
            for line in logged.splitlines()
            if any(complaint in line for complaint in COMPLAINTS)
            and not any(expected in line for expected in self.expected)
        ]
