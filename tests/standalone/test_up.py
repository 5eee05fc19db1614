"""Whole processes: everything in one, API and worker apart, and how they stop."""

import re
import sqlite3
import threading
from pathlib import Path

import httpx
import pytest

import migrations
from store import jobs
from store.database.connection import Database, wal_reset_warning
from store.jobs import Job
from tests.servers.redis import RedisServer
from tests.standalone.servers import Start, job_request, status, submit
from tests.support.waiting import wait_until
from workers.settings import WorkerSettings

QUICK = {"n_threads": 1, "lease_seconds": 60, "checkpoint_seconds": 0, "poll_seconds": 0.2}
ENDLESS = 10_000


@pytest.mark.slow
def test_everything_in_one_process_from_job_to_prediction_to_stop(
    start: Start, tmp_path: Path
) -> None:
    quick = QUICK | {"standby": False}  # its children are then its trainings
    server = start("up", "--port", "0", "--data-dir", str(tmp_path), **quick)
    line = server.ready_line()
    found = re.fullmatch(
        r"NMTune is ready at (http://127\.0\.0\.1:(\d+)) \(docs at /docs\)\. "
        r"All state is in (.+)\. It is safe to kill at any time\.",
        line,
    )
    assert found is not None, line
    assert int(found[2]) > 0
    assert found[3] == str(tmp_path)
    with httpx.Client(base_url=found[1], timeout=120) as client:
        assert client.get("/readyz").status_code == 200
        ended = client.post("/jobs", json=job_request(epochs=30), headers={"Prefer": "wait=60"})
        assert ended.json()["status"] == "succeeded", ended.text
        told = client.get("/predict", params={"head": "blobs", "embedding": "2,2,2,2,2,2,2,2"})
        assert told.json()["label"] == "class 1"

        job_id = submit(client, epochs=ENDLESS)
        wait_until(lambda: client.get(f"/jobs/{job_id}").json()["progress"])
        trainings = server.trainings()
        assert len(trainings) == 1
        follower = Follower(client, job_id)
        assert follower.received.wait(30)
        assert server.stop() == 0, "an open stream holds nobody up"
        follower.join(30)
        assert not follower.is_alive()
    assert not any(training.is_running() for training in trainings)
    assert "Traceback" not in server.errors
    assert "server.starting Updating the database" in server.errors
    assert "WAL-reset" not in server.errors, "one process writes, which the bug does not concern"
    job = read_job(tmp_path, job_id)
    assert (job.status, job.attempt) == ("queued", 0)


class Follower(threading.Thread):
    """Reads a job's event stream until the server ends it."""

    def __init__(self, client: httpx.Client, job_id: str) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._path = f"/jobs/{job_id}/events"
        self.received = threading.Event()
        self.start()

    def run(self) -> None:
        accept = {"Accept": "text/event-stream"}
        with self._client.stream("GET", self._path, headers=accept) as stream:
            for _ in stream.iter_lines():
                self.received.set()


def read_job(folder: Path, job_id: str) -> Job:
    database = Database.open(WorkerSettings(data_dir=folder).database_url)
    try:
        with database.read() as tx:
            return jobs.get(tx, "default", job_id)
    finally:
        database.close()


@pytest.mark.slow
def test_api_and_worker_apart_and_a_worker_that_dies(start: Start, tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path))
    migrations.upgrade(WorkerSettings(data_dir=tmp_path).database_url)
    api = start("api", "--port", "0", *folder, **QUICK)
    worker = start("worker", *folder, **QUICK | {"lease_seconds": 6})
    assert worker.ready_line().startswith("NMTune worker is ready")
    with api.client() as client:
        job_id = submit(client, epochs=ENDLESS)
        wait_until(lambda: client.get(f"/jobs/{job_id}").json()["progress"])
        worker.process.kill()
        # Nobody but the API is left to see that the lease runs out.
        wait_until(lambda: status(client, job_id) == "queued")
        assert client.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"

        second = start("worker", *folder, **QUICK)
        job_id = submit(client, epochs=2)
        wait_until(lambda: status(client, job_id) == "succeeded")
    assert second.stop() == 0
    assert api.stop() == 0
    assert "Traceback" not in api.errors + second.errors
    is_concerned = wal_reset_warning(sqlite3.sqlite_version_info) is not None
    for one in (api, second):
        assert ("several processes write" in one.errors) == is_concerned


def test_a_worker_behind_a_broker_can_be_stopped_as_soon_as_it_is_ready(
    start: Start, tmp_path: Path, redis_server: RedisServer
) -> None:
    """Celery listens to signals only a moment after the line."""
    migrations.upgrade(WorkerSettings(data_dir=tmp_path).database_url)
    worker = start("worker", "--data-dir", str(tmp_path), **QUICK, broker_url=redis_server.url)
    assert worker.ready_line().startswith("NMTune worker is ready")
    assert worker.stop() == 0
    assert "Traceback" not in worker.errors
