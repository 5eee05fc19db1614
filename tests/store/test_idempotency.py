"""Idempotency keys: the first answer is given again."""

import pytest

from store import idempotency
from store.errors import Conflict, IdempotencyKeyReused
from store.idempotency import StoredResponse
from store.store import Store

BODY = b'{"id": "job_1", "name": "d\xc3\xb6g"}'


def save(store: Store, key: str = "k", *, tenant_id: str = "default", hash_: str = "h") -> None:
    with store.database.begin() as tx:
        idempotency.save(tx, tenant_id, key, request_hash=hash_, status_code=202, body=BODY)


def find(store: Store, key: str = "k", *, hash_: str = "h") -> StoredResponse | None:
    with store.database.read() as tx:
        return idempotency.find(tx, "default", key, request_hash=hash_)


def test_the_answer_comes_back_byte_for_byte(store: Store) -> None:
    assert find(store) is None
    save(store)
    assert find(store) == StoredResponse(status_code=202, body=BODY)


def test_text_is_kept_as_utf8(store: Store) -> None:
    with store.database.begin() as tx:
        idempotency.save(tx, "default", "k", request_hash="h", status_code=201, body=BODY.decode())
    found = find(store)
    assert found is not None
    assert found.body == BODY


def test_a_key_for_another_request_is_refused(store: Store) -> None:
    save(store)
    with pytest.raises(IdempotencyKeyReused, match="new key"):
        find(store, hash_="other")


def test_the_slower_of_two_requests_with_a_key_is_undone(store: Store) -> None:
    save(store)
    with pytest.raises(Conflict, match="again"):
        save(store)


def test_a_key_is_a_tenants_own(store: Store) -> None:
    save(store, tenant_id="theirs")
    assert find(store) is None
    save(store)


def test_old_answers_are_forgotten_and_young_ones_kept(store: Store) -> None:
    save(store, "a")
    save(store, "b", tenant_id="theirs")
    with store.database.begin() as tx:
        assert idempotency.prune(tx) == 0
    with store.database.begin() as tx:
        assert idempotency.prune(tx, older_than_seconds=-1) == 2
    assert find(store, "a") is None
