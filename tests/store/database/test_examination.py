"""What an operator asks a database, and what errors say of the values that were sent to it."""

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from store.database import examination, tables
from store.store import Store


def test_the_clock_of_this_machines_database_agrees(store: Store) -> None:
    assert abs(examination.clock_difference_seconds(store.database)) < 1


def test_sqlite_has_no_server(store: Store) -> None:
    if store.database.url.get_backend_name() == "sqlite":
        assert examination.postgresql_server(store.database) is None


def test_connections_are_counted_while_they_are_used(store: Store) -> None:
    assert set(store.database.connections_in_use().values()) == {0}
    with store.database.read():
        assert sum(store.database.connections_in_use().values()) == 1
    with store.database.begin() as tx:
        tx.exec_driver_sql("SELECT 1")
        assert sum(store.database.connections_in_use().values()) == 1
    assert set(store.database.connections_in_use().values()) == {0}


def test_an_error_does_not_repeat_the_values_that_were_sent(store: Store) -> None:
    """Tracebacks go into logs; keys, names and configs must not."""
    broken = insert(tables.heads).values(
        tenant_id="default", name="canary-5e1", latest_version=1, created_at=None
    )
    with pytest.raises(IntegrityError) as raised, store.database.begin() as tx:
        tx.execute(broken)
    text = str(raised.value)
    assert "parameters hidden" in text
    # PostgreSQL itself shows the row, as its DETAIL; the log masks that (`standalone.logs`).
    assert "canary-5e1" not in text.partition("DETAIL:")[0]
