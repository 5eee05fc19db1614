"""Drift over HTTP: rows are counted beside predictions, never in their way."""

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select, update

from nmtune import Head
from nmtune.trust.drift import measure_drift
from nmtune.trust.knowledge import learn
from nmtune.trust.row_summary import RowSummary
from service.app import create_app
from service.predict.drift_recorder import MOST_BYTES, DriftRecorder
from service.settings import ServiceSettings
from store import drift
from store.database import tables
from store.database.clock import seconds_from_now
from store.queue import LocalQueue
from store.registry import heads
from store.store import Store
from tests.service.in_process import InProcess, assert_problem, publish
from tests.support.waiting import wait_until

Rows = tuple[np.ndarray, np.ndarray]
TENANT = "default"


@pytest.fixture(scope="module")
def knowing(trained: bytes, rows: Rows) -> bytes:
    """The head with a sketch of its training rows."""
    x, y = rows
    head = Head.from_bytes(trained)
    knowledge = learn(x, y, predicted=y, of_truth=None, n_classes=2, seed=0)
    return head.with_knowledge(knowledge).to_bytes()


@pytest.fixture
def recorder(store: Store) -> Iterator[DriftRecorder]:
    recorder = DriftRecorder(store, flush_seconds=3600)
    yield recorder
    recorder.close()


def sketch_of(data: bytes) -> RowSummary:
    knowledge = Head.from_bytes(data).knowledge
    assert knowledge is not None
    return knowledge.row_summary


def stored(store: Store, sketch: RowSummary, sha256: str = "a" * 64) -> drift.Total:
    with store.database.read() as tx:
        return drift.total(tx, TENANT, sha256, n_sums=sketch.n_sums)


def record(
    recorder: DriftRecorder, sketch: RowSummary, x: np.ndarray, sha256: str = "a" * 64
) -> None:
    recorder.record(TENANT, sha256, sketch, x, np.tile(np.float32([0.2, 0.8]), (len(x), 1)))


def test_predicted_rows_are_compared_with_the_training_rows(
    settings: ServiceSettings, store: Store, knowing: bytes, rows: Rows
) -> None:
    publish(store, knowing, alias="prod")
    settings = settings.model_copy(update={"drift": "on", "drift_flush_seconds": 3600.0})
    app = create_app(settings, store=store, queue=LocalQueue())
    client = InProcess(app)
    body = {"head": "pets@prod", "embeddings": (rows[0] + 0.5).tolist()}
    for _ in range(10):
        assert client.post("/predict", json=body).status_code == 200
    app.state.services.predictor.close()
    found = client.get("/heads/pets/drift?alias=prod").json()
    assert (found["name"], found["version"], found["hours"]) == ("pets", 1, 24)
    assert (found["is_recording"], found["state"], found["n_rows"]) == (True, "much", 400)
    assert found["n_training_rows"] == 40
    deviation = float(np.sqrt(np.mean((0.5 / rows[0].std(axis=0)) ** 2)))
    assert found["mean_shift"] == pytest.approx(deviation, rel=0.05)
    assert "are far from the training rows" in found["sentence"]
    assert {column["column"] for column in found["columns"]} == {0, 1, 2}
    assert found["first_at"] is not None
    assert client.get("/heads/pets/drift?version=1&hours=1").json()["n_rows"] in (0, 400)


def test_hours_are_compared_one_by_one(
    client: InProcess, store: Store, knowing: bytes, rows: Rows
) -> None:
    """Three hours: the training rows again, the same moved by a deviation, and too few rows."""
    publish(store, knowing)
    sketch = sketch_of(knowing)
    sha256 = hashlib.sha256(knowing).hexdigest()
    x = np.tile(rows[0], (100, 1))
    hours = [x, x + sketch.deviation, x[:50]]
    for age, seen in zip((5, 3, 0), hours, strict=True):
        with store.database.begin() as tx:
            sums = sketch.sums(seen, np.arange(len(seen)) % 2)
            drift.add(tx, TENANT, sha256, n_rows=len(seen), sums=sums)
            windows = tables.drift_windows
            newest = select(func.max(windows.c.started_at)).scalar_subquery()
            tx.execute(
                update(windows)
                .where(windows.c.started_at == newest)
                .values(started_at=seconds_from_now(-3600.0 * age - 1))
            )
    found = client.get("/heads/pets/drift?by=hour").json()
    assert client.get("/heads/pets/drift").json() == found | {"windows": None}
    assert [one["n_rows"] for one in found["windows"]] == [4000, 4000, 50]
    assert [one["state"] for one in found["windows"]] == ["none", "much", "not_enough_rows"]
    apart = [measure_drift(sketch, len(x), sketch.sums(x, np.arange(len(x)) % 2)) for x in hours]
    for shown, expected in zip(found["windows"], apart, strict=True):
        assert shown == {
            "started_at": shown["started_at"],
            **{name: getattr(expected, name) for name in shown if name != "started_at"},
        }
    assert found["windows"][1]["mean_shift"] == pytest.approx(1, abs=0.1)
    starts = [one["started_at"] for one in found["windows"]]
    assert (found["first_at"], found["last_at"]) == (starts[0], starts[-1])
    assert starts == sorted(starts)
    assert len(client.get("/heads/pets/drift?by=hour&hours=2").json()["windows"]) == 1


