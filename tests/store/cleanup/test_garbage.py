"""The garbage collection: what a row names stays, what nothing names goes when it is old."""

import os
import time
from pathlib import Path

import pytest

from store import datasets, idempotency, transitions
from store.cleanup import garbage
from store.store import Store
from tests.store.made_rows import Rows, new_head


@pytest.fixture
def put(store: Store) -> "Put":
    return Put(store)


class Put:
    """Stores bytes of a given age in the test's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, data: bytes, *, days: float = 2, tenant_id: str = "default") -> str:
        sha256 = self._store.artifacts.put_bytes(tenant_id, data).sha256
        path = self._store.artifacts.open_path(tenant_id, sha256)
        os.utime(path, (time.time() - days * 86_400,) * 2)
        return sha256


def test_bytes_that_a_row_names_stay(store: Store, rows: Rows, put: Put) -> None:
    dataset_bytes, head_bytes, report, checkpoint = (put(data) for data in (b"1", b"2", b"3", b"4"))
    rows.dataset(sha256=dataset_bytes)
    done, running = rows.running(), rows.running()
    with store.database.begin() as tx:
        transitions.succeed(tx, done, report_sha256=report, head=new_head(sha256=head_bytes))
        transitions.heartbeat(tx, running, lease_seconds=60, checkpoint={"a": checkpoint})
    assert garbage.collect(store).n_artifacts == 0
    for sha256 in (dataset_bytes, head_bytes, report, checkpoint):
        assert store.artifacts.exists("default", sha256)


def test_old_bytes_that_no_row_names_go(store: Store, rows: Rows, put: Put) -> None:
    orphan, young = put(b"orphan"), put(b"young", days=0.5)
    another_tenants = put(b"1", tenant_id="theirs")
    rows.dataset(sha256=put(b"1"))  # names its own tenant's bytes only
    collected = garbage.collect(store)
    assert (collected.n_artifacts, collected.n_bytes) == (2, 7)
    assert not store.artifacts.exists("default", orphan)
    assert not store.artifacts.exists("theirs", another_tenants)
    assert store.artifacts.exists("default", young)


def test_a_finished_job_lets_go_of_its_checkpoint(store: Store, rows: Rows, put: Put) -> None:
    job = rows.running()
    checkpoint = put(b"checkpoint")
    with store.database.begin() as tx:
        transitions.heartbeat(tx, job, lease_seconds=60, checkpoint={"a": checkpoint})
    with store.database.begin() as tx:
        transitions.release(tx, job)
    assert garbage.collect(store).n_artifacts == 0, "a queued job goes on from it"
    again = rows.claimed(job)
    with store.database.begin() as tx:
        transitions.fail(tx, again, error={"code": "a", "message": "b"})
    assert garbage.collect(store).n_artifacts == 1


def test_a_deleted_dataset_lets_go_of_its_bytes(store: Store, rows: Rows, put: Put) -> None:
    dataset = rows.dataset(sha256=put(b"1"))
    with store.database.begin() as tx:
        datasets.delete(tx, "default", dataset.id)
    assert garbage.collect(store).n_artifacts == 1


def test_leftovers_and_old_answers_go_too(store: Store, folder: Path) -> None:
    left = folder / "artifacts" / ".tmp" / "left"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    with store.database.begin() as tx:
        idempotency.save(tx, "default", "k", request_hash="h", status_code=200, body=b"")
    collected = garbage.collect(store)
    assert (collected.n_leftovers, collected.n_idempotency_keys) == (1, 0)
    assert not left.exists()
