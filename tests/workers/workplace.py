"""A workplace: a store with a tiny dataset, its jobs, and what a client would do to them."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil

from nmtune import resolve
from store import datasets, events, jobs, transitions
from store.datasets import Dataset
from store.events import Event
from store.files.dataset import DatasetWriter
from store.jobs import Job
from store.queue import LocalQueue
from store.registry import heads
from store.store import Store
from tests.support import leftovers
from workers.attempt.run import run_claimed
from workers.settings import WorkerSettings
from workers.slots.local import LocalWorker

CLASSES = ("cat", "dog", "owl")
N_COLUMNS = 16
SPLITS = {"train": 240, "validation": 60, "test": 90, "ood/paint": 80, "ood/sketch": 70}
ENDLESS = {"epochs": 10_000, "l2": 1.0}


def is_running(pid: int) -> bool:
    """Whether a process exists and is more than a zombie that waits to be reaped."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def children(parent: int | None = None) -> list[psutil.Process]:
    """The training processes that this process (or `parent`) started, shared servers aside."""
    found = []
    for pid in leftovers.running(parent):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def write_dataset(
    path: Path,
    *,
    splits: Mapping[str, int],
    n_trained: int = len(CLASSES),
    n_mislabelled: int = 0,
    noise: float = 0.8,
) -> None:
    """Blobs around one centre a class, the domains shifted; `n_trained` classes are in train.

    The first `n_mislabelled` training rows have the label of the next class.
    """
    random = np.random.default_rng(5)
    centres = random.normal(size=(len(CLASSES), N_COLUMNS))
    with DatasetWriter(
        path,
        classes=CLASSES,
        n_columns=N_COLUMNS,
        dtype=np.float32,
        splits=list(splits.items()),
    ) as writer:
        for name, n_rows in splits.items():
            y = np.arange(n_rows) % (n_trained if name == "train" else len(CLASSES))
            shift = random.normal(size=N_COLUMNS) * (0.4 if name.startswith("ood/") else 0)
            writer.y(name)[:] = y
            writer.x(name)[:] = centres[y] + shift + random.normal(size=(n_rows, N_COLUMNS)) * noise
            if name == "train" and n_mislabelled:
                writer.y(name)[:n_mislabelled] = (y[:n_mislabelled] + 1) % n_trained


class Workplace:
    """A store, a worker's settings, and what a client would do from outside."""

    def __init__(self, store: Store, settings: WorkerSettings) -> None:
        self.store = store
        self.settings = settings

    def add_dataset(
        self,
        splits: Mapping[str, int] = SPLITS,
        *,
        n_trained: int = 3,
        n_mislabelled: int = 0,
        noise: float = 0.8,
    ) -> Dataset:
        path = self.settings.data_dir / "dataset.safetensors"
        write_dataset(
            path, splits=splits, n_trained=n_trained, n_mislabelled=n_mislabelled, noise=noise
        )
        reference = self.store.artifacts.put_file("default", path)
        with self.store.database.begin() as tx:
            return datasets.add(
                tx,
                "default",
                name="blobs",
                sha256=reference.sha256,
                size_bytes=reference.size_bytes,
                n_rows=sum(splits.values()),
                n_columns=N_COLUMNS,
                classes=CLASSES,
                splits=[
                    {"name": name, "n_rows": n_rows, "class_counts": [0] * len(CLASSES)}
                    for name, n_rows in splits.items()
                ],
                profile={},
                warnings=[{"code": "few_rows", "message": "Add rows."}],
            )

    def submit(
        self,
        config: Mapping[str, Any],
        *,
        method: str = "nmtune",
        dataset: Dataset | None = None,
        alias: str | None = None,
        alias_always: bool = False,
        max_attempts: int = 3,
        analyses: Sequence[str] = (),
        compare: bool = True,
    ) -> Job:
        dataset = dataset or self.add_dataset()
        with self.store.database.begin() as tx:
            return jobs.submit(
                tx,
                "default",
                name="pets",
                dataset_id=dataset.id,
                method=method,
                config=resolve(
                    method=method, config=config, analyses=analyses, compare=compare
                ).to_dict(),
                alias=alias,
                alias_always=alias_always,
                max_attempts=max_attempts,
            )

    def run(self, job: Job, *, stopping: threading.Event | None = None) -> Job | None:
        """Claim the job and run it to its end in this thread."""
        with self.store.database.begin() as tx:
            claimed = transitions.claim(
                tx, job.id, worker="tests", lease_seconds=self.settings.lease_seconds
            )
        if claimed is None:
            return None
        return run_claimed(
            claimed,
            store=self.store,
            settings=self.settings,
            stopping=stopping or threading.Event(),
        )

    @contextlib.contextmanager
    def running(self, job: Job, *, stopping: threading.Event | None = None) -> Iterator[None]:
        """Run the job in a thread beside the block, and wait for its end."""
        thread = threading.Thread(target=self.run, args=(job,), kwargs={"stopping": stopping})
        thread.start()
        try:
            yield
        except BaseException:
            for child in children():
                child.kill()
            raise
        finally:
            thread.join()

    def read(self, job: Job) -> Job:
        with self.store.database.read() as tx:
            return jobs.get(tx, "default", job.id)

    def jobs(self) -> Sequence[Job]:
        with self.store.database.read() as tx:
            return jobs.page(tx, "default", limit=100).items

    def events(self, job: Job) -> list[Event]:
        with self.store.database.read() as tx:
            return events.page(tx, "default", job.id, limit=1000)

    def progress(self, job: Job) -> list[dict[str, Any]]:
        return [event.data for event in self.events(job) if event.type == "job.progress"]

    def request_cancel(self, job: Job) -> Job:
        with self.store.database.begin() as tx:
            return jobs.request_cancel(tx, "default", job.id)

    def report(self, job: Job) -> dict[str, Any]:
        assert job.report_sha256 is not None
        report: dict[str, Any] = orjson.loads(
            self.store.artifacts.get_bytes("default", job.report_sha256)
        )
        return report

    def head_sha256(self, job: Job) -> str:
        assert job.head_name is not None
        assert job.head_version is not None
        with self.store.database.read() as tx:
            return heads.version(tx, "default", job.head_name, job.head_version).sha256


def start_worker(workplace: Workplace, *, slots: int = 1) -> LocalWorker:
    """A LocalWorker at work; its caller stops it."""
    settings = workplace.settings.model_copy(update={"slots": slots})
    worker = LocalWorker(workplace.store, LocalQueue(), settings)
    worker.start()
    return worker


OpenWorkplace = Callable[[Path], Workplace]
