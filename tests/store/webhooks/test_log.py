"""The log of deliveries: pages, replays, what becomes too old, and whose it is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from store.database import tables
from store.database.connection import Transaction
from store.errors import Conflict, EndpointDisabled, MessageGone, NotFound, TooManyEndpoints
from store.store import Store
from store.webhooks import deliveries, endpoints
from store.webhooks.endpoints import MOST_ENDPOINTS, Disabled
from store.webhooks.states import DeliveryStatus
from tests.store.made_rows import clock_ahead
from tests.store.webhooks.subscribed import (
    BROKEN,
    OK,
    claim,
    claimed,
    endpoint,
    log,
    n_messages,
    record,
)
from tests.store.webhooks.test_sending import DAY, happen

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def test_pages_are_newest_first_and_can_be_narrowed(store: Store) -> None:
    one = endpoint(store)
    happen(store, 3)
    record(store, claimed(store), OK)
    with store.database.read() as tx:
        ask = partial(deliveries.page, tx, "default", one.id)
        first = ask(limit=2)
        second = ask(limit=2, cursor=first.next_cursor)
        assert [len(first.items), len(second.items)] == [2, 1]
        assert [*first.items, *second.items] == [*reversed(log(store, one))]
        assert len(ask(status=DeliveryStatus.SUCCEEDED).items) == 1
        assert len(ask(status=DeliveryStatus.PENDING).items) == 2


def test_all_that_failed_since_a_time_is_sent_again(store: Store) -> None:
    one = endpoint(store)
    happen(store, 2)
    with store.database.begin() as tx:  # both fail
        endpoints.disable(tx, "default", one.id, Disabled.BY_HAND)
        with pytest.raises(EndpointDisabled):
            deliveries.replay_failed(tx, "default", one.id, since=LONG_AGO)
        endpoints.enable(tx, "default", one.id)
    happen(store)
    future = datetime.now(UTC) + timedelta(days=1)
    with store.database.begin() as tx:
        assert deliveries.replay_failed(tx, "default", one.id, since=future) == 0
        assert deliveries.replay_failed(tx, "default", one.id, since=LONG_AGO) == 2
    ids = []
    for _ in range(3):
        found = claimed(store)
        ids.append(found.message_id)
        record(store, found, OK)
    assert sorted(ids) == sorted(delivery.message_id for delivery in log(store, one))


def test_what_is_being_sent_is_not_replayed(store: Store) -> None:
    endpoint(store)
    happen(store)
    held = claimed(store)
    with pytest.raises(Conflict, match="being sent"), store.database.begin() as tx:
        deliveries.replay(tx, "default", held.id)
    assert record(store, held, OK)


def test_a_replay_that_fails_is_tried_by_the_schedule_again(store: Store) -> None:
    endpoint(store)
    happen(store)
    first = claimed(store)
    record(store, first, OK)
    with store.database.begin() as tx:
        assert deliveries.replay(tx, "default", first.id).status == "pending"
    second = claimed(store)
    assert (second.step, second.n_attempts) == (1, 2)
    record(store, second, BROKEN)
    assert claim(store) is None
    with clock_ahead(8):
        assert claimed(store).step == 2


def test_what_is_older_than_30_days_is_gone_and_later_removed(store: Store) -> None:
    one = endpoint(store)
    happen(store)
    found = claimed(store)
    record(store, found, OK)
    with clock_ahead(29 * DAY), store.database.begin() as tx:
        assert deliveries.prune(tx) == 0
        assert deliveries.get(tx, "default", found.id).status == "succeeded"
    with clock_ahead(30 * DAY + 5):
        for ask in (deliveries.get, deliveries.replay):
            with pytest.raises(MessageGone, match="30 days"), store.database.begin() as tx:
                ask(tx, "default", found.id)
        assert log(store, one) == []
    with clock_ahead(38 * DAY), store.database.begin() as tx:
        assert deliveries.prune(tx) == 1
    assert n_messages(store) == 0
    with store.database.read() as tx:
        assert tx.execute(select(tables.webhook_attempts)).all() == []
        assert tx.execute(select(tables.webhook_deliveries)).all() == []


def test_a_tenant_has_20_endpoints_at_most(store: Store) -> None:
    for _ in range(MOST_ENDPOINTS):
        endpoint(store)
    with pytest.raises(TooManyEndpoints, match="20"):
        endpoint(store)
    endpoint(store, "theirs")


ASKS: dict[str, Callable[[Transaction, str, str], Any]] = {
    "get": lambda tx, one, _: endpoints.get(tx, "theirs", one),
    "change": lambda tx, one, _: endpoints.change(tx, "theirs", one, values={"url": "x"}),
    "enable": lambda tx, one, _: endpoints.enable(tx, "theirs", one),
    "disable": lambda tx, one, _: endpoints.disable(tx, "theirs", one, Disabled.BY_HAND),
    "rotate": lambda tx, one, _: endpoints.rotate(tx, "theirs", one, sealed=b""),
    "ping": lambda tx, one, _: endpoints.ping(tx, "theirs", one),
    "delete": lambda tx, one, _: endpoints.delete(tx, "theirs", one),
    "replay_failed": lambda tx, one, _: deliveries.replay_failed(tx, "theirs", one, since=LONG_AGO),
    "delivery": lambda tx, _, sent: deliveries.get(tx, "theirs", sent),
    "replay": lambda tx, _, sent: deliveries.replay(tx, "theirs", sent),
}


@pytest.mark.parametrize("ask", ASKS)
def test_what_belongs_to_another_tenant_is_not_found(store: Store, ask: str) -> None:
    one = endpoint(store)
    happen(store)
    [sent] = log(store, one)
    with pytest.raises(NotFound), store.database.begin() as tx:
        ASKS[ask](tx, one.id, sent.id)
    assert log(store, one) == [sent]
    with store.database.read() as tx:
        assert deliveries.page(tx, "theirs", one.id).items == ()
        assert deliveries.attempts(tx, "theirs", sent.id) == []
        assert endpoints.of_tenant(tx, "theirs") == []
