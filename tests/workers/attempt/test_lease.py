"""The lease on a real database: renewal, news both ways, and a database that goes away."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from store import jobs, transitions
from store.jobs import Job
from tests.support.waiting import wait_until
from tests.workers.workplace import Workplace
from workers.attempt.lease import Lease
from workers.attempt.supervise import Ending

BEAT_SECONDS = 0.05


@pytest.fixture
def job(workplace: Workplace) -> Job:
    submitted = workplace.submit({})
    with workplace.store.database.begin() as tx:
        claimed = transitions.claim(tx, submitted.id, worker="tests", lease_seconds=60)
    assert claimed is not None
    return claimed


@contextmanager
def database_away(workplace: Workplace) -> Iterator[None]:
    """No statement about jobs works meanwhile."""
    path = workplace.settings.data_dir / "nmtune.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA legacy_alter_table = ON")
        connection.execute("ALTER TABLE jobs RENAME TO away")
        try:
            yield
        finally:
            connection.execute("ALTER TABLE away RENAME TO jobs")


def lease_of(workplace: Workplace, job: Job, *, seconds: float = 60) -> Lease:
    return Lease(workplace.store, job, lease_seconds=seconds, heartbeat_seconds=BEAT_SECONDS)


def test_lease_is_renewed_while_nobody_says_anything(workplace: Workplace, job: Job) -> None:
    first = workplace.read(job).lease_expires_at
    assert first is not None
    with lease_of(workplace, job) as lease:
        wait_until(lambda: (workplace.read(job).lease_expires_at or first) > first)
        assert lease.ending is None


def test_cancel_request_arrives(workplace: Workplace, job: Job) -> None:
    with lease_of(workplace, job) as lease:
        workplace.request_cancel(job)
        wait_until(lambda: lease.ending is Ending.CANCELLED)


def test_loss_arrives_and_nothing_is_written_after(workplace: Workplace, job: Job) -> None:
    with lease_of(workplace, job) as lease:
        with workplace.store.database.begin() as tx:
            transitions.release(tx, job)
        wait_until(lambda: lease.ending is Ending.LEASE_LOST)
        lease.tell({"epoch": 1}, is_milestone=True)
    assert workplace.progress(job) == []


def test_milestones_land_and_the_rest_may_be_overtaken(workplace: Workplace, job: Job) -> None:
    with lease_of(workplace, job) as lease, database_away(workplace):
        lease.enter_stage("training")
        for epoch in range(1, 10):
            lease.tell({"candidate": "mlp", "epoch": epoch}, is_milestone=epoch == 5)
    epochs = [progress["epoch"] for progress in workplace.progress(job)]
    assert 5 in epochs
    assert epochs[-1] == 9
    assert len(epochs) < 9
    after = workplace.read(job)
    assert (after.stage, after.progress) == ("training", {"candidate": "mlp", "epoch": 9})


def test_database_that_is_away_briefly_costs_nothing(
    workplace: Workplace, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    with lease_of(workplace, job) as lease:
        with database_away(workplace):
            lease.tell({"epoch": 1}, is_milestone=True)
            wait_until(lambda: "lease.heartbeat_failed" in caplog.text)
            assert lease.ending is None
        wait_until(lambda: workplace.progress(job))


def test_database_that_stays_away_ends_the_lease_before_it_runs_out(
    workplace: Workplace, job: Job
) -> None:
    with lease_of(workplace, job, seconds=1) as lease, database_away(workplace):
        wait_until(lambda: lease.ending is Ending.LEASE_LOST)


def test_superseded_artifact_goes_only_after_the_row_names_the_new_one(
    workplace: Workplace, job: Job
) -> None:
    artifacts = workplace.store.artifacts
    old, new = (artifacts.put_bytes("default", data).sha256 for data in (b"old", b"new"))
    with lease_of(workplace, job) as lease:
        lease.keep({"a": old})
        wait_until(lambda: workplace.read(job).checkpoint == {"a": old})
        with database_away(workplace):
            lease.keep({"a": new}, superseded=[old])
            assert artifacts.exists("default", old)
        wait_until(lambda: not artifacts.exists("default", old))
    assert workplace.read(job).checkpoint == {"a": new}
    assert artifacts.exists("default", new)


def test_superseded_artifact_that_is_kept_under_another_name_stays(
    workplace: Workplace, job: Job
) -> None:
    kept = workplace.store.artifacts.put_bytes("default", b"same").sha256
    with lease_of(workplace, job) as lease:
        lease.keep({"b": kept}, superseded=[kept])
    assert workplace.store.artifacts.exists("default", kept)
    with workplace.store.database.read() as tx:
        assert jobs.get(tx, "default", job.id).checkpoint == {"b": kept}
