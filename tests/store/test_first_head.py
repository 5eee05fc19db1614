"""The head of a job, published before its end: once, under the fence, whatever comes after."""

import pytest

from store import first_head, jobs, transitions
from store.errors import LeaseLost
from store.jobs import Job
from store.registry import head_deletion, heads
from store.states import JobStatus
from store.store import Store
from tests.store.job_moves import ERROR, ask_to_cancel, last_event, release, sweep, told
from tests.store.made_rows import Rows, new_head
from tests.store.webhooks.subscribed import endpoint
from tests.store.webhooks.subscribed import told as told_to

SO_FAR, WHOLE = "d" * 64, "e" * 64
WAIT = "its report is not there yet"
ADVICE = "the report advises against this head"


def publish(store: Store, job: Job, **head: str | None) -> Job:
    with store.database.begin() as tx:
        return first_head.publish(tx, job, head=new_head(**head), report_sha256=SO_FAR)  # type: ignore[arg-type]


def succeed(store: Store, job: Job, **head: str | None) -> Job:
    with store.database.begin() as tx:
        return transitions.succeed(tx, job, report_sha256=WHOLE, head=new_head(**head))  # type: ignore[arg-type]


def named(store: Store, alias: str = "prod") -> int:
    with store.database.read() as tx:
        return heads.resolve(tx, "default", f"pets@{alias}").version


def versions(store: Store) -> list[int]:
    with store.database.read() as tx:
        return [one.version for one in heads.get(tx, "default", "pets").versions]


def test_head_is_out_while_its_job_runs(store: Store, rows: Rows) -> None:
    job = publish(store, rows.running())
    assert job == rows.read(job)
    assert job.status is JobStatus.RUNNING
    assert (job.head_name, job.head_version, job.report_sha256) == ("pets", 1, SO_FAR)
    assert last_event(store, job) == {"head": {"name": "pets", "version": 1}, "alias": None}

    done = succeed(store, job)
    assert (done.head_version, done.report_sha256) == (1, WHOLE)
    assert told(store, job)[2:] == ["head.published", "job.succeeded"]
    assert versions(store) == [1]


def test_head_is_out_once_however_often_it_is_published(store: Store, rows: Rows) -> None:
    job = rows.running()
    publish(store, job)
    again = publish(store, job, sha256="b" * 64)
    release(store, job, count_attempt=True)
    other = rows.claimed(job, worker="w2")
    assert publish(store, other, sha256="c" * 64).head_version == again.head_version == 1
    succeed(store, other, sha256="c" * 64)
    assert versions(store) == [1]
    with store.database.read() as tx:
        assert heads.version(tx, "default", "pets", 1).sha256 == "a" * 64
    assert told(store, job).count("head.published") == 1


def test_worker_that_lost_its_job_publishes_nothing(store: Store, rows: Rows) -> None:
    stale = rows.running()
    rows.expire(stale)
    sweep(store)
    mine = rows.claimed(stale, worker="w2")
    with pytest.raises(LeaseLost):
        publish(store, stale, sha256="b" * 64)
    assert rows.read(mine).head_version is None
    publish(store, mine)
    assert versions(store) == [1]


def test_head_that_was_not_published_before_is_so_at_the_end(store: Store, rows: Rows) -> None:
    job = rows.running()
    done = succeed(store, job)
    assert done.head_version == 1
    assert told(store, job)[2:] == ["head.published", "job.succeeded"]


def test_job_whose_cancel_was_asked_for_publishes_no_head(store: Store, rows: Rows) -> None:
    job = rows.running()
    ask_to_cancel(store, job)
    assert publish(store, job).head_version is None
    with store.database.begin() as tx:
        transitions.cancel(tx, job)
    assert rows.read(job).head_version is None


def test_job_that_ends_after_its_head_keeps_it_and_says_so(store: Store, rows: Rows) -> None:
    failed = publish(store, rows.running(max_attempts=1))
    release(store, failed, count_attempt=True, error=ERROR)
    found = rows.read(failed)
    assert (found.status, found.head_version, found.report_sha256) == ("failed", 1, SO_FAR)
    assert found.error == {
        "code": "invalid_data",
        "message": "Row 3 is empty. Its head pets@1 was published before and stays; what came "
        "after it is missing: see the report.",
    }

    cancelled = publish(store, rows.running())
    ask_to_cancel(store, cancelled)
    with store.database.begin() as tx:
        transitions.cancel(tx, cancelled)
    assert (rows.read(cancelled).status, rows.read(cancelled).head_version) == ("cancelled", 2)

    lost = publish(store, rows.running(max_attempts=1))
    rows.expire(lost)
    sweep(store)
    assert "pets@3 was published" in (rows.read(lost).error or {})["message"]
    assert versions(store) == [3, 2, 1]


