"""A known key costs no query, and yet a key that was taken back opens nothing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from service.access import known_keys
from service.access.known_keys import KnownKeys, Refused
from store.access import keys, tenants
from store.errors import DatabaseUnavailable
from store.store import Store
from store.tenant_deletion import delete_tenant
from tests.service.access.asking import Asking
from tests.service.access.conftest import Clock
from tests.store.access.access_calls import make_key, read_key
from tests.store.made_rows import clock_ahead, statements


async def settled(known: KnownKeys, secret: str, *, predicts: bool = False) -> str | None:
    """Who a key belongs to, once what goes on beside the request has ended."""
    identity = await known.find(secret, predicts=predicts)
    while known._beside:
        await asyncio.gather(*known._beside)
    return identity.key_id


def find(known: KnownKeys, secret: str, *, predicts: bool = False) -> str | None:
    return asyncio.run(settled(known, secret, predicts=predicts))


@contextmanager
def database_away() -> Iterator[None]:
    """No database answers meanwhile."""

    def refuse(*_: object) -> None:
        raise DatabaseUnavailable("away")

    event.listen(Engine, "before_cursor_execute", refuse)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", refuse)


@pytest.fixture
def known(store: Store, clock: Clock) -> KnownKeys:
    assert clock.at
    return KnownKeys(store)


def test_a_known_key_makes_no_query(known: KnownKeys, store: Store) -> None:
    new = make_key(store)
    assert find(known, new.secret) == new.key.id
    with statements() as sent:
        for _ in range(100):
            find(known, new.secret)
    assert sent == []


def test_the_counts_are_read_beside_requests(known: KnownKeys, store: Store, clock: Clock) -> None:
    new = make_key(store)
    find(known, new.secret)
    for _ in range(10):
        clock.pass_seconds(0.6)
        with statements() as sent:
            find(known, new.secret)
        assert len(sent) == 1
        assert "tenants" in sent[0].sql
        assert "api_keys" not in sent[0].sql


def test_a_revocation_holds_at_once_where_it_was_made(known: KnownKeys, store: Store) -> None:
    new = make_key(store, scopes=["read"])
    find(known, new.secret)
    with store.database.begin() as tx:
        keys.revoke(tx, "default", new.key.id)
    known.forget()
    with pytest.raises(Refused):
        find(known, new.secret)


def test_a_revocation_elsewhere_holds_within_a_second(
    known: KnownKeys, store: Store, clock: Clock
) -> None:
    new, kept = make_key(store, scopes=["read"]), make_key(store)
    for one in (new, kept):
        find(known, one.secret)
    with store.database.begin() as tx:
        keys.revoke(tx, "default", new.key.id)
    find(known, new.secret)  # not yet heard of
    clock.pass_seconds(known_keys.FRESH_SECONDS)
    with pytest.raises(Refused):
        find(known, new.secret)
    assert find(known, kept.secret) == kept.key.id


def test_the_look_of_half_a_second_is_enough(known: KnownKeys, store: Store, clock: Clock) -> None:
    """A busy key is refused by the request after the look beside another one."""
    new = make_key(store, scopes=["read"])
    find(known, new.secret)
    with store.database.begin() as tx:
        keys.revoke(tx, "default", new.key.id)
    clock.pass_seconds(0.6)
    find(known, new.secret)
    with pytest.raises(Refused):
        find(known, new.secret)


def test_a_look_that_began_before_a_revocation_counts_for_nothing(
    known: KnownKeys, store: Store, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    new = make_key(store, scopes=["read"])
    find(known, new.secret)
    read = known._read_changes

    def revoked_meanwhile() -> Any:
        found = read()
        with store.database.begin() as tx:
            keys.revoke(tx, "default", new.key.id)
        known.forget()
        return found

    monkeypatch.setattr(known, "_read_changes", revoked_meanwhile)
    clock.pass_seconds(0.6)
    find(known, new.secret)
    with pytest.raises(Refused):
        find(known, new.secret)


def test_a_tenant_shut_out_elsewhere(known: KnownKeys, store: Store, clock: Clock) -> None:
    new = make_key(store)
    find(known, new.secret)
    with store.database.begin() as tx:
        tenants.set_disabled(tx, "default", disabled=True)
    clock.pass_seconds(known_keys.FRESH_SECONDS)
    with pytest.raises(Refused) as refused:
        find(known, new.secret)
    assert refused.value.tenant_disabled


def test_a_known_key_expires_by_the_databases_clock(
    known: KnownKeys, store: Store, clock: Clock
) -> None:
    new = make_key(store, keep_seconds=3600)
    with clock_ahead(3598):
        assert find(known, new.secret) == new.key.id
    with clock_ahead(3601):
        clock.pass_seconds(1.5)
        with pytest.raises(Refused) as refused:
            find(known, new.secret)
    assert refused.value.key is not None


def test_a_key_expires_between_two_looks(known: KnownKeys, store: Store, clock: Clock) -> None:
    new = make_key(store, keep_seconds=3600)
    with clock_ahead(3599.6):
        assert find(known, new.secret) == new.key.id
    clock.pass_seconds(0.45)
    with clock_ahead(3600.1), pytest.raises(Refused):
        find(known, new.secret)


def test_while_the_database_is_away_known_keys_predict(
    known: KnownKeys, store: Store, clock: Clock
) -> None:
    new, unknown = make_key(store), make_key(store)
    find(known, new.secret)
    with database_away():
        clock.pass_seconds(60)
        assert find(known, new.secret, predicts=True) == new.key.id
        with pytest.raises(DatabaseUnavailable):
            find(known, new.secret)
        with pytest.raises(DatabaseUnavailable):
            find(known, unknown.secret, predicts=True)
        clock.pass_seconds(known_keys.TRUSTED_SECONDS)
        with pytest.raises(DatabaseUnavailable):
            find(known, new.secret, predicts=True)
    clock.pass_seconds(known_keys.RETRY_SECONDS)
    assert find(known, new.secret) == new.key.id


def test_a_key_that_ended_is_not_trusted_while_the_database_is_away(
    known: KnownKeys, store: Store, clock: Clock
) -> None:
    expiring, revoked = make_key(store, keep_seconds=90), make_key(store)
    for one in (expiring, revoked):
        find(known, one.secret)
    with database_away():
        clock.pass_seconds(91)
        with pytest.raises(DatabaseUnavailable):
            find(known, expiring.secret, predicts=True)
        known.forget()  # one was revoked here just before
        with pytest.raises(DatabaseUnavailable):
            find(known, revoked.secret, predicts=True)


def test_few_keys_are_remembered(
    known: KnownKeys, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "MOST", 3)
    for _ in range(5):
        find(known, make_key(store).secret)
    assert len(known._known) == 3


def test_the_last_use_is_noted_every_five_minutes(
    known: KnownKeys, store: Store, clock: Clock
) -> None:
    new = make_key(store)
    find(known, new.secret)
    first = read_key(store, new.key).last_used_at
    assert first is not None
    clock.pass_seconds(keys.USE_NOTED_SECONDS - 1)
    find(known, new.secret)
    assert read_key(store, new.key).last_used_at == first
    clock.pass_seconds(2)
    with clock_ahead(keys.USE_NOTED_SECONDS + 1):
        find(known, new.secret)
    assert read_key(store, new.key).last_used_at > first
    again = KnownKeys(store)  # another process: the use just now is noted already
    with statements() as sent:
        find(again, new.secret)
    assert not [one for one in sent if one.sql.startswith("UPDATE")]


def test_over_http_an_unknown_key_waits_for_the_database(
    ask: Asking, secrets: dict[str, str], head: str, row: dict[str, Any]
) -> None:
    assert ask.with_key(secrets["predict"], "POST", "/predict", json=row).status_code == 200
    with database_away():
        ask.app.state.access.known_keys._looked_at -= 30
        again = ask.with_key(secrets["predict"], "POST", "/predict", json=row)
        assert again.status_code == 200
        unknown = ask.with_key(secrets["admin"], "POST", "/predict", json=row)
        assert unknown.status_code == 503
        assert int(unknown.headers["retry-after"]) > 0
        assert ask.with_key(secrets["predict"], "GET", f"/heads/{head}").status_code == 503


def test_a_key_of_a_deleted_tenant_opens_no_new_one_of_its_name(
    ask: Asking, store: Store, clock: Clock
) -> None:
    with store.database.begin() as tx:
        tenants.create(tx, "acme")
    secret = make_key(store, "acme").secret
    assert ask.with_key(secret, "GET", "/jobs").status_code == 200
    delete_tenant(store, "acme")
    with store.database.begin() as tx:
        tenants.create(tx, "acme")
    clock.pass_seconds(known_keys.FRESH_SECONDS)
    assert ask.with_key(secret, "GET", "/jobs").status_code == 401
