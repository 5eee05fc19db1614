"""The audit's rows: whole or not at all, small, without secrets, and kept for a time."""

from typing import Any

import pytest
from sqlalchemy import update

from store.access import audit, secrets
from store.access.audit import Actor, ActorKind, Entry, Wanted
from store.cleanup import garbage
from store.database import tables
from store.database.clock import seconds_from_now
from store.store import Store

ACTOR = Actor(
    tenant_id="default", kind=ActorKind.KEY, id="key_1", request_id="req_1", address="10.0.0.1"
)


def note(store: Store, **details: Any) -> Entry:
    with store.database.begin() as tx:
        audit.note(tx, ACTOR, "alias.moved", "pets@prod", **details)
    return entries(store)[0]


def entries(store: Store, **wanted: Any) -> tuple[Entry, ...]:
    with store.database.read() as tx:
        return audit.page(tx, "default", Wanted(**wanted)).items


def test_a_row_says_who_did_what_and_when(store: Store) -> None:
    entry = note(store, before=None, after=4, listed=["a"], forced=True)
    assert (entry.tenant_id, entry.actor_kind, entry.actor_id) == ("default", "key", "key_1")
    assert (entry.action, entry.target, entry.outcome) == ("alias.moved", "pets@prod", "done")
    assert (entry.request_id, entry.address) == ("req_1", "10.0.0.1")
    assert entry.details == {"before": None, "after": 4, "listed": ["a"], "forced": True}
    assert entry.id.startswith("aud_")
    assert entry.at.tzinfo is not None


def test_an_act_that_is_undone_leaves_no_row(store: Store) -> None:
    def act() -> None:
        with store.database.begin() as tx:
            audit.note(tx, ACTOR, "alias.moved", "pets@prod")
            raise RuntimeError("the act failed after all")

    with pytest.raises(RuntimeError):
        act()
    assert entries(store) == ()


def test_secrets_in_names_are_cut_out(store: Store) -> None:
    key, webhook = secrets.new_key(), "whsec_bm90IGEgcmVhbCBzZWNyZXQ="
    entry = note(store, name=f"for {key}", listed=[webhook])
    assert entry.details == {"name": "for nmk_...", "listed": ["whsec_..."]}
    with store.database.begin() as tx:
        audit.note(tx, ACTOR, "dataset.created", key)
    assert entries(store)[0].target == "nmk_..."


def test_details_are_small(store: Store) -> None:
    entry = note(store, name="x" * 1000, listed=["y"] * 1000)
    assert len(entry.details["name"]) == audit.MOST_CHARACTERS
    assert len(entry.details["listed"]) == audit.MOST_LISTED
    for wrong in (b"bytes", {"a": 1}, (1, 2), object()):
        with pytest.raises(TypeError, match="wrong"):
            note(store, wrong=wrong)


def test_acts_of_one_moment_have_one_order(store: Store) -> None:
    with store.database.begin() as tx:
        for number in range(30):
            audit.note(tx, ACTOR, "head.deleted", f"pets@{number}")
    with store.database.read() as tx:
        first = audit.page(tx, "default", limit=11)
        rest = audit.page(tx, "default", limit=1000, cursor=first.next_cursor)
    found = [one.target for one in (*first.items, *rest.items)]
    assert found == [f"pets@{number}" for number in reversed(range(30))]


def test_old_rows_are_forgotten_by_the_collection(store: Store) -> None:
    old, young = note(store), note(store)
    with store.database.begin() as tx:
        mine = update(tables.audit).where(tables.audit.c.id == old.id)
        tx.execute(mine.values(at=seconds_from_now(-401 * 86_400)))
    garbage.collect(store, audit_days=0)
    assert len(entries(store)) == 2
    garbage.collect(store, audit_days=400)
    assert [one.id for one in entries(store)] == [young.id]