def test_by_default_nothing_is_counted(client: InProcess, store: Store, knowing: bytes) -> None:
    publish(store, knowing)
    answer = client.get("/predict?head=pets&embedding=0,0,0")
    assert answer.status_code == 200
    found = client.get("/heads/pets/drift").json()
    assert (found["is_recording"], found["n_rows"]) == (False, 0)
    assert (found["state"], found["mean_shift"]) == ("not_enough_rows", None)
    assert found["sentence"].startswith("Not enough rows yet")
    assert found["sentence"].endswith("set NMTUNE_DRIFT=on to count them.")
    assert "drift" not in {thread.name for thread in threading.enumerate()}


def test_what_cannot_be_told_is_refused(client: InProcess, store: Store, trained: bytes) -> None:
    publish(store, trained, alias="prod")
    problem = assert_problem(client.get("/heads/pets/drift"), 422, "not_learnt", "name")
    assert "Train it again" in problem["detail"]
    assert_problem(
        client.get("/heads/pets/drift?version=1&alias=prod"), 422, "invalid_request", "alias"
    )
    assert_problem(client.get("/heads/pets/drift?hours=721"), 422, "invalid_request", "hours")
    assert_problem(client.get("/heads/pets/drift?by=day"), 422, "invalid_request", "by")
    assert_problem(client.get("/heads/dogs/drift"), 404, "not_found")
    assert_problem(client.get("/heads/pets/drift?version=9"), 404, "not_found")


def test_sums_are_those_of_all_rows_and_reach_the_database_on_close(
    store: Store, recorder: DriftRecorder, knowing: bytes, rows: Rows
) -> None:
    sketch, x = sketch_of(knowing), rows[0]
    for at in range(0, 40, 8):
        record(recorder, sketch, x[at : at + 8])
    record(recorder, sketch, x[:3], sha256="b" * 64)
    recorder.close()
    found = stored(store, sketch)
    assert found.n_rows == 40
    np.testing.assert_allclose(found.sums, sketch.sums(x, np.ones(40, np.int64)))
    assert stored(store, sketch, "b" * 64).n_rows == 3


def test_a_thread_stores_the_sums_every_few_seconds(
    store: Store, knowing: bytes, rows: Rows
) -> None:
    recorder = DriftRecorder(store, flush_seconds=0.05)
    sketch = sketch_of(knowing)
    record(recorder, sketch, rows[0])
    wait_until(lambda: stored(store, sketch).n_rows >= 40)
    recorder.close()


def test_sums_wait_for_a_database_that_is_away(
    settings: ServiceSettings, store: Store, recorder: DriftRecorder, knowing: bytes, rows: Rows
) -> None:
    path = Path(settings.data_dir) / "nmtune.db"
    sketch = sketch_of(knowing)
    record(recorder, sketch, rows[0])
    store.database.close()
    moved = path.rename(path.with_suffix(".away"))
    path.mkdir()
    recorder.fold()
    recorder.flush()
    path.rmdir()
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    moved.rename(path)
    recorder.flush()
    assert stored(store, sketch).n_rows == 40


@pytest.mark.serial
def test_recording_takes_microseconds_and_is_bounded(
    recorder: DriftRecorder, knowing: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    sketch = sketch_of(knowing)
    row = np.zeros((1, 3), np.float32)
    record(recorder, sketch, row)
    times = []
    for _ in range(2000):
        began = time.perf_counter()
        record(recorder, sketch, row)
        times.append(time.perf_counter() - began)
    assert np.median(times) < 50e-6
    many = np.zeros((1_000_000, 3), np.float32)
    for _ in range(2 + MOST_BYTES // many.nbytes):
        record(recorder, sketch, many)
    recorder.flush()
    assert "drift.dropped" in caplog.text


def test_a_bug_in_the_counting_touches_no_prediction(
    settings: ServiceSettings, store: Store, knowing: bytes, caplog: Any
) -> None:
    """Sums of another length are there already, which cannot be unless someone put them there."""
    publish(store, knowing)
    with store.database.begin() as tx:
        version = heads.resolve(tx, TENANT, "pets")
        drift.add(tx, TENANT, version.sha256, n_rows=1, sums=np.zeros(1))
    settings = settings.model_copy(update={"drift": "on", "drift_flush_seconds": 3600.0})
    app = create_app(settings, store=store, queue=LocalQueue())
    assert InProcess(app).get("/predict?head=pets&embedding=0,0,0").status_code == 200
    app.state.services.predictor.close()
    assert "drift.lost" in caplog.text


def test_the_sums_of_two_processes_add_up_exactly(
    settings: ServiceSettings, store: Store, knowing: bytes
) -> None:
    """Each flushes many times while the other does; of whole numbers no sum is rounded."""
    sketch = sketch_of(knowing)
    other = Store.open(settings)
    recorders = [DriftRecorder(one, flush_seconds=3600) for one in (store, other)]
    rows = [np.full((4, 3), number, np.float32) for number in range(20)]

    def serve(recorder: DriftRecorder) -> None:
        for x in rows:
            record(recorder, sketch, x)
            recorder.fold()
            recorder.flush()

    threads = [threading.Thread(target=serve, args=(one,)) for one in recorders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for recorder in recorders:
        recorder.close()
    other.close()
    found = stored(store, sketch)
    assert found.n_rows == 2 * 4 * len(rows)
    one = sum(sketch.sums(x, np.ones(4, np.int64)) for x in rows)
    np.testing.assert_allclose(found.sums, 2 * one, rtol=1e-12)
