"""A PostgreSQL that does not answer, or is full, delays its callers only for seconds."""

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from store.database import postgresql
from store.database.connection import Database
from store.errors import DatabaseUnavailable
from tests.servers.postgres import PostgresServer


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server of the test's own, to be ill-treated."""
    server = PostgresServer()
    yield server
    server.stop()


def test_a_frozen_server_is_given_up_and_used_again_when_it_answers(
    own_server: PostgresServer,
) -> None:
    database = Database.open(own_server.url())
    database.ping()
    own_server.freeze()
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        database.ping()
    assert time.monotonic() - began < 3 * postgresql.ANSWER_SECONDS + 20
    own_server.thaw()
    database.ping()
    database.close()


def test_a_crashed_server_is_used_again_when_it_is_back(own_server: PostgresServer) -> None:
    database = Database.open(own_server.url())
    database.ping()
    own_server.crash()
    with pytest.raises(DatabaseUnavailable):
        database.ping()
    own_server.start()
    database.ping()
    database.close()


def test_sessions_have_bounds_of_their_own(postgres: PostgresServer) -> None:
    database = Database.open(postgres.url())
    with database.read() as tx:
        bounds = [
            tx.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        ]
    assert bounds == ["10s", "3s", "15s"]
    database.close()


def test_a_full_pool_is_an_answer_in_seconds(postgres: PostgresServer) -> None:
    database = Database.open(postgres.url(), pool_size=2)
    release = threading.Event()
    taken = threading.Barrier(3)

    def take() -> None:
        with database.read():
            taken.wait()
            release.wait(120)

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    taken.wait()
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        database.ping()
    assert time.monotonic() - began < 2 * postgresql.POOL_SECONDS + 20
    release.set()
    for thread in threads:
        thread.join()
    database.ping()
    database.close()


def test_a_migration_waits_for_another_as_long_as_that_takes(
    postgres: PostgresServer, database_url: str
) -> None:
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite has one writer")
    database = Database.open(database_url)
    order: list[str] = []
    begun = threading.Event()

    def first() -> None:
        with database.schema_change():
            begun.set()
            time.sleep(postgresql.LOCK_SECONDS + 1)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    begun.wait(60)
    with database.schema_change():
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    database.close()
