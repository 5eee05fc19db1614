"""Keys: made and found, ended by time, by revocation and by rotation."""

from datetime import timedelta

import pytest

from store.access import keys, scopes, secrets, tenants
from store.errors import InvalidName, InvalidScope, KeyEnded, LastAdminKey, NotFound
from store.store import Store
from tests.store.access.access_calls import age_key, make_key, read_key


def test_a_key_is_found_by_its_hash_alone(store: Store) -> None:
    new = make_key(store, name="ci", scopes=["predict"], heads=["pets", "cats"])
    with store.database.read() as tx:
        found = keys.find(tx, secrets.sha256_of(new.secret))
        assert keys.find(tx, secrets.sha256_of(secrets.new_key())) is None
    assert found is not None
    assert found.key == new.key
    assert not found.tenant_disabled
    assert (new.key.scopes, new.key.heads) == (("predict",), ("pets", "cats"))
    assert new.secret.endswith(new.key.last4)
    assert new.secret not in repr(new.key)


def test_a_key_lives_ninety_days_unless_one_says_otherwise(store: Store) -> None:
    usual, ever = make_key(store).key, make_key(store, keep_seconds=None).key
    assert usual.expires_at == usual.created_at + timedelta(days=90)
    assert ever.expires_at is None
    assert ever.is_active(ever.created_at + timedelta(days=36_500))
    assert usual.is_active(usual.created_at + timedelta(days=89.99))
    assert not usual.is_active(usual.created_at + timedelta(days=90))