def test_webhooks_are_told_of_the_head_first_and_once(store: Store, rows: Rows) -> None:
    listener = endpoint(store)
    job = publish(store, rows.running(), alias="prod")
    publish(store, job, alias="prod")
    succeed(store, job, alias="prod")
    messages = [one for one in told_to(store, listener) if not one["type"].startswith("dataset")]
    assert [one["type"] for one in messages] == [
        "head.published",
        "head.alias_moved",
        "job.succeeded",
    ]
    assert messages[-1]["data"]["head"] == {"name": "pets", "version": 1}


def test_alias_that_serves_somebody_waits_for_the_verdict(store: Store, rows: Rows) -> None:
    rows.succeeded(alias="prod")
    job = publish(store, rows.running(), alias="prod", advised_against_because=WAIT)
    assert named(store) == 1
    assert job.alias_outcome is not None
    assert (job.alias_outcome["moved"], job.alias_outcome["version"]) == (False, 1)
    assert WAIT in job.alias_outcome["reason"]

    done = succeed(store, job, alias="prod")
    assert named(store) == 2
    assert done.alias_outcome is not None
    assert done.alias_outcome["reason"] == "pets@prod moved from version 1 to version 2."

    advised = publish(store, rows.running(), alias="prod", advised_against_because=WAIT)
    kept = succeed(store, advised, alias="prod", advised_against_because=ADVICE)
    assert named(store) == 2
    assert kept.alias_outcome is not None
    assert kept.alias_outcome["reason"] == (
        f"pets@prod did not move to version 3 and still names version 2: {ADVICE}."
    )


def test_new_alias_names_the_head_at_once(store: Store, rows: Rows) -> None:
    job = publish(store, rows.running(), alias="prod", advised_against_because=WAIT)
    assert named(store) == 1
    done = succeed(store, job, alias="prod")
    assert done.alias_outcome is not None
    assert done.alias_outcome["reason"] == "pets@prod is new and names version 1."

    advised = publish(store, rows.running(), alias="beta", advised_against_because=WAIT)
    done = succeed(store, advised, alias="beta", advised_against_because=ADVICE)
    assert done.alias_outcome is not None
    assert done.alias_outcome["reason"] == (
        f"pets@beta is new, so it names version 2 although {ADVICE}."
    )


def test_alias_that_a_user_moved_in_between_is_left_there(store: Store, rows: Rows) -> None:
    rows.succeeded(alias="prod")
    job = publish(store, rows.running(), alias="prod", advised_against_because=WAIT)
    with store.database.begin() as tx:
        heads.set_alias(tx, "default", "pets", "prod", 2)
    done = succeed(store, job, alias="prod", advised_against_because=ADVICE)
    assert named(store) == 2
    assert done.alias_outcome is not None
    assert done.alias_outcome["reason"] == "pets@prod names version 2 already."


def test_head_that_is_deleted_in_between_takes_no_alias(store: Store, rows: Rows) -> None:
    rows.succeeded(alias="prod")
    job = publish(store, rows.running(), alias="prod", advised_against_because=WAIT)
    with store.database.begin() as tx:
        head_deletion.delete_version(tx, "default", "pets", 2)
    done = succeed(store, job, alias="prod")
    assert done.status is JobStatus.SUCCEEDED
    assert named(store) == 1
    assert done.alias_outcome is not None
    assert done.alias_outcome["reason"] == (
        "pets@prod did not move: version 2 was deleted before the job had ended."
    )


def test_prediction_has_no_head_of_its_own(store: Store, rows: Rows) -> None:
    rows.succeeded()
    dataset = rows.dataset()
    with store.database.begin() as tx:
        job = jobs.submit(
            tx,
            "default",
            name="all",
            dataset_id=dataset.id,
            method="prediction",
            config={},
            predicting=("pets", 1),
        )
    job = rows.claimed(job)
    with store.database.begin() as tx:
        failed = transitions.fail(tx, job, error=ERROR)
    assert failed.error == ERROR
