"""The distributed deployment that faults are done to, and what must hold afterwards."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import psutil
from nmtune_client import Client

from store import events, jobs
from store.errors import NotFound
from store.events import Event
from store.jobs import Job
from store.registry import heads
from store.settings import StoreSettings
from store.states import JobKind
from store.store import Store
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.support import leftovers
from tests.support.processes import Process, Site
from tests.support.waiting import wait_until

LEASE_SECONDS = 6
"""As short as a machine that pauses processes for seconds allows: many are killed here."""
QUICK: dict[str, Any] = {"method": "linear_probe", "config": {"l2": 1.0}}
"""A job that takes little more than the start of its training process."""

FINAL = {"job.succeeded", "job.failed", "job.cancelled"}
NEXT = {
    "job.queued": {"job.started", "job.cancelled"},
    "job.started": {"job.requeued", *FINAL},
    "job.requeued": {"job.started", "job.cancelled"},
}
"""Which move may follow which."""


class Accepting(Site):
    """API and worker processes on one store, and the jobs that clients were told of."""

    def __init__(self, folder: Path, settings: StoreSettings) -> None:
        super().__init__(folder)
        self.accepted: list[str] = []
        self.settings = settings
        self.head = "pets"

    def start(self, command: str = "up", **environment: str) -> Process:
        ours = {
            "NMTUNE_DATABASE_URL": self.settings.database_url,
            "NMTUNE_LEASE_SECONDS": str(LEASE_SECONDS),
            "NMTUNE_POLL_SECONDS": "0.3",
            "NMTUNE_CHECKPOINT_SECONDS": "0",
            "NMTUNE_N_THREADS": "1",
        }
        return super().start(command, **(ours | environment))

    def submit(
        self, api: Process, dataset_id: str, *, key: str | None = None, **changes: Any
    ) -> str:
        """Submit a quick job, or another; its id is one that a client was told of."""
        job = api.client.jobs.create(
            dataset=dataset_id, name=self.head, idempotency_key=key, **(QUICK | changes)
        )
        self.accepted.append(job.id)
        return job.id

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The rows and bytes, as they are."""
        store = Store.open(self.settings)
        try:
            yield store
        finally:
            store.close()

    def job(self, job_id: str) -> Job:
        with self.store() as store, store.database.read() as tx:
            return jobs.get(tx, "default", job_id)

    def wait_for(self, *statuses: str, job_id: str, seconds: float = 180) -> Job:
        """The job, once its status is one of these."""
        with self.store() as store:

            def found() -> Job | None:
                with store.database.read() as tx:
                    job = jobs.get(tx, "default", job_id)
                return job if job.status in statuses else None

            waited: Job = wait_until(found, seconds=seconds)
            return waited

    def check(self, *, seconds: float = 90) -> Counter[str]:
        """Every job that a client was told of has ended once, with one effect or none."""
        ended = [
            self.wait_for("succeeded", "failed", "cancelled", job_id=job_id, seconds=seconds)
            for job_id in dict.fromkeys(self.accepted)
        ]
        with self.store() as store, store.database.read() as tx:
            for job in ended:
                history: list[Event] = []
                while page := events.page(tx, "default", job.id, after=len(history), limit=200):
                    history += page
                check_history(history, job)
                check_effect(store, tx, job)
        return Counter(job.status.value for job in ended)


@dataclass
class Ground:
    """What the processes of a deployment stand on: a folder, a database, a broker, and an API.

    The API is started when it is first asked for, and stays for whoever shares the ground.
    """

    folder: Path
    postgres: PostgresServer
    redis: RedisServer
    api: Process | None = None

    def __post_init__(self) -> None:
        self.database = f"fault_{uuid4().hex}"
        self.postgres.create(self.database)

    def close(self) -> None:
        try:
            if self.api is not None:
                self.api.stop()
                leftovers.unshare(self.api.pid)
        finally:
            self.postgres.drop(self.database)


class Deployment(Accepting):
    """The processes over PostgreSQL and Redis.

    Closing it checks the invariants I1 to I6 of docs/reference/job-states.md.
    """

    def __init__(self, ground: Ground) -> None:
        self.postgres, self.redis = ground.postgres, ground.redis
        self.database = ground.database
        url = self.postgres.url(self.database)
        super().__init__(
            ground.folder, StoreSettings(data_dir=ground.folder / "data", database_url=url)
        )

    def start(self, command: str = "up", **environment: str) -> Process:
        return super().start(command, **({"NMTUNE_BROKER_URL": self.redis.url} | environment))


