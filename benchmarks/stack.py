"""Jobs through the whole stack: jobs per minute, what a job costs beside its training, and load.

python benchmarks/stack.py [--jobs 12] [--write docs/inside/benchmarks.md]

One API process and one Celery worker over a real PostgreSQL and a real Redis, all on this machine.
A job is NMTune with few epochs on the bundled data set, one thread each.
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import page
import torch

from tests.faults.deployment import Deployment
from tests.servers.postgres import PostgresServer, migrated
from tests.servers.redis import RedisServer
from tests.support.processes import Process

DATA = Path("examples/data/intents.npz")
JOB: dict[str, Any] = {"method": "nmtune", "config": {"epochs": 3}}
SLOTS = (1, 2, 4)
WORKER = {"NMTUNE_STANDBY": "true", "NMTUNE_LEASE_SECONDS": "30"}


@contextmanager
def deployment(postgres: PostgresServer) -> Iterator[Deployment]:
    """API and worker processes are the caller's to start."""
    with tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder))
        here = Deployment(Path(folder), postgres, redis)
        try:
            yield here
        finally:
            here.close()
            redis.stop()


def jobs_per_minute(postgres: PostgresServer, *, n_slots: int, n_jobs: int) -> list[str]:
    """The row of the table for so many slots: every job waits before the worker starts."""
    with deployment(postgres) as here:
        api = here.start("api")
        dataset = api.client.datasets.upload(DATA).id
        for _ in range(n_jobs + n_slots):
            here.submit(api, dataset, **JOB)
        here.start("worker", NMTUNE_SLOTS=str(n_slots), **WORKER)
        here.check(seconds=3600)
        ended = sorted((here.job(one) for one in here.accepted), key=lambda job: job.finished_at)
        # The first of each slot paid for the import of torch, and began when the worker did.
        ended = ended[n_slots - 1 :]
        minutes = (ended[-1].finished_at - ended[0].finished_at).total_seconds() / 60
        worked = [api.client.jobs.report(job.id).raw["environment"]["seconds"] for job in ended[1:]]
        gaps = [(b.finished_at - a.finished_at).total_seconds() for a, b in pairwise(ended)]
    row = [str(n_slots), f"{len(gaps) / minutes:.1f}", f"{statistics.mean(worked):.2f}"]
    if n_slots > 1:
        return [*row, ""]
    beside = [1000 * (gap - own) for gap, own in zip(gaps, worked, strict=True)]
    return [*row, f"{statistics.median(beside):.0f}"]


def load(postgres: PostgresServer, *, seconds: float) -> list[list[str]]:
    """The rows of the table of answers' times, quiet and while a worker trains."""
    with deployment(postgres) as here:
        api = here.start("api")
        dataset = api.client.datasets.upload(DATA).id
        worker = here.start("worker", NMTUNE_SLOTS="1", **WORKER)
        here.submit(api, dataset, **JOB)
        here.check(seconds=600)
        x = np.load(DATA)["test_x"][:1]
        acts: dict[str, Callable[[], object]] = {
            "POST /predict, 1 row": lambda: api.client.predict("pets@1", x),
            "POST /jobs": lambda: api.client.jobs.cancel(here.submit(api, dataset, **JOB)),
            "GET /jobs, a page of 50": lambda: next(iter(api.client.jobs.list(limit=50))),
        }
        worker.stop()
        quiet = {name: _times(act, seconds) for name, act in acts.items()}
        busy_worker = here.start("worker", NMTUNE_SLOTS="1", **WORKER)
        for _ in range(200):
            here.submit(api, dataset, priority=5, **JOB)
        _until_training(busy_worker)
        busy = {name: _times(act, seconds) for name, act in acts.items()}
        for one in here.accepted:
            api.client.jobs.cancel(one)
        here.check(seconds=600)
    return [_row(name, quiet[name], busy[name]) for name in acts]


def _until_training(worker: Process) -> None:
    while not worker.trainings():
        time.sleep(0.1)
    time.sleep(3)


def _times(act: Callable[[], object], seconds: float) -> list[float]:
    """Milliseconds of each call from two threads, one call after another."""
    until = time.monotonic() + seconds
    times: list[float] = []

    def repeat() -> None:
        while time.monotonic() < until:
            began = time.perf_counter()
            act()
            times.append(1000 * (time.perf_counter() - began))

    threads = [threading.Thread(target=repeat) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(times)


def _row(name: str, quiet: list[float], busy: list[float]) -> list[str]:
    shares = (0.5, 0.99)
    figures = [[one[int(share * len(one))] for share in shares] for one in (quiet, busy)]
    ratios = [after / before for before, after in zip(*figures, strict=True)]
    return [
        name,
        *(f"{p50:.1f} / {p99:.1f}" for p50, p99 in figures),
        " / ".join(f"{ratio:.1f}" for ratio in ratios),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=12, help="jobs for each number of slots")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each kind of load")
    parser.add_argument("--write", type=Path, help="put the tables between the page's marks")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(2)
    with migrated() as postgres:
        rows = []
        for n_slots in SLOTS:
            rows.append(jobs_per_minute(postgres, n_slots=n_slots, n_jobs=arguments.jobs))
            print(rows[-1], flush=True)
        loads = load(postgres, seconds=arguments.seconds)
    lines = [
        f"Measured {page.machine()}.",
        "",
        *page.table(("slots", "jobs/min", "a training's own time, s", "beside it, ms"), rows),
        "",
        *page.table(("request", "quiet, ms", "while training, ms", "ratio"), loads),
        "",
        "Times are p50 / p99, from two clients at once.",
    ]
    print("\n".join(lines))
    if arguments.write:
        page.write(arguments.write, "stack", "\n".join(lines))


if __name__ == "__main__":
    main()
