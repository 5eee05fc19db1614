"""The database: its transactions, its SQLite settings, and two processes on one file."""

import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError

from store.database import connection as database_module
from store.database import tables
from store.database.clock import now
from store.database.connection import Database, wal_reset_warning
from store.errors import DatabaseUnavailable, StoreError
from store.store import Store
from tests.store.conftest import OpenStore
from tests.store.made_rows import Rows, statements


def add_head(store: Store, name: str, latest_version: int = 1) -> None:
    with store.database.begin() as tx:
        tx.execute(
            insert(tables.heads).values(
                tenant_id="default", name=name, latest_version=latest_version, created_at=now()
            )
        )


def heads(store: Store) -> dict[str, int]:
    with store.database.read() as tx:
        rows = tx.execute(select(tables.heads.c.name, tables.heads.c.latest_version))
        return {row.name: row.latest_version for row in rows}


def test_the_end_of_the_block_commits(open_store: OpenStore) -> None:
    add_head(open_store(), "pets")
    assert heads(open_store()) == {"pets": 1}


def test_an_error_in_the_block_rolls_everything_back(store: Store) -> None:
    def write_and_break() -> None:
        with store.database.begin() as tx:
            tx.execute(
                insert(tables.heads).values(
                    tenant_id="default", name="pets", latest_version=1, created_at=now()
                )
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_break()
    assert heads(store) == {}
    add_head(store, "pets")  # and the connection is fit for the next transaction


def test_a_reading_block_cannot_write(store: Store) -> None:
    add_head(store, "pets")
    with pytest.raises((StoreError, DBAPIError)), store.database.read() as tx:
        tx.execute(update(tables.heads).values(latest_version=2))
    assert heads(store) == {"pets": 1}


def test_a_reader_sees_one_state_while_a_writer_goes_on(open_store: OpenStore) -> None:
    store = open_store()
    if store.database.url.get_backend_name() != "sqlite":
        pytest.skip("PostgreSQL reads committed rows statement by statement")
    with store.database.read() as tx:
        count = select(tables.heads.c.name)
        assert tx.execute(count).all() == []
        add_head(store, "pets")
        assert tx.execute(count).all() == []
    assert heads(store) == {"pets": 1}


def test_two_processes_that_read_and_then_write_lose_no_update(open_store: OpenStore) -> None:
    """What BEGIN IMMEDIATE is for: without it updates are lost, or "database is locked" is raised.

    Each thread has its own Database, as a process of its own would.
    """
    n_threads, n_rounds = 4, 25
    stores = [open_store() for _ in range(n_threads)]
    add_head(stores[0], "pets", 0)
    version = tables.heads.c.latest_version
    start = threading.Barrier(n_threads)
    errors: list[BaseException] = []

    def count_up(store: Store) -> None:
        start.wait()
        try:
            for _ in range(n_rounds):
                with store.database.begin() as tx:
                    found = tx.execute(select(version).with_for_update()).scalar_one()
                    tx.execute(update(tables.heads).values(latest_version=found + 1))
        except BaseException as error:  # noqa: BLE001  shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=count_up, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert heads(stores[0]) == {"pets": n_threads * n_rounds}


def test_threads_of_one_process_wait_in_line_for_the_write_lock(store: Store) -> None:
    add_head(store, "pets", 0)

    def count_up() -> None:
        for _ in range(20):
            with store.database.begin() as tx:
                found = tx.execute(select(tables.heads.c.latest_version).with_for_update())
                number = found.scalar_one()
                tx.execute(update(tables.heads).values(latest_version=number + 1))

    threads = [threading.Thread(target=count_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heads(store) == {"pets": 160}


def test_sqlite_is_set_up_for_durability_and_many_connections(folder: Path) -> None:
    database = Database.open(f"sqlite:///{folder}/new/nmtune.db")
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "busy_timeout": 10_000,
        "foreign_keys": 1,
        "trusted_schema": 0,
    }
    for block in (database.begin, database.read):
        with block() as tx:
            found = {name: tx.execute(text(f"PRAGMA {name}")).scalar_one() for name in expected}
        assert found == expected
    database.close()


def test_the_first_statement_of_a_writing_block_takes_the_lock(store: Store) -> None:
    if store.database.url.get_backend_name() != "sqlite":
        pytest.skip("PostgreSQL locks rows")
    with store.database.begin() as tx:
        tx.execute(select(1))
        other = sqlite3.connect(str(store.database.url.database), timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


def test_the_sqlite_file_and_its_folder_are_made_and_private(folder: Path) -> None:
    path = folder / "a" / "b" / "nmtune.db"
    database = Database.open(f"sqlite:///{path}")
    with database.begin() as tx:
        tx.execute(text("CREATE TABLE t (a)"))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    database.close()
    assert modes == dict.fromkeys(["nmtune.db", "nmtune.db-wal", "nmtune.db-shm"], 0o600)


def test_many_processes_may_open_a_new_sqlite_file_at_once(folder: Path) -> None:
    databases = [Database.open(f"sqlite:///{folder}/new.db") for _ in range(6)]
    start = threading.Barrier(len(databases))
    errors: list[BaseException] = []

    def first_use(database: Database) -> None:
        start.wait()
        try:
            database.ping()
            with database.begin() as tx:
                tx.execute(text("CREATE TABLE IF NOT EXISTS t (a)"))
        except BaseException as error:  # noqa: BLE001  shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=first_use, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    assert errors == []


def test_a_lock_that_is_held_too_long_is_an_error_of_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_SECONDS", 0.05)
    one, other = (Database.open(f"sqlite:///{folder}/n.db") for _ in range(2))
    with one.begin() as tx:
        tx.execute(text("CREATE TABLE t (a)"))
        with pytest.raises(DatabaseUnavailable, match="Try again") as caught, other.begin() as tx2:
            tx2.execute(text("CREATE TABLE u (a)"))
    one.close()
    other.close()
    assert "locked" not in str(caught.value), "the cause is for the log"
    assert "database is locked" in caplog.text


def test_no_free_connection_is_an_error_of_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_SECONDS", 0.05)
    database = Database.open(f"sqlite:///{folder}/n.db")
    with database.begin(), pytest.raises(DatabaseUnavailable), database.begin():
        pass  # a block within a block: there is one writer
    database.close()


def test_a_damaged_file_is_an_error_of_ours(folder: Path) -> None:
    (folder / "n.db").write_bytes(b"this is no database" * 100)
    database = Database.open(f"sqlite:///{folder}/n.db")
    with pytest.raises(DatabaseUnavailable):
        database.ping()
    database.close()


def test_a_wrong_statement_is_not_taken_for_an_absent_database(rows: Rows, store: Store) -> None:
    rows.queued()
    with pytest.raises(Exception, match="ck_jobs_status") as caught, store.database.begin() as tx:
        tx.execute(update(tables.jobs).values(status="paused"))
    assert not isinstance(caught.value, StoreError)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:a?uri=true"])
def test_sqlite_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="path of a file"):
        Database.open(url)


@pytest.mark.parametrize("url", ["mysql://db/nmtune", "nonsense", ""])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(StoreError, match="NMTUNE_DATABASE_URL"):
        Database.open(url)


def test_nan_is_refused_in_json_before_postgresql_would(store: Store, rows: Rows) -> None:
    rows.queued()
    with pytest.raises(Exception, match="not JSON compliant"), store.database.begin() as tx:
        tx.execute(update(tables.jobs).values(progress={"loss": float("nan")}))


def test_ping_is_one_statement_and_the_revision_is_known(store: Store) -> None:
    with statements() as seen:
        store.database.ping()
    assert len(seen) == 1
    assert store.database.schema_revision() is not None


def test_a_new_database_has_no_revision(folder: Path) -> None:
    database = Database.open(f"sqlite:///{folder}/n.db")
    assert database.schema_revision() is None
    database.close()


@pytest.mark.parametrize(
    ("version", "warned"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_the_wal_reset_bug_is_warned_of(version: tuple[int, ...], warned: bool) -> None:
    assert (wal_reset_warning(version) is not None) == warned


def test_every_table_has_an_owner_and_every_constraint_a_name() -> None:
    for table in tables.metadata.tables.values():
        assert not table.c.tenant_id.nullable
        assert all(constraint.name for constraint in table.constraints)
        assert all(index.name for index in table.indexes)
