"""The further files of a job: named with its end, replaced, expired, and their bytes collected."""

import pytest

from store import job_files, transitions
from store.cleanup import garbage
from store.errors import JobFileExpired, JobFileMissing, LeaseLost
from store.job_files import NewJobFile
from store.jobs import Job
from store.store import Store
from tests.store.made_rows import Rows, clock_ahead, new_head
from workers.attempt.success import PublishedHead, write

DAY = 86_400


def stored(store: Store, name: str = "rows", data: bytes = b"rows") -> NewJobFile:
    reference = store.artifacts.put_bytes("default", data)
    return NewJobFile(name=name, sha256=reference.sha256, size_bytes=reference.size_bytes)


def succeeded(store: Store, rows: Rows, *files: NewJobFile) -> Job:
    job = rows.running()
    with store.database.begin() as tx:
        return write(tx, job, PublishedHead(report_sha256="e" * 64, head=new_head(), files=files))


def test_a_file_is_found_by_its_name(store: Store, rows: Rows) -> None:
    file = stored(store)
    job = succeeded(store, rows, file, stored(store, job_files.head_name("mlp"), b"head"))
    with store.database.read() as tx:
        found = job_files.get(tx, "default", job.id, "rows")
        head = job_files.get(tx, "default", job.id, "heads/mlp")
    assert (found.sha256, found.size_bytes) == (file.sha256, 4)
    assert head.sha256 != file.sha256
    assert 0 <= found.age_seconds < 600


def test_a_job_without_the_file_says_why_it_may_be_so(store: Store, rows: Rows) -> None:
    job = succeeded(store, rows)
    with (
        store.database.read() as tx,
        pytest.raises(JobFileMissing, match="earlier version") as caught,
    ):
        job_files.get(tx, "default", job.id, "rows")
    assert caught.value.code == "job_file_missing"


def test_another_tenant_sees_no_file(store: Store, rows: Rows) -> None:
    job = succeeded(store, rows, stored(store))
    with store.database.read() as tx, pytest.raises(JobFileMissing):
        job_files.get(tx, "other", job.id, "rows")


def test_a_worker_that_lost_its_lease_names_no_file(store: Store, rows: Rows) -> None:
    job = rows.running()
    rows.expire(job)
    with store.database.begin() as tx:
        transitions.sweep(tx)
    success = PublishedHead(report_sha256="e" * 64, head=new_head(), files=(stored(store),))
    with store.database.begin() as tx, pytest.raises(LeaseLost):
        write(tx, job, success)
    with store.database.read() as tx, pytest.raises(JobFileMissing):
        job_files.get(tx, "default", job.id, "rows")


def test_the_garbage_collection_spares_named_bytes_until_they_expire(
    store: Store, rows: Rows
) -> None:
    file = stored(store)
    job = succeeded(store, rows, file)
    garbage.collect(store, older_than_seconds=0, job_files_days=90)
    assert store.artifacts.exists("default", file.sha256)
    with clock_ahead(91 * DAY):
        garbage.collect(store, older_than_seconds=0, job_files_days=0)
    assert store.artifacts.exists("default", file.sha256), "0 days keep it for ever"
    with clock_ahead(91 * DAY):
        garbage.collect(store, older_than_seconds=0, job_files_days=90)
    assert not store.artifacts.exists("default", file.sha256)
    with (
        store.database.read() as tx,
        pytest.raises(JobFileExpired, match="NMTUNE_JOB_FILES_DAYS") as caught,
    ):
        job_files.get(tx, "default", job.id, "rows")
    assert caught.value.code == "job_file_expired"


def test_replacing_names_other_bytes_and_keeps_the_age(store: Store, rows: Rows) -> None:
    job = succeeded(store, rows, stored(store, "map", b"one"))
    with store.database.read() as tx:
        before = job_files.get(tx, "default", job.id, "map")
    other = stored(store, "map", b"other")
    with store.database.begin() as tx:
        assert job_files.replace(tx, "default", job.id, other)
    with store.database.read() as tx:
        found = job_files.get(tx, "default", job.id, "map")
    assert (found.sha256, found.size_bytes) == (other.sha256, 5)
    assert found.created_at == before.created_at


def test_what_has_expired_is_not_replaced(store: Store, rows: Rows) -> None:
    job = succeeded(store, rows, stored(store, "map"))
    with clock_ahead(2 * DAY), store.database.begin() as tx:
        assert job_files.expire(tx, days=1) == 1
        assert job_files.expire(tx, days=1) == 0
    with store.database.begin() as tx:
        assert not job_files.replace(tx, "default", job.id, stored(store, "map", b"late"))
        assert not job_files.replace(tx, "default", "job_unknown", stored(store, "map", b"late"))
    with store.database.read() as tx, pytest.raises(JobFileExpired):
        job_files.get(tx, "default", job.id, "map")
