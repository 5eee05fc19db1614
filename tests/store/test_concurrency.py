"""Several processes on one store: each thread here has its own Store, as a process would."""

import threading
from collections.abc import Callable

from sqlalchemy import update

from store import datasets, idempotency, jobs, transitions
from store.database import tables
from store.embedding import local_encoders
from store.errors import Conflict, DatasetInUse, EncoderInUse, LeaseLost, NotFound
from store.jobs import Job
from store.registry import heads
from store.store import Store
from tests.store.conftest import OpenStore
from tests.store.made_rows import Rows, new_head


def at_once(open_store: OpenStore, *works: Callable[[Store], object]) -> list[object]:
    """Run each work in a thread with a store of its own; what each returned or raised."""
    outcomes: list[object] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(index: int, store: Store) -> None:
        store.database.ping()
        start.wait()
        try:
            outcomes[index] = works[index](store)
        except Exception as error:  # noqa: BLE001  the test looks at it
            outcomes[index] = error

    threads = [
        threading.Thread(target=run, args=(index, open_store())) for index in range(len(works))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_every_queued_job_is_claimed_by_exactly_one_worker(
    open_store: OpenStore, rows: Rows
) -> None:
    dataset = rows.dataset()
    submitted = [rows.queued(dataset=dataset).id for _ in range(24)]

    def work(store: Store) -> list[str]:
        found: list[str] = []
        while True:
            with store.database.begin() as tx:
                job = transitions.claim_next(tx, worker="w", lease_seconds=60)
            if job is None:
                return found
            found.append(job.id)

    outcomes = at_once(open_store, *[work] * 4)
    claimed = [id_ for found in outcomes if isinstance(found, list) for id_ in found]
    assert sorted(claimed) == sorted(submitted), outcomes


def test_a_doubled_message_starts_one_attempt(open_store: OpenStore, rows: Rows) -> None:
    job = rows.queued()

    def work(store: Store) -> Job | None:
        with store.database.begin() as tx:
            return transitions.claim(tx, job.id, worker="w", lease_seconds=60)

    outcomes = at_once(open_store, *[work] * 4)
    assert sum(outcome is not None for outcome in outcomes) == 1, outcomes
    assert rows.read(job).fence == 1


def test_jobs_that_publish_under_one_new_name_get_versions_in_a_row(
    open_store: OpenStore, store: Store, rows: Rows
) -> None:
    claimed = [rows.running() for _ in range(4)]

    def finish(job: Job) -> Callable[[Store], object]:
        def work(store: Store) -> int | None:
            with store.database.begin() as tx:
                done = transitions.succeed(
                    tx, job, report_sha256="e" * 64, head=new_head(alias="prod")
                )
            return done.head_version

        return work

    outcomes = at_once(open_store, *map(finish, claimed))
    assert sorted(map(str, outcomes)) == ["1", "2", "3", "4"], outcomes
    with store.database.read() as tx:
        head = heads.get(tx, "default", "pets")
    assert head.latest_version == len(head.versions) == 4
    assert head.aliases.keys() == {"prod"}


def test_a_job_that_two_finish_at_once_is_finished_once(
    open_store: OpenStore, store: Store, rows: Rows
) -> None:
    job = rows.running()

    def work(store: Store) -> Job:
        with store.database.begin() as tx:
            return transitions.succeed(tx, job, report_sha256="e" * 64, head=new_head())

    outcomes = at_once(open_store, *[work] * 3)
    assert sum(isinstance(outcome, LeaseLost) for outcome in outcomes) == 2, outcomes
    with store.database.read() as tx:
        assert heads.get(tx, "default", "pets").latest_version == 1


def test_several_sweepers_move_each_lost_job_once(open_store: OpenStore, rows: Rows) -> None:
    lost = [rows.running(lease_seconds=-1) for _ in range(8)]

    def work(store: Store) -> tuple[str, ...]:
        with store.database.begin() as tx:
            return transitions.sweep(tx).requeued

    outcomes = at_once(open_store, *[work] * 3)
    moved = [id_ for found in outcomes if isinstance(found, tuple) for id_ in found]
    assert sorted(moved) == sorted(job.id for job in lost), outcomes
    assert {rows.read(job).attempt for job in lost} == {1}


def test_of_requests_with_one_key_one_does_the_work(
    open_store: OpenStore, store: Store, rows: Rows
) -> None:
    dataset = rows.dataset()

    def request(store: Store) -> bytes:
        with store.database.begin() as tx:
            answer = idempotency.find(tx, "default", "k", request_hash="h")
            if answer is not None:
                return answer.body
            job = jobs.submit(tx, "default", name="a", dataset_id=dataset.id, method="m", config={})
            body = job.id.encode()
            idempotency.save(tx, "default", "k", request_hash="h", status_code=202, body=body)
        return body

    outcomes = at_once(open_store, *[request] * 4)
    with store.database.read() as tx:
        (job,) = jobs.page(tx, "default").items
    assert all(
        outcome == job.id.encode() or isinstance(outcome, Conflict) for outcome in outcomes
    ), outcomes


def test_a_dataset_is_deleted_or_used_but_not_both(
    open_store: OpenStore, store: Store, rows: Rows
) -> None:
    for _ in range(5):
        dataset = rows.dataset()

        def submit(store: Store, dataset_id: str = dataset.id) -> object:
            with store.database.begin() as tx:
                return jobs.submit(
                    tx, "default", name="a", dataset_id=dataset_id, method="m", config={}
                )

        def delete(store: Store, dataset_id: str = dataset.id) -> object:
            with store.database.begin() as tx:
                return datasets.delete(tx, "default", dataset_id)

        submitted, deleted = at_once(open_store, submit, delete)
        if isinstance(submitted, Job):
            assert isinstance(deleted, DatasetInUse)
        else:
            assert isinstance(submitted, NotFound)
            assert not isinstance(deleted, Exception)


def test_bytes_are_never_removed_from_under_a_dataset_that_names_them(
    open_store: OpenStore, store: Store, rows: Rows
) -> None:
    """An upload beside the deletion of the same bytes: each row that is left has its bytes."""
    for _ in range(5):
        sha256 = store.artifacts.put_bytes("default", b"the same").sha256
        dataset = rows.dataset(sha256=sha256)

        def delete(store: Store, dataset_id: str = dataset.id) -> None:
            with store.database.begin() as tx:
                unneeded = datasets.delete(tx, "default", dataset_id)
                if unneeded is not None:
                    store.artifacts.delete("default", unneeded)

        def upload(store: Store, sha256: str = sha256) -> str:
            store.artifacts.put_bytes("default", b"the same")
            with store.database.begin() as tx:
                added = datasets.add(
                    tx,
                    "default",
                    name="d",
                    sha256=sha256,
                    size_bytes=8,
                    n_rows=1,
                    n_columns=1,
                    classes=[],
                    splits=[],
                    profile={},
                )
                if not store.artifacts.exists("default", sha256):
                    raise Conflict("send it again")
            return added.id

        _, uploaded = at_once(open_store, delete, upload)
        assert isinstance(uploaded, str | Conflict)
        with store.database.begin() as tx:
            left = datasets.page(tx, "default").items
            assert [item.id for item in left] == ([uploaded] if left else [])
            assert store.artifacts.exists("default", sha256) or not left
            for item in left:
                datasets.delete(tx, "default", item.id)


def test_of_two_names_of_one_encoder_in_use_one_stays(open_store: OpenStore, rows: Rows) -> None:
    sha256 = "e" * 64
    job = rows.queued()
    values = {"encoder": {"provider": "local", "model": "one", "sha256": sha256}}
    with open_store().database.begin() as tx:
        tx.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(**values))
        for name in ("one", "two"):
            local_encoders.add(tx, "default", name, sha256=sha256, size_bytes=1, description={})

    outcomes: list[object] = []

    def delete_the_other(store: Store) -> None:
        try:
            with store.database.begin() as tx:
                outcomes.append(local_encoders.delete(tx, "default", "two"))
        except EncoderInUse as error:
            outcomes.append(error)

    other = threading.Thread(target=delete_the_other, args=(open_store(),))
    with open_store().database.begin() as tx:
        local_encoders.delete(tx, "default", "one")
        other.start()
        other.join(0.5)  # it waits for this transaction
    other.join()
    assert isinstance(outcomes[0], EncoderInUse), outcomes
