"""The outputs of predictions: one file a job, named by its row, deleted really, expiring."""

import pytest
from sqlalchemy import null, update
from sqlalchemy.exc import IntegrityError

from store import jobs, outputs, transitions
from store.cleanup import garbage
from store.database import tables
from store.database.clock import seconds_from_now
from store.errors import LeaseLost, NotFound, OutputNotReady
from store.jobs import Job
from store.states import JobKind
from store.store import Store
from tests.store.made_rows import Rows

OUTPUT = {"format": "csv", "n_rows": 3, "size_bytes": 6}


def queued(store: Store, rows: Rows, tenant_id: str = "default") -> Job:
    dataset = rows.dataset(tenant_id)
    with store.database.begin() as tx:
        return jobs.submit(
            tx,
            tenant_id,
            name="pets",
            dataset_id=dataset.id,
            method="mlp",
            config={"format": "csv"},
            predicting=("pets", 3),
        )


def delivered(store: Store, rows: Rows, data: bytes = b"output", tenant_id: str = "default") -> Job:
    claimed = rows.claimed(queued(store, rows, tenant_id))
    reference = store.artifacts.put_bytes(tenant_id, data)
    with store.database.begin() as tx:
        return transitions.deliver(tx, claimed, output_sha256=reference.sha256, output=OUTPUT)


def test_a_prediction_names_its_head_from_the_start_and_its_output_at_the_end(
    store: Store, rows: Rows
) -> None:
    job = queued(store, rows)
    assert (job.kind, job.head_name, job.head_version) == (JobKind.PREDICTION, "pets", 3)
    assert job.output_sha256 is None
    with pytest.raises(OutputNotReady, match="queued"):
        outputs.of_job(job)
    ended = delivered(store, rows)
    assert ended.status == "succeeded"
    assert outputs.of_job(ended).n_rows == 3
    assert ended.report_sha256 is None


def test_a_training_has_no_output(store: Store, rows: Rows) -> None:
    job = rows.succeeded()
    assert job.kind is JobKind.TRAINING
    with pytest.raises(OutputNotReady, match="report"):
        outputs.of_job(job)
    claimed = rows.running()
    with pytest.raises(IntegrityError), store.database.begin() as tx:
        transitions.deliver(tx, claimed, output_sha256="a" * 64, output=OUTPUT)


def test_an_old_fence_delivers_nothing(store: Store, rows: Rows) -> None:
    job = queued(store, rows)
    old = rows.claimed(job)
    rows.expire(old)
    with store.database.begin() as tx:
        transitions.sweep(tx)
    rows.claimed(job)
    with pytest.raises(LeaseLost), store.database.begin() as tx:
        transitions.deliver(tx, old, output_sha256="a" * 64, output=OUTPUT)
    assert rows.read(job).output_sha256 is None


def test_bytes_are_named_until_the_last_job_loses_them(store: Store, rows: Rows) -> None:
    first, twin = delivered(store, rows), delivered(store, rows)
    assert first.output_sha256 == twin.output_sha256
    with store.database.begin() as tx:
        assert outputs.delete(tx, "default", first.id) is None
    with store.database.begin() as tx:
        unnamed = outputs.delete(tx, "default", twin.id)
    assert unnamed is not None
    assert unnamed.sha256 == twin.output_sha256
    with pytest.raises(OutputNotReady, match="deleted"), store.database.begin() as tx:
        outputs.delete(tx, "default", twin.id)
    assert rows.read(twin).output is None


def test_another_tenants_output_is_not_there(store: Store, rows: Rows) -> None:
    job = delivered(store, rows)
    with pytest.raises(NotFound), store.database.begin() as tx:
        outputs.delete(tx, "other", job.id)
    assert rows.read(job).output_sha256 is not None


def test_the_collection_keeps_outputs_and_ends_old_ones(store: Store, rows: Rows) -> None:
    young, old = delivered(store, rows, b"young"), delivered(store, rows, b"old")
    with store.database.begin() as tx:
        tx.execute(
            update(tables.jobs)
            .where(tables.jobs.c.id == old.id)
            .values(finished_at=seconds_from_now(-garbage.OUTPUTS_KEPT_SECONDS - 1))
        )
    garbage.collect(store, older_than_seconds=-60)
    assert young.output_sha256 is not None
    assert old.output_sha256 is not None
    assert store.artifacts.exists("default", young.output_sha256)
    assert not store.artifacts.exists("default", old.output_sha256)
    assert rows.read(old).output_sha256 is None
    assert rows.read(old).status == "succeeded"


def test_a_prediction_without_a_head_is_refused_by_the_table(store: Store, rows: Rows) -> None:
    job = queued(store, rows)
    with pytest.raises(IntegrityError), store.database.begin() as tx:
        tx.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(head_name=null()))
