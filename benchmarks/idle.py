"""What `nmtune-server` costs while it does nothing: memory of each process, CPU of short commands.

python benchmarks/idle.py [--seconds 5] [--write docs/inside/benchmarks.md]

Memory is the resident set as Linux counts it, files that several processes share included; peak is
its largest value since the process began. At rest: `--seconds` after the process said it was ready.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import page
import psutil

HEAD = ("process", "at rest, MB", "peak, MB", "CPU until ready, s", "ready after, s")
ROOT = Path(__file__).parent.parent
RUN = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
seconds = time.perf_counter() - began
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_maxrss, usage.ru_utime + usage.ru_stime, seconds)
"""
SERVER = (sys.executable, "-m", "standalone")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to let it rest")
    parser.add_argument("--write", type=Path, help="page to put the table into")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_rows(Path(folder), arguments.seconds))
    lines = [f"Measured {page.machine()}.", "", *page.table(HEAD, rows)]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "idle", "\n".join(lines))


def _rows(folder: Path, seconds: float) -> Iterator[list[str]]:
    for option in ("--version", "--help"):
        yield _ended(option)
    network, data = ("--port", "0"), ("--data-dir", str(folder))
    with _started("up", *network, *data) as (process, cost, _):
        time.sleep(seconds)
        yield _resting("`up`, new", process, cost)
    with _started("api", *network, *data) as (process, cost, _):
        time.sleep(seconds)
        yield _resting("`api`, new", process, cost)
    with _started("worker", *data) as (process, cost, _):
        time.sleep(seconds)
        yield _resting("`worker`, new", process, cost)
    with _started("up", *network, *data) as (process, cost, line), _client(line) as client:
        _train(client)
        time.sleep(seconds)
        yield _resting("`up` after its first job", process, cost)
        for child in process.children():
            yield _resting("its process ready for the next job", child, None)
    with _started("api", *network, *data) as (process, cost, line), _client(line) as client:
        time.sleep(seconds)
        began = time.perf_counter()
        _predict(client)
        first = time.perf_counter() - began
        yield _resting(f"`api` with a head; first prediction {first * 1000:.0f} ms", process, cost)


def _ended(option: str) -> list[str]:
    """The row of a command that ends by itself."""
    # By way of a small process: Linux counts a parent's memory at the fork as its child's peak.
    told = subprocess.run(
        [sys.executable, "-c", RUN, *SERVER, option],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    kilobytes, cpu, seconds = map(float, told.stdout.split())
    return [f"`{option}`", "", f"{kilobytes / 1024:.0f}", f"{cpu:.2f}", f"{seconds:.2f}"]


@contextmanager
def _started(*arguments: str) -> Iterator[tuple[psutil.Process, tuple[float, float], str]]:
    """A server that has said it is ready: its process, CPU and seconds until then, and its line."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NMTUNE_")}
    began = time.perf_counter()
    child = subprocess.Popen(
        [*SERVER, *arguments, "--log-level", "error"],
        cwd=ROOT,
        env=clean,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = child.stdout.readline()
        if not line:
            raise SystemExit(f"{arguments[0]} ended before it was ready")
        process = psutil.Process(child.pid)
        times = process.cpu_times()
        yield process, (times.user + times.system, time.perf_counter() - began), line
    finally:
        child.terminate()
        child.wait(30)
        child.stdout.close()


def _resting(name: str, process: psutil.Process, cost: tuple[float, float] | None) -> list[str]:
    """The row of a process that lives."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    kilobytes = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    rest, peak = (f"{int(kilobytes[key]) / 1024:.0f}" for key in ("VmRSS", "VmHWM"))
    return [name, rest, peak, *(("", "") if cost is None else (f"{one:.1f}" for one in cost))]


def _client(line: str) -> httpx.Client:
    return httpx.Client(base_url=re.search(r"http://\S+", line)[0], timeout=120)


def _train(client: httpx.Client) -> None:
    y = np.arange(120) % 2
    x = np.random.default_rng(1).normal(size=(120, 8)) + 2 * y[:, None]
    job = {
        "name": "blobs",
        "embeddings": x.round(3).tolist(),
        "labels": [f"class {label}" for label in y],
        "splits": ["train"] * 80 + ["test"] * 40,
        "method": "linear_probe",
    }
    answer = client.post("/jobs", json=job, headers={"Prefer": "wait=100"})
    if answer.json().get("status") != "succeeded":
        raise SystemExit(f"the job did not succeed: {answer.text}")


def _predict(client: httpx.Client) -> None:
    params = {"head": "blobs", "embedding": "2,2,2,2,2,2,2,2"}
    client.get("/predict", params=params).raise_for_status()


if __name__ == "__main__":
    main()
