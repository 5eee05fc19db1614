"""Deleting a tenant leaves nothing of it in any table, no bytes, and nothing of others touched."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Table, inspect, select, text

from store import drift, idempotency, job_files, tenant_deletion, transitions, uploads
from store.access import audit, keys, sessions, tenants, usage
from store.database import tables
from store.database.clock import read_clock
from store.database.connection import Transaction
from store.embedding import encoders, local_encoders, provider_keys, text_vectors
from store.errors import LeaseLost, NotFound
from store.job_files import NewJobFile
from store.jobs import Job
from store.store import Store
from store.tenant_deletion import belongings, delete_tenant
from store.webhooks import sending
from tests.store.access.access_calls import make_key
from tests.store.made_rows import Rows, new_head
from tests.store.webhooks.subscribed import BROKEN, endpoint
from tests.support.waiting import wait_until

ACME, OTHER = "acme", "other"


def fill(store: Store, rows: Rows, tenant_id: str) -> None:
    """At least one row in every table, and some bytes."""
    with store.database.begin() as tx:
        if tenant_id != "default":
            tenants.create(tx, tenant_id)
    endpoint(store, tenant_id)
    sha256 = store.artifacts.put_bytes(tenant_id, b"a head of this tenant").sha256
    job = rows.succeeded(tenant_id, alias="prod", sha256=sha256)
    rows.queued(tenant_id)
    key = make_key(store, tenant_id).key
    with store.database.begin() as tx:
        job_files.add(tx, job, [NewJobFile(name="rows", sha256=sha256, size_bytes=10)])
        idempotency.save(tx, tenant_id, "once", request_hash="h", status_code=201, body=b"{}")
        upload = uploads.create(tx, tenant_id, size_bytes=10, keep_seconds=60, metadata="")
        uploads.add_part(tx, upload, sha256=sha256, size_bytes=5, keep_seconds=60)
        encoders.add(
            tx,
            tenant_id,
            fingerprint="f" * 64,
            identity="1" * 64,
            encoder={"model": "m"},
            signature=[[2]],
            n_columns=2,
        )
        local_encoders.add(
            tx, tenant_id, "mine", sha256="e" * 64, size_bytes=9, description={"n_columns": 3}
        )
        text_vectors.keep(tx, tenant_id, "f" * 64, {f"{n:064x}": b"\0" * 8 for n in range(25)})
        provider_keys.put(tx, tenant_id, "https://api.openai.com", b"sealed")
        drift.add(tx, tenant_id, sha256, n_rows=3, sums=np.ones(4))
        drift.note_state(tx, tenant_id, sha256, "some")
        sessions.create(tx, tenant_id, key=key, scopes=("admin",))
        audit.note(tx, audit.operator(tenant_id), "key.made", key.id)
        usage.add(tx, tenant_id, usage.Kind.PREDICTED_ROWS, 3, at=read_clock(tx))
    with store.database.begin() as tx:
        while (claimed := sending.claim(tx)) is not None:
            sending.record(tx, claimed, BROKEN)


def contents(store: Store, tenant_id: str) -> dict[str, list[Any]]:
    """All rows of a tenant, in every table that the database itself says has an owner."""
    with store.database.read() as tx:
        found = inspect(tx)
        owned = [
            name
            for name in found.get_table_names()
            if "tenant_id" in {column["name"] for column in found.get_columns(name)}
        ]
        assert len(owned) > 20
        return {name: rows_of(tx, tables.metadata.tables[name], tenant_id) for name in owned}


def rows_of(tx: Any, table: Table, tenant_id: str) -> list[Any]:
    query = select(table).where(table.c.tenant_id == tenant_id)
    return sorted(map(str, tx.execute(query)))


def sizes(store: Store, tenant_id: str) -> list[int]:
    return [one.size_bytes for one in store.artifacts.stored(tenant_id)]


def test_nothing_is_left_in_any_table_and_no_bytes(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_deletion, "_ROWS_AT_ONCE", 10)
    fill(store, rows, ACME)
    fill(store, rows, OTHER)
    before = contents(store, OTHER)
    empty = [name for name, found in contents(store, ACME).items() if not found]
    assert not empty, f"fill these tables above, so that their deletion is tested: {empty}"
    would = belongings(store, ACME)
    assert would.rows["text_vectors"] == 25
    assert (would.n_artifacts, would.n_bytes) == (1, len(b"a head of this tenant"))
    deleted = delete_tenant(store, ACME)
    assert set(deleted.rows) == set(would.rows)
    assert deleted.rows["text_vectors"] == 25
    assert (deleted.n_artifacts, deleted.n_bytes) == (would.n_artifacts, would.n_bytes)
    assert {name: found for name, found in contents(store, ACME).items() if found} == {}
    assert sizes(store, ACME) == []
    assert contents(store, OTHER) == before
    assert len(sizes(store, OTHER)) == 1
    with pytest.raises(NotFound):
        delete_tenant(store, ACME)
    with pytest.raises(NotFound):
        belongings(store, ACME)


def test_the_tenant_of_a_server_without_keys_is_emptied_and_stays(store: Store, rows: Rows) -> None:
    fill(store, rows, "default")
    with store.database.read() as tx:
        changes = tenants.key_changes(tx)[0]["default"]
    delete_tenant(store, "default")
    left = {name: found for name, found in contents(store, "default").items() if found}
    assert sorted(left) == ["audit", "tenants"]
    with store.database.read() as tx:
        [entry] = audit.page(tx, "default").items
    assert (entry.actor_kind, entry.action) == ("operator", "tenant.emptied")
    assert sizes(store, "default") == []
    with store.database.read() as tx:
        assert tenants.get(tx, "default").disabled_at is None
        assert tenants.key_changes(tx)[0]["default"] > changes  # remembered keys are asked again
    rows.queued()


def test_bytes_that_come_while_it_is_emptied_stay(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, rows, "default")
    reset = tenant_deletion._reset

    def reset_and_put(tx: Transaction, tenant_id: str) -> None:
        reset(tx, tenant_id)
        store.artifacts.put_bytes(tenant_id, b"of somebody who asks again already")

    monkeypatch.setattr(tenant_deletion, "_reset", reset_and_put)
    with store.database.begin() as tx:  # an earlier deletion was cut short
        tenants.set_disabled(tx, "default", disabled=True)
    delete_tenant(store, "default")
    assert sizes(store, "default") == [len(b"of somebody who asks again already")]
    with store.database.read() as tx:
        assert tenants.get(tx, "default").disabled_at is None


def test_what_would_be_deleted_is_said_and_nothing_done(store: Store, rows: Rows) -> None:
    fill(store, rows, ACME)
    before = contents(store, ACME)
    belongings(store, ACME)
    assert contents(store, ACME) == before
    assert len(sizes(store, ACME)) == 1


def test_a_worker_that_does_not_answer_loses_its_job(store: Store, rows: Rows) -> None:
    with store.database.begin() as tx:
        tenants.create(tx, ACME)
    job = rows.running(ACME)
    delete_tenant(store, ACME, patience_seconds=0)
    with pytest.raises(LeaseLost), store.database.begin() as tx:
        transitions.heartbeat(tx, job, lease_seconds=60)
    with pytest.raises(LeaseLost), store.database.begin() as tx:
        transitions.succeed(tx, job, report_sha256="e" * 64, head=new_head())
    with pytest.raises(LeaseLost), store.database.begin() as tx:
        transitions.note_encoder(tx, job, {"model": "m"})
    assert not any(contents(store, ACME).values())


def test_it_waits_for_a_worker_that_stops(store: Store, rows: Rows) -> None:
    with store.database.begin() as tx:
        tenants.create(tx, ACME)
    job = rows.running(ACME)
    ended = threading.Event()

    def work() -> None:
        wait_until(lambda: is_asked_to_end(store, job))
        store.artifacts.put_bytes(ACME, b"the last that the worker stores")
        with store.database.begin() as tx:
            transitions.cancel(tx, job)
        ended.set()

    worker = threading.Thread(target=work)
    worker.start()
    delete_tenant(store, ACME)
    worker.join()
    assert ended.is_set()
    assert sizes(store, ACME) == []


def is_asked_to_end(store: Store, job: Job) -> bool:
    with store.database.begin() as tx:
        return transitions.heartbeat(tx, job, lease_seconds=60)


def test_nobody_acts_for_a_tenant_that_is_gone(store: Store, rows: Rows) -> None:
    fill(store, rows, ACME)
    delete_tenant(store, ACME)
    actor, origin = audit.operator(ACME), "https://api.openai.com"

    def act() -> None:
        with store.database.begin() as tx:
            provider_keys.put(tx, ACME, origin, b"sealed")
            audit.note(tx, actor, "provider_key.stored", origin)

    with pytest.raises(NotFound, match="acme"):
        act()
    assert not any(contents(store, ACME).values())
    with store.database.begin() as tx:
        assert not tenants.is_there(tx, ACME)
        assert tenants.is_there(tx, "default")


@pytest.fixture
def acting(store: Store, rows: Rows) -> Iterator[threading.Event]:
    """Somebody acts for the tenant, and commits once told to."""
    fill(store, rows, ACME)
    noted, go_on = threading.Event(), threading.Event()

    def act() -> None:
        with store.database.begin() as tx:
            provider_keys.put(tx, ACME, "https://late.example", b"sealed")
            audit.note(tx, audit.operator(ACME), "provider_key.stored", "https://late.example")
            noted.set()
            go_on.wait(30)

    thread = threading.Thread(target=act)
    thread.start()
    assert noted.wait(30)
    yield go_on
    thread.join()


def test_what_is_under_way_is_deleted_too(store: Store, acting: threading.Event) -> None:
    deletion = threading.Thread(target=delete_tenant, args=(store, ACME))
    deletion.start()
    if store.database.url.get_backend_name() != "sqlite":  # which has one writer at a time
        wait_until(lambda: n_waiting(store))
    acting.set()
    deletion.join()
    assert not any(contents(store, ACME).values())


def n_waiting(store: Store) -> int:
    """How many transactions wait for another one."""
    with store.database.read() as tx:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return int(tx.execute(text(query)).scalar_one())


def test_a_new_tenant_of_the_name_does_not_count_on_from_the_old_one(store: Store) -> None:
    counts = set()
    for _ in range(3):
        with store.database.begin() as tx:
            tenants.create(tx, ACME)
            counts.add(tenants.key_changes(tx)[0][ACME])
        delete_tenant(store, ACME)
    assert len(counts) == 3
    with store.database.begin() as tx:
        tenants.create(tx, ACME)
        assert keys.page(tx, ACME).items == ()
