"""Run servers under load: start them, wait for them, ask them with wrk, end them."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

SCRIPT = Path(__file__).parent / "peers" / "load.lua"
START_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Body:
    """What is sent, and its headers."""

    path: str
    content: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk measured: requests a second answered with success, and times in ms of all."""

    rate: float
    refused_rate: float
    p50: float
    p99: float
    n_failed: int


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log: Path,
    probe: str,
    body: Body | None = None,
    cwd: Path | None = None,
) -> Iterator[psutil.Process]:
    """The server, once it answers `probe` (a POST of `body`, if given), until the block ends."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
            cwd=cwd,
        )
        mine = psutil.Process(process.pid)
        try:
            _wait_for(probe, body, process)
            yield mine
        finally:
            family = [mine, *mine.children(recursive=True)] if mine.is_running() else []
            for one in family:
                _end(one)
            process.wait(20)


def ask(url: str, body: Body, *, connections: int, seconds: float, pause_ms: int = 0) -> Load:
    """wrk's figures for this body, after a second of warming up."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    content = Path(os.environ["BENCH_DIR"]) / "body"
    content.write_bytes(body.content)
    environment = {
        **os.environ,
        "BODY": str(content),
        "HEADERS": "\n".join(f"{name}: {value}" for name, value in body.headers.items()),
        "PAUSE": str(pause_ms),
    }

    def run(duration: float) -> Load:
        options = ["-t1", f"-c{connections}", f"-d{duration:g}s", "--timeout", "30s", "--latency"]
        done = subprocess.run(
            [wrk, *options, "-s", str(SCRIPT), url + body.path],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
        took = found["us"] / 1e6
        return Load(
            rate=(found["n"] - found["refused"]) / took,
            refused_rate=found["refused"] / took,
            p50=found["p50"] / 1000,
            p99=found["p99"] / 1000,
            n_failed=found["failed"],
        )

    run(1)
    return run(seconds)


def proportional_bytes(process: psutil.Process) -> int:
    """The memory of the process and its children, what they share counted once."""
    family = [process, *process.children(recursive=True)]
    return sum(one.memory_full_info().pss for one in family)


def _wait_for(probe: str, body: Body | None, process: subprocess.Popen[bytes]) -> None:
    request = urllib.request.Request(
        probe,
        data=body.content if body else None,
        headers=dict(body.headers) if body else {},
    )
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"no answer within {START_SECONDS} s")


def _end(process: psutil.Process) -> None:
    try:
        process.terminate()
        process.wait(10)
    except psutil.TimeoutExpired:
        process.kill()
    except psutil.NoSuchProcess:
        return


class Bystander:
    """One client more, who asks one request after another and keeps each one's status and time."""

    def __init__(self, url: str, body: Body) -> None:
        self._address = url.removeprefix("http://")
        self._body = body
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._times: dict[int, list[float]] = {}

    def __enter__(self) -> "Bystander":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def p99(self, *statuses: int) -> float:
        """Milliseconds of the requests that were answered so; NaN if none was."""
        return self._quantile(0.99, statuses)

    def p50(self, *statuses: int) -> float:
        """The median of the same."""
        return self._quantile(0.5, statuses)

    def _quantile(self, at: float, statuses: Sequence[int]) -> float:
        times = sorted(one for status in statuses for one in self._times.get(status, []))
        return times[int(at * len(times))] if times else float("nan")

    def counts(self) -> dict[int, int]:
        """How many answers there were of each status."""
        return {status: len(times) for status, times in sorted(self._times.items())}

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        path, content, headers = self._body.path, self._body.content, dict(self._body.headers)
        while not self._stop.is_set():
            began = time.perf_counter()
            connection.request("POST", path, content, headers)
            with connection.getresponse() as response:
                response.read()
                status = response.status
            self._times.setdefault(status, []).append(1000 * (time.perf_counter() - began))
            self._stop.wait(0.02 if status == 429 else 0)
        connection.close()
