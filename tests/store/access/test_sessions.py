"""Sessions: they end by time, by silence, with their key, and at logout."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from store.access import keys, secrets, sessions, tenants
from store.access.sessions import Session
from store.database import tables
from store.store import Store
from tests.store.access.access_calls import age_key, make_key


def find(store: Store, token: str) -> Session | None:
    with store.database.read() as tx:
        return sessions.find(tx, token)


def opened(store: Store, **changes: object) -> tuple[str, keys.ApiKey]:
    key = make_key(store, **changes).key
    with store.database.begin() as tx:
        return sessions.create(tx, "default", key=key, scopes=key.scopes), key


def move(store: Store, **seconds: float) -> None:
    """Let the moments of the only session lie further back."""
    with store.database.begin() as tx:
        row = tx.execute(tables.sessions.select()).one()
        values = {name: getattr(row, name) - timedelta(seconds=by) for name, by in seconds.items()}
        tx.execute(update(tables.sessions).values(**values))


def test_a_session_has_the_rights_of_its_key(store: Store) -> None:
    token, key = opened(store, scopes=["predict"], heads=["pets"])
    found = find(store, token)
    assert found is not None
    assert (found.tenant_id, found.key_id) == ("default", key.id)
    assert (found.scopes, found.heads) == (("predict",), ("pets",))
    assert find(store, secrets.new_token()) is None


def test_the_operators_session_needs_no_key(store: Store) -> None:
    with store.database.begin() as tx:
        token = sessions.create(tx, "default", key=None, scopes=("admin",))
    found = find(store, token)
    assert found is not None
    assert (found.key_id, found.scopes, found.heads) == (None, ("admin",), None)


ENDS = {
    "twelve hours": {"expires_at": sessions.ABSOLUTE_SECONDS + 1},
    "two idle hours": {"seen_at": sessions.IDLE_SECONDS + 1},
}


@pytest.mark.parametrize("end", ENDS)
def test_a_session_ends_by_itself(store: Store, end: str) -> None:
    token, _ = opened(store)
    move(store, **{name: by - 60 for name, by in ENDS[end].items()})
    assert find(store, token) is not None
    move(store, **dict.fromkeys(ENDS[end], 61))
    assert find(store, token) is None


def test_a_session_ends_with_its_key(store: Store) -> None:
    make_key(store)
    revoked, key = opened(store)
    expired, other = opened(store, keep_seconds=60)
    assert find(store, revoked) is not None
    with store.database.begin() as tx:
        keys.revoke(tx, "default", key.id)
    age_key(store, other, 61)
    assert find(store, revoked) is None
    assert find(store, expired) is None


def test_a_session_says_that_its_tenant_is_shut_out(store: Store) -> None:
    token, _ = opened(store)
    with store.database.begin() as tx:
        tenants.set_disabled(tx, "default", disabled=True)
    found = find(store, token)
    assert found is not None
    assert found.tenant_disabled


def test_being_seen_prolongs_and_logout_ends(store: Store) -> None:
    token, _ = opened(store)
    move(store, seen_at=sessions.IDLE_SECONDS - 60)
    found = find(store, token)
    assert found is not None
    assert not found.was_seen
    with store.database.begin() as tx:
        sessions.note_seen(tx, found)
    again = find(store, token)
    assert again is not None
    assert again.was_seen
    with store.database.begin() as tx:
        sessions.end(tx, again)
    assert find(store, token) is None


def test_a_token_is_kept_as_its_hash_and_old_rows_go(store: Store) -> None:
    old, _ = opened(store)
    move(store, expires_at=sessions.ABSOLUTE_SECONDS + 1)
    new, _ = opened(store)
    with store.database.read() as tx:
        (row,) = tx.execute(tables.sessions.select()).all()
    assert row.sha256 == secrets.sha256_of(new) != secrets.sha256_of(old)
    assert new not in str(row)


def test_sessions_of_one_or_of_all_are_ended(store: Store) -> None:
    of_a_key, key = opened(store)
    with store.database.begin() as tx:
        tenants.create(tx, "lab")
        member = sessions.create(
            tx, "default", key=None, scopes=("read",), subject="al at https://i"
        )
        operator = sessions.create(tx, "default", key=None, scopes=("admin",))
        theirs = sessions.create(tx, "lab", key=None, scopes=("read",), subject="al at https://i")
        by = [one.by for one in sessions.listed(tx, "default")]
    assert sorted(by) == sorted([key.id, "al at https://i", sessions.OPERATOR])
    for who, token in (("al at https://i", member), (key.id, of_a_key), ("operator", operator)):
        assert find(store, token) is not None
        with store.database.begin() as tx:
            assert sessions.end_all(tx, "default", by=who) == 1
            assert sessions.end_all(tx, "default", by=who) == 0
        assert find(store, token) is None
    assert find(store, theirs) is not None
    with store.database.begin() as tx:
        assert sessions.end_all(tx, "default") == 0
        assert sessions.end_all(tx, "lab") == 1
