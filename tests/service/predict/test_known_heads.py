"""Predictions while the database is away: by what the reference named before, and only then."""

from collections.abc import Callable
from typing import Any

import pytest

from service.predict import known_heads
from service.predict.known_heads import KnownHeads
from store.database.connection import Transaction
from store.errors import DatabaseUnavailable, NotFound
from store.registry import heads
from store.registry.heads import HeadVersion
from store.store import Store
from tests.service.in_process import InProcess, publish


class Moody:
    """`heads.resolve`, or what a database that is away makes of it."""

    def __init__(self) -> None:
        self.is_away = False
        self.n_asked = 0
        self._resolve: Callable[[Transaction, str, str], HeadVersion] = heads.resolve

    def __call__(self, tx: Any, tenant_id: str, reference: str) -> HeadVersion:
        self.n_asked += 1
        if self.is_away:
            raise DatabaseUnavailable("away")
        return self._resolve(tx, tenant_id, reference)


@pytest.fixture
def published(store: Store, trained: bytes) -> str:
    """The reference of a head in the store."""
    publish(store, trained, alias="prod")
    return "pets@prod"


@pytest.fixture
def moody(monkeypatch: pytest.MonkeyPatch) -> Moody:
    resolve = Moody()
    monkeypatch.setattr(known_heads.heads, "resolve", resolve)
    return resolve


def test_what_is_known_is_served_and_the_database_left_alone(
    published: str, store: Store, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KnownHeads(store)
    found = known.resolve("default", published)
    assert not found.is_remembered
    moody.is_away = True
    n_asked = moody.n_asked
    for _ in range(5):
        assert known.resolve("default", published) == (found.version, True)
    assert moody.n_asked == n_asked + 1, "an away database is asked once, then left alone"
    with pytest.raises(DatabaseUnavailable):
        known.resolve("default", "pets@other")

    monkeypatch.setattr(known_heads, "RETRY_SECONDS", 0.0)
    assert known.resolve("default", published).is_remembered
    moody.is_away = False
    known._away_until = 1e-9  # the pause is over
    assert known.resolve("default", published) == (found.version, False)


def test_a_reference_that_names_nothing_is_not_remembered(store: Store, moody: Moody) -> None:
    known = KnownHeads(store)
    with pytest.raises(NotFound):
        known.resolve("default", "nobody@prod")
    moody.is_away = True
    with pytest.raises(DatabaseUnavailable):
        known.resolve("default", "nobody@prod")


def test_what_was_deleted_does_not_come_back_while_the_database_is_away(
    published: str, store: Store, moody: Moody
) -> None:
    known = KnownHeads(store)
    known.resolve("default", published)
    with store.database.begin() as tx:
        heads.delete_alias(tx, "default", "pets", "prod")
    with pytest.raises(NotFound):
        known.resolve("default", published)
    moody.is_away = True
    with pytest.raises(DatabaseUnavailable):
        known.resolve("default", published)


def test_a_prediction_says_that_the_database_is_away(
    published: str, client: InProcess, moody: Moody
) -> None:
    body = {"head": published, "embeddings": [[1, 0, 0.3]]}
    one = f"/predict?head={published}&embedding=1,0,0.3"
    before, first = client.post("/predict", json=body), client.get(one)
    assert "x-nmtune-database" not in before.headers
    moody.is_away = True
    after, again = client.post("/predict", json=body), client.get(one)
    assert (after.status_code, after.content) == (200, before.content)
    assert (again.status_code, again.content) == (200, first.content)
    assert after.headers["x-nmtune-database"] == again.headers["x-nmtune-database"] == "away"
    other = client.get("/predict?head=pets@1&embedding=1,0,0.3")
    assert (other.status_code, other.headers["retry-after"].isdigit()) == (503, True)
