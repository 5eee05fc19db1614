"""Predictions of files have slots of their own: no training is in their way, however many wait."""

import threading
from typing import Any

import pytest

from store import jobs, transitions
from store.jobs import Job
from store.queue import LocalQueue
from tests.servers.redis import RedisServer
from tests.support.waiting import wait_until
from tests.workers.child.test_predict import OPTIONS, add_rows, rows
from tests.workers.workplace import ENDLESS, Workplace, children, start_worker
from workers.attempt.run import child_environment
from workers.slots.local import LocalWorker
from workers.slots.prediction import PredictionSlots
from workers.slots.storage_gate import StorageGate

SECONDS_OF_WORK = 300_000
"""So many rows are still being predicted when a test looks, though the machine pauses."""


def predict(place: Workplace, head: tuple[str, int], *, n_rows: int = 50, **options: Any) -> Job:
    dataset = add_rows(place, rows(n_rows))
    with place.store.database.begin() as tx:
        return jobs.submit(
            tx,
            "default",
            name="pets",
            dataset_id=dataset.id,
            method="linear_probe",
            config=OPTIONS,
            predicting=head,
            **options,
        )


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    """A workplace with the head pets@1."""
    ended = workplace.run(workplace.submit({"l2": 1.0}, method="linear_probe"))
    assert ended is not None
    assert ended.status == "succeeded", ended.error
    return workplace


def test_a_prediction_is_done_while_a_training_holds_the_only_slot(place: Workplace) -> None:
    training, waiting = (place.submit(ENDLESS, method="mlp") for _ in range(2))
    worker = start_worker(place)
    try:
        wait_until(lambda: place.read(training).status == "running")
        job = predict(place, ("pets", 1))
        wait_until(lambda: place.read(job).status == "succeeded")
        assert place.read(training).status == "running"
        assert place.read(waiting).status == "queued"
        assert len(children()) == 1
    finally:
        worker.stop()
    assert place.read(training).status == "queued", "handed back"
    assert children() == []


def test_a_prediction_in_its_slot_is_cancelled_handed_back_and_leased_as_any_job(
    place: Workplace,
) -> None:
    stopping = threading.Event()
    slots = PredictionSlots(
        place.store, place.settings, stopping, stopping.wait, StorageGate(place.store.artifacts)
    )
    slots.start()
    try:
        trained = place.submit({"l2": 1.0}, method="linear_probe")
        job = predict(place, ("pets", 1), n_rows=SECONDS_OF_WORK)
        wait_until(lambda: place.read(job).status == "running")
        claimed = place.read(job)
        assert claimed.worker is not None
        assert claimed.worker.endswith(":predict-0")
        assert claimed.lease_expires_at is not None
        place.request_cancel(job)
        wait_until(lambda: place.read(job).status.is_final)
        assert place.read(job).status in {"cancelled", "succeeded"}
        later = predict(place, ("pets", 1), n_rows=SECONDS_OF_WORK)
        wait_until(lambda: place.read(later).status == "running")
        stopping.set()
    finally:
        stopping.set()
        slots.join()
    assert place.read(later).status in {"queued", "succeeded"}
    assert place.read(trained).status == "queued", "these slots train nothing"
    assert children() == []


def test_without_such_slots_predictions_take_their_turn(place: Workplace) -> None:
    settings = place.settings.model_copy(update={"prediction_slots": 0})
    job = predict(place, ("pets", 1))
    worker = LocalWorker(place.store, LocalQueue(), settings)
    worker.start()
    try:
        wait_until(lambda: place.read(job).status == "succeeded")
    finally:
        worker.stop()


def test_priority_and_fair_turns_hold_among_predictions(place: Workplace) -> None:
    plain, urgent = predict(place, ("pets", 1)), predict(place, ("pets", 1), priority=3)
    with place.store.database.begin() as tx:
        found = transitions.claim_next(tx, worker="w", lease_seconds=60, kind=urgent.kind)
    assert found is not None
    assert found.id == urgent.id
    assert place.read(plain).status == "queued"


def test_threads_are_shared_and_no_gpu_is_taken(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    settings = workplace.settings.model_copy(
        update={"n_threads": None, "slots": 2, "prediction_slots": 2, "gpus": ("3", "4")}
    )
    assert (settings.threads_per_slot, settings.threads_per_prediction) == (4, 2)
    assert child_environment(settings, slot=1)["CUDA_VISIBLE_DEVICES"] == "4"
    assert child_environment(settings, slot=-1)["CUDA_VISIBLE_DEVICES"] == ""


def test_a_celery_worker_has_them_too(place: Workplace, redis_server: RedisServer) -> None:
    """Its pool is busy with a training, and no message of the prediction is needed."""
    from workers.slots.celery import CeleryWorker

    worker = CeleryWorker(place.store, place.settings, broker_url=redis_server.url)
    job = predict(place, ("pets", 1))
    worker._predictions.start()
    try:
        wait_until(lambda: place.read(job).status == "succeeded")
    finally:
        worker._stopping.set()
        worker._predictions.join()