WRONG = {
    "no scope": {"scopes": []},
    "unknown scope": {"scopes": ["root"]},
    "heads of a reader": {"scopes": ["read"], "heads": ["pets"]},
    "no heads": {"scopes": ["predict"], "heads": []},
    "too many heads": {"scopes": ["predict"], "heads": [f"h{n}" for n in range(101)]},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_scopes_are_refused(store: Store, wrong: str) -> None:
    with pytest.raises(InvalidScope):
        make_key(store, **WRONG[wrong])


def test_wrong_names_are_refused(store: Store) -> None:
    for changes in ({"name": "a b"}, {"scopes": ["predict"], "heads": ["pets@3"]}):
        with pytest.raises(InvalidName):
            make_key(store, **changes)
    with pytest.raises(NotFound):
        make_key(store, "nobody")


def test_each_scope_holds_those_before_it() -> None:
    assert scopes.held(["predict"]) == {"predict"}
    assert scopes.held(["write"]) == {"predict", "read", "write"}
    assert scopes.held(["read", "admin"]) == set(scopes.SCOPES)
    assert scopes.held([]) == set()


def test_a_revoked_key_has_ended_and_stays_so(store: Store) -> None:
    key = make_key(store, scopes=["read"]).key
    with store.database.begin() as tx:
        first = keys.revoke(tx, "default", key.id)
    with store.database.begin() as tx:
        assert keys.revoke(tx, "default", key.id) == first
    assert first.revoked_at is not None
    assert not first.is_active(first.revoked_at)


def test_the_last_admin_key_is_kept_unless_forced(store: Store) -> None:
    first, second = make_key(store).key, make_key(store).key
    reader = make_key(store, scopes=["read"]).key
    with store.database.begin() as tx:
        tenants.create(tx, "theirs")
    make_key(store, "theirs")  # another tenant's does not count
    with store.database.begin() as tx:
        keys.revoke(tx, "default", reader.id)
        keys.revoke(tx, "default", first.id)
    with pytest.raises(LastAdminKey, match="force"), store.database.begin() as tx:
        keys.revoke(tx, "default", second.id)
    assert read_key(store, second).revoked_at is None
    with store.database.begin() as tx:
        assert keys.revoke(tx, "default", second.id, force=True).revoked_at is not None


def test_an_expired_admin_key_is_no_other_admin(store: Store) -> None:
    old, last = make_key(store, keep_seconds=60).key, make_key(store).key
    age_key(store, old, 61)
    with pytest.raises(LastAdminKey), store.database.begin() as tx:
        keys.revoke(tx, "default", last.id)


def test_a_rotated_key_goes_on_for_the_overlap(store: Store) -> None:
    old = make_key(store, scopes=["predict"], heads=["pets"], keep_seconds=keys.DAY * 30).key
    with store.database.begin() as tx:
        new = keys.rotate(tx, "default", old.id, overlap_seconds=3600, created_by="operator")
    assert new.secret.endswith(new.key.last4)
    same = ("name", "scopes", "heads")
    assert [getattr(new.key, one) for one in same] == [getattr(old, one) for one in same]
    assert new.key.expires_at is not None
    assert new.key.expires_at - new.key.created_at == timedelta(days=30)
    ended = read_key(store, old)
    assert ended.successor_id == new.key.id
    assert ended.expires_at is not None
    assert ended.expires_at - new.key.created_at <= timedelta(hours=1, seconds=1)
    with pytest.raises(KeyEnded, match="rotated before"), store.database.begin() as tx:
        keys.rotate(tx, "default", old.id, created_by="operator")


def test_a_rotation_does_not_prolong_a_key(store: Store) -> None:
    old = make_key(store, keep_seconds=60).key
    with store.database.begin() as tx:
        keys.rotate(tx, "default", old.id, overlap_seconds=keys.DAY, created_by="operator")
    assert read_key(store, old).expires_at == old.expires_at
    ever = make_key(store, keep_seconds=None).key
    with store.database.begin() as tx:
        new = keys.rotate(tx, "default", ever.id, overlap_seconds=0, created_by="operator")
    assert new.key.expires_at is None
    ended = read_key(store, ever)
    assert not ended.is_active(new.key.created_at)


def test_an_ended_key_is_not_rotated(store: Store) -> None:
    expired = make_key(store, keep_seconds=60).key
    age_key(store, expired, 61)
    with pytest.raises(KeyEnded), store.database.begin() as tx:
        keys.rotate(tx, "default", expired.id, created_by="operator")


def test_what_takes_from_a_key_is_counted(store: Store) -> None:
    def changes() -> int:
        with store.database.read() as tx:
            return tenants.key_changes(tx)[0]["default"]

    before = changes()
    one, two = make_key(store).key, make_key(store).key
    assert changes() == before  # a new key was known to nobody
    with store.database.begin() as tx:
        keys.revoke(tx, "default", one.id)
    with store.database.begin() as tx:
        keys.rotate(tx, "default", two.id, created_by="operator")
    with store.database.begin() as tx:
        tenants.set_disabled(tx, "default", disabled=True)
    assert changes() == before + 3


def test_the_last_use_is_noted(store: Store) -> None:
    key = make_key(store).key
    assert key.last_used_at is None
    with store.database.begin() as tx:
        keys.note_used(tx, "default", key.id)
    assert read_key(store, key).last_used_at is not None


def test_another_tenants_key_is_not_there(store: Store) -> None:
    with store.database.begin() as tx:
        tenants.create(tx, "theirs")
    key = make_key(store).key
    with pytest.raises(NotFound), store.database.begin() as tx:
        keys.get(tx, "theirs", key.id)
    with pytest.raises(NotFound), store.database.begin() as tx:
        keys.revoke(tx, "theirs", key.id)
    with pytest.raises(NotFound), store.database.begin() as tx:
        keys.rotate(tx, "theirs", key.id, created_by="operator")
    with store.database.begin() as tx:
        keys.note_used(tx, "theirs", key.id)
        assert keys.page(tx, "theirs").items == ()
    assert read_key(store, key) == key


def test_keys_come_in_pages_newest_first(store: Store) -> None:
    made = [make_key(store, name=f"k{n}").key for n in range(5)]
    found, cursor = [], None
    while True:
        with store.database.read() as tx:
            page = keys.page(tx, "default", limit=2, cursor=cursor)
        found += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert [key.id for key in found] == [key.id for key in reversed(made)]


def test_no_table_holds_a_key(store: Store) -> None:
    from store.database import tables

    new = make_key(store)
    with store.database.read() as tx:
        rows = [
            str(row)
            for table in tables.metadata.sorted_tables
            for row in tx.execute(table.select())
        ]
    assert any(secrets.sha256_of(new.secret) in row for row in rows)
    assert not [row for row in rows if new.secret in row or new.secret[4:-6] in row]
