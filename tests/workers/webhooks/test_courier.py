"""A courier between a real database and a receiver that verifies with the public library."""

import threading
from collections import Counter
from contextlib import ExitStack

import pytest

from outbound import webhook_secret
from store.store import Store
from store.webhooks import deliveries, endpoints, sending
from store.webhooks.deliveries import Attempt
from store.webhooks.endpoints import Endpoint
from tests.servers.receiver import Post, Receiver
from tests.store.made_rows import clock_ahead
from tests.store.webhooks.subscribed import log
from tests.store.webhooks.test_sending import happen
from tests.support.waiting import wait_until
from tests.workers.webhooks.conftest import KEY, Subscribe, carrying


def attempts(store: Store, one: Endpoint) -> list[Attempt]:
    """Those of the endpoint's first delivery."""
    with store.database.read() as tx:
        return deliveries.attempts(tx, "default", log(store, one)[0].id)


def first_attempt(store: Store, one: Endpoint) -> Attempt:
    return wait_until(lambda: attempts(store, one))[0]


def test_what_happens_arrives_signed_and_once(
    store: Store, receiver: Receiver, subscribe: Subscribe
) -> None:
    one = subscribe()
    receiver.manner = lambda post: post.answer(200, b"thanks\0")
    with carrying(store, receiver):
        happen(store, 5)
        wait_until(lambda: [d.status for d in log(store, one)] == ["succeeded"] * 5)
    assert receiver.refused == []
    assert sorted(receiver.ids) == sorted(delivery.message_id for delivery in log(store, one))
    assert receiver.types == ["dataset.created"] * 5
    headers = receiver.headers[0]
    assert headers["user-agent"] == "nmtune-webhooks"
    assert headers["content-type"] == "application/json"
    assert "cookie" not in headers
    [attempt] = attempts(store, one)
    assert (attempt.n, attempt.status, attempt.error) == (1, 200, None)
    assert attempt.excerpt == "thanks\N{REPLACEMENT CHARACTER}"
    assert attempt.milliseconds is not None


def test_after_a_rotation_both_secrets_sign(
    store: Store, receiver: Receiver, subscribe: Subscribe
) -> None:
    one, new = subscribe(), webhook_secret.new_secret()
    sealed = webhook_secret.seal(new, key=KEY, tenant_id="default", endpoint_id=one.id)
    with store.database.begin() as tx:
        endpoints.rotate(tx, "default", one.id, sealed=sealed)
    receiver.secrets.append(new)
    with carrying(store, receiver):
        happen(store)
        wait_until(lambda: receiver.ids)
    assert receiver.refused == []
    assert receiver.headers[0]["webhook-signature"].count("v1,") == 2


def test_a_hanging_receiver_holds_up_no_other_endpoint(
    store: Store, receiver: Receiver, subscribe: Subscribe
) -> None:
    slow = subscribe()
    happen(store, 4)  # for the slow one alone
    quick = subscribe()
    receiver.secrets = []
    hung = threading.Event()

    def manner(post: Post) -> None:
        if post.headers["webhook-id"] in {d.message_id for d in log(store, slow)[:4]}:
            hung.set()
            post.server.goodbye.wait()
        post.answer(204)

    receiver.manner = manner
    with carrying(store, receiver):
        assert hung.wait(60)
        happen(store)
        wait_until(lambda: [d.status for d in log(store, quick)] == ["succeeded"])
        assert [d.status for d in log(store, slow)].count("sending") == 1
        receiver.goodbye.set()
    [state, *_] = log(store, slow)
    assert state.n_attempts <= 1


@pytest.mark.parametrize("header", ["600", "Fri, 31 Dec 2100 23:59:59 GMT", "soon"])
def test_a_receivers_retry_after_is_read(
    store: Store, receiver: Receiver, subscribe: Subscribe, header: str
) -> None:
    one = subscribe()
    receiver.manner = lambda post: post.answer(503, b"later", Retry_After=header)
    happen(store)
    with carrying(store, receiver):
        attempt = first_attempt(store, one)
    assert (attempt.status, attempt.error, attempt.excerpt) == (503, None, "later")
    [delivery] = log(store, one)
    pause = (delivery.due_at - attempt.at).total_seconds()
    expected = {"600": (595, 605), "soon": (4, 6)}.get(header, (86_000, 86_405))
    assert expected[0] <= pause <= expected[1]


