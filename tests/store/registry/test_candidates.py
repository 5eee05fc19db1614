"""Candidates of one job as versions of its head: published once, kept and deleted like others."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

import migrations
from store import job_files, transitions
from store.bytes.port import ArtifactRef
from store.cleanup import garbage
from store.errors import (
    CandidatesNotReady,
    Conflict,
    HeadDeleted,
    JobFileExpired,
    JobFileMissing,
    UnknownCandidate,
)
from store.job_files import NewJobFile
from store.jobs import Job
from store.registry import candidates, head_deletion, heads
from store.registry.candidates import Publication
from store.states import JobKind, JobStatus
from store.store import Store
from tests.store.conftest import OpenStore
from tests.store.made_rows import Rows, clock_ahead
from tests.store.test_concurrency import at_once

DAY = 86_400


def candidate(accuracy: float) -> dict[str, Any]:
    metrics = {"n_rows": 8, "accuracy": accuracy, "macro_f1": 0.5, "log_loss": 1.0, "ece": 0.1}
    return {
        "n_parameters": 6,
        "config": {"preset": "paper"},
        "metrics": {"test": {"split": "test", **metrics}},
    }


REPORT: dict[str, Any] = {
    "dataset": {"n_columns": 2, "classes": ["cat", "dög"]},
    "candidates": {"linear_probe": candidate(0.5), "mlp": candidate(0.6), "nmtune": candidate(0.7)},
    "environment": {"seed": 3, "nmtune_version": "0.1.0", "device": "cpu", "n_threads": 2},
}


@pytest.fixture
def job(store: Store, rows: Rows) -> Job:
    """A succeeded job that published nmtune as pets@1 and keeps the head of the MLP."""
    running = rows.running()
    head = store.artifacts.put_bytes("default", b"nmtune")
    kept = store.artifacts.put_bytes("default", b"mlp")
    new = candidates.as_version(running, REPORT, "nmtune", head=head, encoder=None)
    file = NewJobFile(name="heads/mlp", sha256=kept.sha256, size_bytes=kept.size_bytes)
    with store.database.begin() as tx:
        ended = transitions.succeed(tx, running, report_sha256="e" * 64, head=new)
        job_files.add(tx, ended, [file])
    return ended


def publish(store: Store, job: Job, candidate: str = "mlp") -> Publication:
    with store.database.begin() as tx:
        return candidates.publish(tx, job, REPORT, candidate)


def delete(store: Store, number: int) -> None:
    with store.database.begin() as tx:
        deleted = head_deletion.delete_version(tx, "default", "pets", number)
        for sha256 in deleted.unnamed:
            store.artifacts.delete("default", sha256)


def collect(store: Store, *, days: float = 90) -> None:
    garbage.collect(store, older_than_seconds=-60, job_files_days=days)


def test_a_candidate_is_the_next_version_with_its_own_figures(store: Store, job: Job) -> None:
    published = publish(store, job)
    assert published.is_new
    made, own = published.version, heads_version(store, 1)
    assert (made.name, made.version, made.method, own.method) == ("pets", 2, "mlp", "nmtune")
    assert made.metrics["test"]["accuracy"] == 0.6
    assert own.metrics["test"]["accuracy"] == 0.7
    assert store.artifacts.get_bytes("default", made.sha256) == b"mlp"
    assert (made.job_id, made.dataset_id, made.dataset_sha256) == (
        *(own.job_id, own.dataset_id),
        own.dataset_sha256,
    )
    assert made.lineage == own.lineage
    assert made.lineage["job_method"] == "nmtune"
    assert made.lineage["machine"]["worker"] == "w1"
    assert job.finished_at is not None
    assert made.created_at >= job.finished_at


def heads_version(store: Store, number: int) -> heads.HeadVersion:
    with store.database.read() as tx:
        return heads.version(tx, "default", "pets", number)


def test_published_again_it_is_the_same_version(store: Store, job: Job) -> None:
    first = publish(store, job)
    assert publish(store, job) == Publication(version=first.version, is_new=False)
    own = publish(store, job, "nmtune")
    assert (own.version.version, own.is_new) == (1, False)
    assert len(all_versions(store)) == 2


def all_versions(store: Store) -> list[heads.HeadVersion]:
    with store.database.read() as tx:
        return heads.get(tx, "default", "pets").versions


def test_requests_at_once_make_one_version(open_store: OpenStore, store: Store, job: Job) -> None:
    found = at_once(open_store, *[lambda store: publish(store, job)] * 5)
    assert [one.version.version for one in found if isinstance(one, Publication)] == [2] * 5, found
    assert sum(one.is_new for one in found if isinstance(one, Publication)) == 1
    assert len(all_versions(store)) == 2


def test_the_registry_takes_a_candidate_once(store: Store, job: Job) -> None:
    new = candidates.as_version(
        job, REPORT, "nmtune", head=ArtifactRef(sha256="a" * 64, size_bytes=1), encoder=None
    )
    with pytest.raises(Conflict, match="already published nmtune"), store.database.begin() as tx:
        heads.publish(tx, "default", job_id=job.id, dataset_id=job.dataset_id, new=new)


def test_a_version_that_was_deleted_is_published_anew_from_the_kept_head(
    store: Store, job: Job
) -> None:
    sha256 = publish(store, job).version.sha256
    delete(store, 2)
    assert store.artifacts.exists("default", sha256)
    again = publish(store, job)
    assert (again.version.version, again.is_new) == (3, True)


def test_the_jobs_own_version_is_gone_once_it_is_deleted(store: Store, job: Job) -> None:
    delete(store, 1)
    with pytest.raises(HeadDeleted, match=r"pets@1.*was deleted"):
        publish(store, job, "nmtune")
    assert publish(store, job).version.version == 2


def test_a_published_head_outlives_the_files_of_its_job(store: Store, job: Job) -> None:
    sha256 = publish(store, job).version.sha256
    with clock_ahead(91 * DAY):
        collect(store)
    assert store.artifacts.exists("default", sha256)
    assert not publish(store, job).is_new
    delete(store, 2)
    assert not store.artifacts.exists("default", sha256)
    with pytest.raises(JobFileExpired):
        publish(store, job)


def test_a_head_that_is_no_longer_kept_is_told(store: Store, job: Job) -> None:
    with clock_ahead(91 * DAY):
        collect(store)
    with pytest.raises(JobFileExpired, match="no longer kept"):
        publish(store, job)
    assert len(all_versions(store)) == 1


def test_what_there_is_not_is_told_with_what_there_is(store: Store, job: Job) -> None:
    with pytest.raises(UnknownCandidate, match=r"'auto'\. It has linear_probe, mlp, nmtune\."):
        publish(store, job, "auto")
    with pytest.raises(JobFileMissing, match="earlier version"):
        publish(store, job, "linear_probe")
    with pytest.raises(JobFileMissing):
        publish(store, replace(job, tenant_id="other"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": JobKind.PREDICTION}, "is a prediction"),
        ({"status": JobStatus.RUNNING}, "wait until it has succeeded"),
        ({"status": JobStatus.FAILED}, "submit it again"),
    ],
    ids=["prediction", "running", "failed"],
)
def test_only_a_training_that_succeeded_has_candidates(
    job: Job, changes: dict[str, Any], words: str
) -> None:
    candidates.check_succeeded(job)
    with pytest.raises(CandidatesNotReady, match=words):
        candidates.check_succeeded(replace(job, **changes))


def test_the_older_schema_has_room_for_the_jobs_own_version(
    store: Store, job: Job, database_url: str
) -> None:
    publish(store, job)
    with store.database.begin() as tx:
        heads.set_alias(tx, "default", "pets", "next", 2)
        heads.set_alias(tx, "default", "pets", "prod", 1)
    store.database.close()
    migrations.downgrade(database_url, "0012")
    with store.database.read() as tx:
        assert tx.execute(text("SELECT version, method FROM head_versions")).all() == [
            (1, "nmtune")
        ]
        assert tx.execute(text("SELECT alias FROM head_aliases")).scalars().all() == ["prod"]
    store.database.close()
    migrations.upgrade(database_url)
    assert len(all_versions(store)) == 1