class SharingDeployment(Deployment):
    """One of several that stand on the same ground one after another.

    The API and the database are those of the others, the workers and the name of the head its own.
    """

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.head = f"pets-{uuid4().hex}"
        self._ground = ground
        self._log_start = 0

    def start(self, command: str = "up", **environment: str) -> Process:
        if command != "api" or environment:
            return super().start(command, **environment)
        if self._ground.api is None:
            self._ground.api = super().start("api")
            self.processes.remove(self._ground.api)
            leftovers.share(self._ground.api.pid)
        else:
            self._log_start = self._ground.api.log_path.stat().st_size
        return self._ground.api

    def close(self) -> None:
        """End the workers, and whatever a test that failed has left to do."""
        super().close()
        with self.store() as store:
            for job_id in self.accepted:
                with store.database.begin() as tx:
                    jobs.request_cancel(tx, "default", job_id)

    def complaints(self) -> list[str]:
        found = super().complaints()
        if self._ground.api is not None:
            logged = self._ground.api.log_path.read_bytes()[self._log_start :].decode()
            found += self.complaints_in(logged)
        return found


def check_history(history: Sequence[Event], job: Job) -> None:
    """No move is lost or done twice, none comes after the end, attempts only grow."""
    moves = [event for event in history if event.type in NEXT or event.type in FINAL]
    names = [str(event.type) for event in moves]
    assert names[0] == "job.queued"
    for before, after in pairwise(names):
        assert after in NEXT.get(before, set()), f"{job.id}: {names}"
    assert names[-1] == f"job.{job.status.value}"
    attempts = [event.data["attempt"] for event in moves if event.type == "job.started"]
    assert attempts == sorted(attempts), f"{job.id}: {attempts}"
    assert job.fence == len(attempts), "each claim raises the fence by one"


def check_effect(store: Store, tx: Any, job: Job) -> None:
    """A job has one head version and a report, whole, or neither; if it succeeded, it has both.

    A prediction has an output in their place.
    """
    if job.kind is JobKind.PREDICTION:
        assert (job.status == "succeeded") == (job.output_sha256 is not None)
        if job.output_sha256 is not None:
            assert store.artifacts.get_bytes("default", job.output_sha256)
        return
    if job.status != "succeeded" and job.head_version is None:
        assert (job.head_name, job.report_sha256) == (None, None)
        return
    assert job.head_name is not None
    assert job.head_version is not None
    assert job.report_sha256 is not None
    version = heads.version(tx, "default", job.head_name, job.head_version)
    assert version.job_id == job.id
    assert store.artifacts.get_bytes("default", version.sha256)
    assert store.artifacts.get_bytes("default", job.report_sha256)


def head_versions(deployment: Accepting) -> int:
    """How many versions the head of all these jobs has."""
    with deployment.store() as store, store.database.read() as tx:
        try:
            return heads.get(tx, "default", deployment.head).latest_version
        except NotFound:
            return 0


class Predictions:
    """Predictions one after another from a thread, each compared with the first answer."""

    def __init__(self, url: str, reference: str, x: np.ndarray) -> None:
        self._url, self._body = url, {"head": reference, "embeddings": x.tolist()}
        self.n_done = 0
        self.wrong: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Predictions":
        self._thread.start()
        wait_until(lambda: self.n_done or self.wrong)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(60)

    def _run(self) -> None:
        first = None
        with httpx.Client(base_url=self._url, timeout=60) as http:
            while not self._stopping.is_set():
                try:
                    response = http.post("/predict", json=self._body)
                except httpx.HTTPError as error:
                    self.wrong.append(repr(error))
                    time.sleep(0.05)
                    continue
                if response.status_code != 200:
                    self.wrong.append(response.text[:200])
                    time.sleep(0.05)
                    continue
                answer = response.json()["labels"], response.json()["probabilities"]
                first = first or answer
                if answer != first:
                    self.wrong.append("another answer")
                self.n_done += 1


def upload(client: Client, arrays: dict[str, Any]) -> str:
    """The id of the tiny data set."""
    dataset_id: str = client.datasets.upload(arrays, name="pets").id
    return dataset_id


def trainings(process: Process) -> list[psutil.Process]:
    """The training processes of a worker that runs."""
    return wait_until(process.trainings)  # type: ignore[no-any-return]
