"""Every row has an owner: whatever another tenant asks for, it is not there."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from store import datasets, events, jobs, transitions
from store.database.connection import Transaction
from store.errors import LeaseLost, NotFound
from store.jobs import Job
from store.registry import head_deletion, heads
from store.store import Store
from tests.store.made_rows import Rows

# Each store function that takes a tenant, asked by "theirs" for what belongs to "default".
NOT_FOUND: dict[str, Callable[[Transaction, Job], object]] = {
    "jobs.get": lambda tx, job: jobs.get(tx, "theirs", job.id),
    "jobs.request_cancel": lambda tx, job: jobs.request_cancel(tx, "theirs", job.id),
    "jobs.submit": lambda tx, job: jobs.submit(
        tx, "theirs", name="a", dataset_id=job.dataset_id, method="m", config={}
    ),
    "datasets.get": lambda tx, job: datasets.get(tx, "theirs", job.dataset_id),
    "datasets.delete": lambda tx, job: datasets.delete(tx, "theirs", job.dataset_id),
    "datasets.keep": lambda tx, job: datasets.keep(tx, "theirs", job.dataset_id, keep_seconds=1),
    "heads.get": lambda tx, _: heads.get(tx, "theirs", "pets"),
    "heads.version": lambda tx, _: heads.version(tx, "theirs", "pets", 1),
    "heads.resolve": lambda tx, _: heads.resolve(tx, "theirs", "pets"),
    "heads.resolve by version": lambda tx, _: heads.resolve(tx, "theirs", "pets@1"),
    "heads.resolve by alias": lambda tx, _: heads.resolve(tx, "theirs", "pets@prod"),
    "heads.set_alias": lambda tx, _: heads.set_alias(tx, "theirs", "pets", "prod", 1),
    "heads.roll_back": lambda tx, _: heads.roll_back(tx, "theirs", "pets", "prod"),
    "heads.delete_alias": lambda tx, _: heads.delete_alias(tx, "theirs", "pets", "prod"),
    "delete_version": lambda tx, _: head_deletion.delete_version(tx, "theirs", "pets", 1),
    "delete_head": lambda tx, _: head_deletion.delete_head(tx, "theirs", "pets"),
}
EMPTY: dict[str, Callable[[Transaction, Job], object]] = {
    "jobs.page": lambda tx, _: jobs.page(tx, "theirs").items,
    "datasets.page": lambda tx, _: datasets.page(tx, "theirs").items,
    "heads.page": lambda tx, _: heads.page(tx, "theirs").items,
    "events.page": lambda tx, job: tuple(events.page(tx, "theirs", job.id)),
}


@pytest.mark.parametrize("ask", NOT_FOUND)
def test_what_belongs_to_another_tenant_is_not_found(store: Store, rows: Rows, ask: str) -> None:
    done = rows.succeeded(alias="prod")
    queued = rows.queued()
    before = [rows.read(job) for job in (done, queued)]
    for job in (done, queued):
        with pytest.raises(NotFound), store.database.begin() as tx:
            NOT_FOUND[ask](tx, job)
    assert [rows.read(job) for job in (done, queued)] == before


@pytest.mark.parametrize("ask", EMPTY)
def test_lists_hold_nothing_of_another_tenant(store: Store, rows: Rows, ask: str) -> None:
    job = rows.succeeded(alias="prod")
    with store.database.read() as tx:
        assert EMPTY[ask](tx, job) == ()


def test_names_and_aliases_are_a_tenants_own(store: Store, rows: Rows) -> None:
    rows.succeeded("a", alias="prod")
    rows.succeeded("a", alias="prod")
    rows.succeeded("b", alias="prod")
    with store.database.read() as tx:
        assert heads.resolve(tx, "a", "pets@prod").version == 2
        assert heads.resolve(tx, "b", "pets@prod").version == 1
        assert [head.tenant_id for head in heads.page(tx, "b").items] == ["b"]
        assert {job.tenant_id for job in jobs.page(tx, "a").items} == {"a"}


def test_a_version_shows_the_aliases_of_its_own_tenant(store: Store, rows: Rows) -> None:
    rows.succeeded("a", alias="prod")
    rows.succeeded("b", alias="canary")
    with store.database.read() as tx:
        assert heads.resolve(tx, "a", "pets").aliases == ("prod",)
        assert heads.get(tx, "b", "pets").aliases == {"canary": 1}


def test_a_worker_writes_to_a_job_under_its_own_tenant_only(store: Store, rows: Rows) -> None:
    mistaken = replace(rows.running("a"), tenant_id="b")
    with pytest.raises(LeaseLost), store.database.begin() as tx:
        transitions.heartbeat(tx, mistaken, lease_seconds=60)
