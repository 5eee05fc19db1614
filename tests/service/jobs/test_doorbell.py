"""Commit, then ring: whichever route rings, the worker that wakes up finds the row."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

import migrations
from service.app import create_app
from service.settings import ServiceSettings
from store import transitions
from store.store import Store
from tests.service.in_process import (
    N_COLUMNS,
    InProcess,
    RecordingQueue,
    add_dataset,
    add_job,
    claim,
    publish,
)
from tests.support.places import ROOT
from workers.slots.sweep import Sweeper, remind, sweep

ROWS = [[float(i % 2) + 0.01 * i] * N_COLUMNS for i in range(40)]
RINGING = {
    "service/jobs/submission.py",
    "workers/slots/sweep.py",
    "workers/doorbell/queue.py",
    "store/queue.py",
}
"""Who rings: each is tried below, or rings for rows that it has read from the database."""


class Listening(RecordingQueue):
    """A doorbell that looks at the row from outside at the moment it is rung."""

    def __init__(self, settings: ServiceSettings) -> None:
        super().__init__()
        self._settings = settings
        self.seen: list[str | None] = []

    def send(self, job_id: str, queue: str) -> None:
        other = Store.open(self._settings)
        try:
            with other.database.read() as tx:
                query = text("SELECT status FROM jobs WHERE id = :id")
                self.seen.append(tx.execute(query, {"id": job_id}).scalar_one_or_none())
        finally:
            other.close()
        super().send(job_id, queue)


@pytest.fixture
def bell(settings: ServiceSettings) -> Listening:
    return Listening(settings)


@pytest.fixture
def client(settings: ServiceSettings, store: Store, bell: Listening) -> InProcess:
    app: FastAPI = create_app(
        settings, store=store, queue=bell, expected_schema=migrations.head_revision()
    )
    return InProcess(app)


def train(client: InProcess, dataset_id: str) -> Any:
    return client.post("/jobs", json={"name": "pets", "dataset_id": dataset_id})


def train_inline(client: InProcess, _: str) -> Any:
    body = {"name": "pets", "embeddings": ROWS, "labels": ["cat", "dog"] * 20}
    return client.post("/jobs", json=body)


def predict(client: InProcess, dataset_id: str) -> Any:
    return client.post("/predictions", json={"head": "pets@1", "dataset_id": dataset_id})


DOORS: dict[str, Callable[[InProcess, str], Any]] = {
    "job": train,
    "job with its rows": train_inline,
    "prediction": predict,
}


@pytest.mark.parametrize("door", DOORS)
def test_a_door_rings_when_the_row_is_there_for_all(
    client: InProcess, store: Store, bell: Listening, trained: bytes, door: str
) -> None:
    publish(store, trained)
    response = DOORS[door](client, add_dataset(store))
    assert response.status_code == 202, response.text
    assert bell.rung_for == [response.json()["id"]]
    assert bell.seen == ["queued"], "another process looks, and the row is committed"


def test_a_door_that_refuses_and_a_repeated_key_ring_for_nobody(
    client: InProcess, store: Store, bell: Listening
) -> None:
    assert train(client, "ds_unknown").status_code == 404
    body = {"name": "pets", "dataset_id": add_dataset(store)}
    for _ in range(2):
        client.post("/jobs", json=body, headers={"Idempotency-Key": "one"})
    assert len(bell.seen) == 1


def test_the_sweep_rings_when_the_job_is_queued_again_for_all(
    store: Store, bell: Listening
) -> None:
    job_id = add_job(store)
    with store.database.begin() as tx:
        assert transitions.claim(tx, job_id, worker="dead", lease_seconds=0)
    assert sweep(store, bell).requeued == (job_id,)
    assert bell.seen == ["queued"]


def test_the_sweeper_rings_so_too(store: Store, bell: Listening) -> None:
    job_id = add_job(store)
    with store.database.begin() as tx:
        assert transitions.claim(tx, job_id, worker="dead", lease_seconds=0)
    sweeper = Sweeper(store, bell, poll_seconds=0.05, lease_seconds=1)
    sweeper.start()
    try:
        assert bell.wait(60)
    finally:
        sweeper.stop()
    assert bell.seen == ["queued"]


def test_a_reminder_rings_for_what_is_there(store: Store, bell: Listening) -> None:
    job = claim(store, add_job(store))
    with store.database.begin() as tx:
        transitions.release(tx, job)
    remind(store, bell, limit=5)
    assert (bell.rung_for, bell.seen) == ([job.id], ["queued"])


def test_a_cancel_rings_for_nobody(client: InProcess, store: Store, bell: Listening) -> None:
    assert client.post(f"/jobs/{add_job(store)}/cancel").status_code == 200
    assert bell.seen == []


def test_nobody_else_rings() -> None:
    """A door that is added has to be added above."""
    rings = re.compile(r"queue\.send\(|_app\.send_task\(")
    found = {
        str(path.relative_to(ROOT))
        for folder in ("service", "workers", "standalone", "store")
        for path in (ROOT / folder).rglob("*.py")
        if rings.search(path.read_text())
    }
    assert found == RINGING
