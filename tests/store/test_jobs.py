"""Jobs as their owner sees them: submit, read, list, ask to cancel."""

from datetime import UTC, datetime, timedelta

import pytest

from store import datasets, events, jobs, transitions
from store.errors import InvalidCursor, InvalidName, NotFound
from store.events import EventType
from store.jobs import Job
from store.states import JobStatus
from store.store import Store
from tests.store.made_rows import Rows


def ask_to_cancel(store: Store, job: Job) -> Job:
    with store.database.begin() as tx:
        return jobs.request_cancel(tx, job.tenant_id, job.id)


def told(store: Store, job: Job) -> list[str]:
    with store.database.read() as tx:
        return [event.type.value for event in events.page(tx, job.tenant_id, job.id)]


def test_a_submitted_job_is_queued_and_reads_back_as_it_was_given(store: Store, rows: Rows) -> None:
    dataset = rows.dataset()
    with store.database.begin() as tx:
        job = jobs.submit(
            tx,
            "default",
            name="pets",
            dataset_id=dataset.id,
            method="nmtune",
            config={"w": 0.5, "words": ["dög", None]},
            alias="prod",
            max_attempts=2,
        )
    assert job == rows.read(job)
    assert job.id.startswith("job_")
    assert (job.status, job.attempt, job.max_attempts, job.fence) == (JobStatus.QUEUED, 0, 2, 0)
    assert job.config == {"w": 0.5, "words": ["dög", None]}
    assert (job.alias, job.dataset_id, job.checkpoint) == ("prod", dataset.id, {})
    assert job.error is None
    assert job.progress is None
    assert abs(job.created_at - datetime.now(UTC)) < timedelta(seconds=60)
    assert job.created_at <= job.updated_at
    assert told(store, job) == ["job.queued"]


def test_a_job_needs_a_dataset_of_its_tenant(store: Store, rows: Rows) -> None:
    theirs = rows.dataset("theirs")
    for dataset_id in (theirs.id, "ds_none"):
        with pytest.raises(NotFound) as caught, store.database.begin() as tx:
            jobs.submit(tx, "default", name="a", dataset_id=dataset_id, method="nmtune", config={})
        assert (caught.value.kind, caught.value.id) == ("dataset", dataset_id)


@pytest.mark.parametrize(("name", "alias"), [("a/b", None), ("a", "latest"), ("a", "a b")])
def test_names_are_checked_on_the_way_in(
    store: Store, rows: Rows, name: str, alias: str | None
) -> None:
    dataset = rows.dataset()
    with pytest.raises(InvalidName), store.database.begin() as tx:
        jobs.submit(
            tx, "default", name=name, dataset_id=dataset.id, method="m", config={}, alias=alias
        )


def test_a_job_that_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="job_none"), store.database.read() as tx:
        jobs.get(tx, "default", "job_none")
    with pytest.raises(NotFound), store.database.begin() as tx:
        jobs.request_cancel(tx, "default", "job_none")


def test_pages_hold_every_job_once_newest_first(store: Store, rows: Rows) -> None:
    dataset = rows.dataset()
    submitted = [rows.queued(dataset=dataset).id for _ in range(7)]
    found: list[str] = []
    cursor = None
    sizes = []
    while True:
        with store.database.read() as tx:
            page = jobs.page(tx, "default", cursor=cursor, limit=3)
        found += [job.id for job in page.items]
        sizes.append(len(page.items))
        cursor = page.next_cursor
        if cursor is None:
            break
        rows.queued(dataset=dataset)  # a newcomer neither shifts nor repeats what follows
    assert found == submitted[::-1]
    assert sizes == [3, 3, 1]


def test_a_last_page_that_is_full_has_no_next(store: Store, rows: Rows) -> None:
    rows.queued()
    rows.queued()
    with store.database.read() as tx:
        assert jobs.page(tx, "default", limit=2).next_cursor is None


def test_jobs_of_the_same_moment_are_not_lost_between_pages(store: Store, rows: Rows) -> None:
    dataset = rows.dataset()
    with store.database.begin() as tx:  # one transaction, so the same milliseconds recur
        ids = {
            jobs.submit(tx, "default", name="a", dataset_id=dataset.id, method="m", config={}).id
            for _ in range(20)
        }
    found: list[str] = []
    cursor = None
    while len(found) < 20:
        with store.database.read() as tx:
            page = jobs.page(tx, "default", cursor=cursor, limit=3)
        found += [job.id for job in page.items]
        cursor = page.next_cursor
    assert len(found) == len(ids)
    assert set(found) == ids


def test_a_list_can_be_of_one_status(store: Store, rows: Rows) -> None:
    queued, running = rows.queued(), rows.running()
    with store.database.read() as tx:
        assert [j.id for j in jobs.page(tx, "default", status="queued").items] == [queued.id]
        assert [j.id for j in jobs.page(tx, "default", status=JobStatus.RUNNING).items] == [
            running.id
        ]
        assert jobs.page(tx, "default", status=JobStatus.FAILED).items == ()


def test_a_made_up_cursor_is_refused(store: Store) -> None:
    with store.database.read() as tx, pytest.raises(InvalidCursor):
        jobs.page(tx, "default", cursor="abc")


def test_a_queued_job_is_cancelled_at_once(store: Store, rows: Rows) -> None:
    job = ask_to_cancel(store, rows.queued())
    assert job.status is JobStatus.CANCELLED
    assert job.finished_at is not None
    assert job.cancel_requested_at is not None
    assert told(store, job) == ["job.queued", "job.cancelled"]
    with store.database.begin() as tx:
        assert transitions.claim(tx, job.id, worker="w", lease_seconds=60) is None


def test_a_running_job_is_asked_to_stop_and_asking_twice_changes_nothing(
    store: Store, rows: Rows
) -> None:
    running = rows.running()
    first = ask_to_cancel(store, running)
    assert first.status is JobStatus.RUNNING
    assert first.cancel_requested_at is not None
    assert ask_to_cancel(store, running) == first
    assert told(store, running) == ["job.queued", "job.started", "job.cancel_requested"]


def test_a_final_job_stays_as_it_is(store: Store, rows: Rows) -> None:
    done = rows.succeeded()
    assert ask_to_cancel(store, done) == done


def test_a_finished_job_outlives_its_dataset(store: Store, rows: Rows) -> None:
    done = rows.succeeded()
    with store.database.begin() as tx:
        datasets.delete(tx, "default", done.dataset_id)
    assert rows.read(done) == done


def test_event_types_are_a_closed_list() -> None:
    assert {type_.value for type_ in EventType} == {
        "job.queued",
        "job.started",
        "job.stage",
        "job.progress",
        "head.published",
        "job.requeued",
        "job.cancel_requested",
        "job.succeeded",
        "job.failed",
        "job.cancelled",
    }
