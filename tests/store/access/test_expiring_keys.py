"""Webhooks are told of a key that ends within a week: once, whoever sweeps."""

import threading

import pytest

from store.access import keys
from store.access.keys import DAY, ApiKey
from store.cleanup import expiry
from store.store import Store
from store.webhooks.endpoints import Endpoint
from tests.store.access.access_calls import age_key, make_key
from tests.store.webhooks.subscribed import endpoint, told


@pytest.fixture
def listening(store: Store) -> Endpoint:
    return endpoint(store, events=["key.expiring"])


def test_a_key_is_told_of_seven_days_before_its_end(store: Store, listening: Endpoint) -> None:
    key = make_key(store, name="web", scopes=["read"]).key
    age_key(store, key, 82.9 * DAY)
    assert expiry.tell_of_expiring_keys(store) == 0
    age_key(store, key, 0.2 * DAY)
    assert expiry.tell_of_expiring_keys(store) == 1
    [message] = told(store, listening)
    assert message["type"] == "key.expiring"
    assert message["data"].pop("expires_at").endswith("Z")
    assert message["data"] == {"key_id": key.id, "name": "web", "path": f"/keys/{key.id}"}
    age_key(store, key, DAY)
    assert expiry.tell_of_expiring_keys(store) == 0
    assert len(told(store, listening)) == 1


@pytest.mark.parametrize("why", ["revoked", "rotated", "over", "never ends", "short"])
def test_what_its_holder_knows_is_not_told(store: Store, listening: Endpoint, why: str) -> None:
    seconds = {"never ends": None, "short": 7 * DAY}.get(why, 90 * DAY)
    make_key(store)
    key = make_key(store, keep_seconds=seconds).key
    let_go(store, key, why)
    assert expiry.tell_of_expiring_keys(store) == 0
    assert told(store, listening) == []


def let_go(store: Store, key: ApiKey, why: str) -> None:
    if why in ("revoked", "rotated", "over"):
        age_key(store, key, (90.1 if why == "over" else 85) * DAY)
    with store.database.begin() as tx:
        if why == "revoked":
            keys.revoke(tx, "default", key.id)
        if why == "rotated":
            keys.rotate(tx, "default", key.id, created_by="operator")


def test_of_many_sweepers_one_tells(store: Store, listening: Endpoint) -> None:
    for number in range(5):
        age_key(store, make_key(store, name=f"k{number}").key, 85 * DAY)
    begin = threading.Barrier(4)

    def sweep() -> None:
        begin.wait(30)
        expiry.tell_of_expiring_keys(store)

    sweepers = [threading.Thread(target=sweep) for _ in range(4)]
    for one in sweepers:
        one.start()
    for one in sweepers:
        one.join()
    assert len({one["data"]["key_id"] for one in told(store, listening)}) == 5
    assert len(told(store, listening)) == 5
