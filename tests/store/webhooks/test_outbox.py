"""What acts tell, in their own transaction, and what telling costs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from store import datasets, jobs, transitions
from store.cleanup import expiry
from store.database.connection import Transaction
from store.errors import LeaseLost
from store.registry import head_deletion, heads
from store.store import Store
from store.webhooks.outbox import MOST_BODY_BYTES
from tests.store.job_moves import ERROR
from tests.store.made_rows import Rows, clock_ahead, new_head, statements
from tests.store.webhooks.subscribed import endpoint, log, n_messages, told


def _publish(store: Store, rows: Rows) -> None:
    rows.succeeded(alias="prod")
    rows.succeeded(alias="prod")


def _fail(store: Store, rows: Rows) -> None:
    job = rows.running()
    with store.database.begin() as tx:
        transitions.fail(tx, job, error=ERROR)


def _cancel(store: Store, rows: Rows) -> None:
    job = rows.queued()
    with store.database.begin() as tx:
        jobs.request_cancel(tx, "default", job.id)


def _move_about(store: Store, rows: Rows) -> None:
    _publish(store, rows)
    for number in (1, 1, 2):  # the second changes nothing
        with store.database.begin() as tx:
            heads.set_alias(tx, "default", "pets", "prod", number)
    with store.database.begin() as tx:
        heads.roll_back(tx, "default", "pets", "prod")
    with store.database.begin() as tx:
        heads.delete_alias(tx, "default", "pets", "prod")


def _store_dataset(_: Store, rows: Rows) -> None:
    rows.dataset()


def _expire(store: Store, rows: Rows) -> None:
    dataset = rows.dataset()
    with store.database.begin() as tx:
        datasets.keep(tx, "default", dataset.id, keep_seconds=1)
    with clock_ahead(60):
        assert expiry.remove_expired(store).datasets == (dataset.id,)


def _delete(store: Store, rows: Rows) -> None:
    _publish(store, rows)
    with store.database.begin() as tx:
        head_deletion.delete_version(tx, "default", "pets", 1)
    with store.database.begin() as tx:
        head_deletion.delete_head(tx, "default", "pets", force=True)


ACTS: dict[str, tuple[Callable[[Store, Rows], None], list[str], list[dict[str, object]]]] = {
    "jobs that succeed": (
        _publish,
        ["job.succeeded"],
        [{"kind": "training", "status": "succeeded", "sequence": 4}] * 2,
    ),
    "a job that fails": (
        _fail,
        ["job.failed"],
        [{"status": "failed", "error_code": ERROR["code"], "sequence": 3}],
    ),
    "a job that is cancelled": (_cancel, ["job.cancelled"], [{"status": "cancelled"}]),
    "published versions": (
        _publish,
        ["head.published"],
        [{"head": "pets", "version": 1}, {"version": 2, "path": "/heads/pets/versions/2"}],
    ),
    "an alias that moves": (
        _move_about,
        ["head.alias_moved"],
        [
            {"alias": "prod", "from": None, "to": 1, "rolled_back": False},
            {"from": 1, "to": 2, "rolled_back": False},
            {"from": 2, "to": 1, "rolled_back": False},
            {"from": 1, "to": 2, "rolled_back": False},
            {"from": 2, "to": 1, "rolled_back": True},
            {"from": 1, "to": None, "rolled_back": False},
        ],
    ),
    "deleted versions": (
        _delete,
        ["head.deleted"],
        [{"version": 1, "n_versions": 1}, {"head": "pets", "version": 2, "n_versions": 1}],
    ),
    "a dataset": (_store_dataset, ["dataset.created"], [{"n_rows": 3, "name": "d"}]),
    "a dataset that expires": (_expire, ["dataset.expired"], [{"name": "d"}]),
}


@pytest.mark.parametrize("act", ACTS)
def test_an_act_tells_those_who_listen_to_it(store: Store, rows: Rows, act: str) -> None:
    do, events, expected = ACTS[act]
    listening, deaf = endpoint(store, events=events), endpoint(store, events=["endpoint.disabled"])
    foreign = endpoint(store, "theirs")
    do(store, rows)
    messages = told(store, listening)
    assert [message["type"] for message in messages] == events * len(expected)
    for message, data in zip(messages, expected, strict=True):
        assert {name: message["data"][name] for name in data} == data
    assert told(store, deaf) == told(store, foreign) == []


def test_nothing_is_told_of_what_was_rolled_back(store: Store, rows: Rows) -> None:
    one = endpoint(store)
    job = rows.running()
    n_before = len(log(store, one))
    mistaken = replace(job, tenant_id="theirs")

    def succeed_and_break(tx: Transaction) -> None:
        transitions.succeed(tx, job, report_sha256="e" * 64, head=new_head())
        transitions.fail(tx, mistaken, error=ERROR)

    with pytest.raises(LeaseLost), store.database.begin() as tx:
        succeed_and_break(tx)
    assert len(log(store, one)) == n_before


def test_a_failed_jobs_words_are_not_told(store: Store, rows: Rows) -> None:
    """They may quote a row."""
    one = endpoint(store)
    _fail(store, rows)
    bodies = "".join(delivery.body for delivery in log(store, one))
    assert ERROR["code"] in bodies
    assert ERROR["message"] not in bodies
    assert "cat" not in bodies, "nor are labels"


def test_messages_of_the_longest_names_stay_small(store: Store, rows: Rows) -> None:
    one = endpoint(store)
    for _ in range(2):
        rows.succeeded(name="n" * 64, alias="a" * 64)
    assert max(len(delivery.body.encode()) for delivery in log(store, one)) <= MOST_BODY_BYTES


def test_without_endpoints_an_act_costs_one_indexed_query_and_no_row(
    store: Store, rows: Rows
) -> None:
    endpoint(store, "theirs")
    job, other, queued, dataset = rows.running(), rows.running(), rows.queued(), rows.dataset()
    acts: list[tuple[int, Callable[[Transaction], object]]] = [
        (0, lambda tx: transitions.heartbeat(tx, job, lease_seconds=9)),
        (1, lambda tx: transitions.fail(tx, job, error=ERROR)),
        (1, lambda tx: jobs.request_cancel(tx, "default", queued.id)),
        # A published version and an ended job are two acts.
        (
            2,
            lambda tx: transitions.succeed(
                tx, other, report_sha256="e" * 64, head=new_head(alias="prod")
            ),
        ),
        (1, lambda tx: heads.delete_alias(tx, "default", "pets", "prod")),
        (1, lambda tx: head_deletion.delete_head(tx, "default", "pets")),
        (0, lambda tx: datasets.delete(tx, "default", dataset.id)),
    ]
    for n_expected, act in acts:
        with store.database.begin() as tx:
            with statements() as seen:
                act(tx)
            asked = [one for one in seen if "webhook_" in one.sql]
            assert len(asked) == n_expected, asked
            if store.database.url.get_backend_name() == "sqlite":
                for sql, parameters in asked:
                    plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all()
                    assert "SEARCH" in str(plan), plan
    assert n_messages(store) == 0