def test_two_couriers_send_each_message_once(
    store: Store, receiver: Receiver, subscribe: Subscribe
) -> None:
    ones = [subscribe() for _ in range(3)]
    receiver.secrets = []
    happen(store, 10)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(carrying(store, receiver))
        for one in ones:
            wait_until(lambda one=one: all(d.status == "succeeded" for d in log(store, one)))
    assert set(Counter(receiver.ids).values()) == {3}, "each message to each of the three"
    assert len(receiver.ids) == 30


def test_a_name_that_turns_inside_fails_the_attempt_and_is_not_connected_to(
    store: Store, receiver: Receiver, subscribe: Subscribe
) -> None:
    one = subscribe(f"https://rebind.example:{receiver.host[1]}/")
    happen(store)
    with carrying(store, receiver, resolve=lambda host, port: ["127.0.0.1"]):
        attempt = first_attempt(store, one)
    assert (attempt.status, attempt.error) == (None, "url_not_allowed")
    assert receiver.ids == []


def test_an_endpoint_that_the_operator_no_longer_allows_fails(
    store: Store, receiver: Receiver, subscribe: Subscribe
) -> None:
    one = subscribe()
    happen(store)
    with carrying(store, receiver, allowed=frozenset()):
        assert first_attempt(store, one).error == "url_not_allowed"
    assert receiver.ids == []


def test_a_secret_sealed_with_another_key_fails_the_attempt(
    store: Store, receiver: Receiver, subscribe: Subscribe
) -> None:
    one = subscribe(key=b"k" * 32)
    happen(store)
    with carrying(store, receiver):
        assert first_attempt(store, one).error == "secret_unreadable"
    assert receiver.ids == []


def test_without_a_key_nothing_is_claimed(
    store: Store, receiver: Receiver, subscribe: Subscribe
) -> None:
    one = subscribe()
    happen(store)
    with carrying(store, receiver, key=None):
        pass
    assert [delivery.status for delivery in log(store, one)] == ["pending"]


def test_a_courier_that_is_stopped_gives_its_delivery_back(
    store: Store, receiver: Receiver, subscribe: Subscribe
) -> None:
    one = subscribe()
    arrived = threading.Event()

    def hang(post: Post) -> None:
        arrived.set()
        post.server.goodbye.wait()

    receiver.manner = hang
    happen(store)
    with carrying(store, receiver):
        assert arrived.wait(60)
    [delivery] = log(store, one)
    assert (delivery.status, delivery.n_attempts) == ("pending", 0)
    receiver.manner = lambda post: post.answer(204)
    with carrying(store, receiver):
        wait_until(lambda: [d.status for d in log(store, one)] == ["succeeded"])
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1, "the same message: the receiver may tell by its id"


def test_a_receiver_that_fails_half_the_time_gets_every_message(
    store: Store, receiver: Receiver, subscribe: Subscribe
) -> None:
    """Through couriers that come and go; the clock stands for the pauses between attempts."""
    one = subscribe()
    turns = iter(range(10_000))
    receiver.manner = lambda post: post.answer(500 if next(turns) % 2 else 204)
    happen(store, 12)
    ahead = 0.0
    while any(delivery.status != "succeeded" for delivery in log(store, one)):
        assert ahead < 4 * 86_400, log(store, one)
        with clock_ahead(ahead), carrying(store, receiver):
            wait_until(lambda: _is_quiet(store))
        ahead += 3_000
    assert set(receiver.ids) == {delivery.message_id for delivery in log(store, one)}
    assert receiver.refused == []


def _is_quiet(store: Store) -> bool:
    with store.database.read() as tx:
        if sending.is_due(tx):
            return False
    return not any(d.status == "sending" for d in _all(store))


def _all(store: Store) -> list[deliveries.Delivery]:
    with store.database.read() as tx:
        return [
            delivery
            for one in endpoints.of_tenant(tx, "default")
            for delivery in deliveries.page(tx, "default", one.id, limit=200).items
        ]
