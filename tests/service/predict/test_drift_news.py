"""Webhooks are told when a head's drift changes: once, where its sums are stored."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from nmtune import Head
from nmtune.trust.knowledge import learn
from nmtune.trust.row_summary import RowSummary
from service.predict.drift_recorder import DriftRecorder
from store import drift
from store.database import tables
from store.database.clock import seconds_from_now
from store.registry import heads
from store.store import Store
from store.webhooks.endpoints import Endpoint
from tests.service.in_process import publish
from tests.store.made_rows import statements
from tests.store.webhooks.subscribed import endpoint, told

Rows = tuple[np.ndarray, np.ndarray]


class Served:
    """A head that predicts rows, and the recorders of the processes that serve it."""

    def __init__(self, store: Store, knowing: bytes, x: np.ndarray) -> None:
        publish(store, knowing)
        with store.database.read() as tx:
            self.sha256 = heads.resolve(tx, "default", "pets").sha256
        knowledge = Head.from_bytes(knowing).knowledge
        assert knowledge is not None
        self.summary: RowSummary = knowledge.row_summary
        self.x = x
        self.recorders = [DriftRecorder(store, flush_seconds=3600) for _ in range(2)]

    def predict(self, *, shift: float, process: int = 0, times: int = 10) -> None:
        """Rows like those of the training, moved by so much, and their sums stored."""
        recorder = self.recorders[process]
        for _ in range(times):
            x = (self.x + shift).astype(np.float32)
            predicted = np.tile(np.float32([1, 0]), (len(x), 1))
            predicted[len(x) // 2 :] = [0, 1]
            recorder.record("default", self.sha256, self.summary, x, predicted)
        recorder.fold()
        recorder.flush()


@pytest.fixture
def served(store: Store, trained: bytes, rows: Rows) -> Iterator[Served]:
    x, y = rows
    knowledge = learn(x, y, predicted=y, of_truth=None, n_classes=2, seed=0)
    served = Served(store, Head.from_bytes(trained).with_knowledge(knowledge).to_bytes(), x)
    yield served
    for recorder in served.recorders:
        recorder.close()


@pytest.fixture
def listening(store: Store) -> Endpoint:
    return endpoint(store, events=["drift.changed"])


def changes(store: Store, listening: Endpoint) -> list[tuple[Any, Any]]:
    return [(one["data"]["from"], one["data"]["to"]) for one in told(store, listening)]


def let_pass(store: Store, *, hours: float, windows: bool = False) -> None:
    """Let the last change, and the windows if so, lie so much further back."""
    with store.database.begin() as tx:
        moment = seconds_from_now(-3600 * hours)
        tx.execute(update(tables.drift_states).values(changed_at=moment))
        if windows:
            tx.execute(update(tables.drift_windows).values(started_at=moment))


def test_a_change_is_told_once(store: Store, served: Served, listening: Endpoint) -> None:
    served.predict(shift=0)
    assert told(store, listening) == []
    served.predict(shift=5)
    [message] = told(store, listening)
    assert message["type"] == "drift.changed"
    assert message["data"] == {
        "head": "pets",
        "version": 1,
        "from": "none",
        "to": "much",
        "n_rows": 800,
        "hours": 24,
        "path": "/heads/pets/drift?version=1",
    }
    served.predict(shift=5)
    served.predict(shift=5, process=1)  # another process stores into the same window
    assert len(told(store, listening)) == 1


def test_of_two_processes_that_see_it_one_tells(
    store: Store, served: Served, listening: Endpoint
) -> None:
    for process in (0, 1):
        served.predict(shift=5, process=process)
    assert changes(store, listening) == [("none", "much")]


def test_calmer_is_told_an_hour_after_the_last_change(
    store: Store, served: Served, listening: Endpoint
) -> None:
    served.predict(shift=5)
    let_pass(store, hours=0.5)
    with store.database.begin() as tx:
        assert drift.note_state(tx, "default", served.sha256, "none") is None
    let_pass(store, hours=25, windows=True)
    served.predict(shift=0)
    assert changes(store, listening) == [("none", "much"), ("much", "none")]


def test_few_rows_are_no_state(store: Store, served: Served, listening: Endpoint) -> None:
    served.predict(shift=5, times=2)
    assert told(store, listening) == []


def test_nothing_is_measured_while_nobody_listens(
    store: Store, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmtune.trust.drift.measure_drift", pytest.fail)
    endpoint(store, events=["job.failed"])
    with statements() as sent:
        served.predict(shift=5)
    assert not [one for one in sent if "drift_states" in str(one)]


def test_a_deleted_head_is_not_told_of(store: Store, served: Served, listening: Endpoint) -> None:
    with store.database.begin() as tx:
        tx.execute(tables.head_versions.delete())
    served.predict(shift=5)
    assert told(store, listening) == []


def test_a_state_is_forgotten_with_its_windows(
    store: Store, served: Served, listening: Endpoint
) -> None:
    served.predict(shift=5)
    let_pass(store, hours=drift.KEPT_HOURS + 1, windows=True)
    with store.database.begin() as tx:
        drift.prune(tx)
        assert tx.execute(tables.drift_states.select()).all() == []
    assert listening.events
