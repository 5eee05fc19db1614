"""The database: its transactions, and the engines for SQLite and PostgreSQL."""

import errno
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Integer,
    Table,
    create_engine,
    event,
    func,
    inspect,
    literal,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from store import trouble
from store.database import postgresql
from store.errors import DatabaseReadOnly, DatabaseUnavailable, StoreError

log = logging.getLogger(__name__)

Transaction: TypeAlias = Connection
"""`begin()` and `read()` give one, and every store function takes one."""

BUSY_TIMEOUT_SECONDS: Final = 10.0
SCHEMA_WAIT_SECONDS: Final = 120.0
"""How long a starting process waits for the migrations of another."""
_SCHEMA_LOCK: Final = 0x6E6D74  # "nmt": the advisory lock of schema changes on PostgreSQL


class Database:
    """One database: `begin()` is the write transaction, `read()` the read-only one.

    Safe to share between threads, not across a fork.
    """

    def __init__(self, url: URL, writing: Engine, reading: Engine) -> None:
        self.url = url
        self._writing = writing
        self._reading = reading
        self._sqlite = writing.dialect.name == "sqlite"

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10) -> "Database":
        """Open `sqlite:///path` (the file and its folder are made, the file 0600) or PostgreSQL.

        `pool_size` is the most connections to PostgreSQL at a time; further threads wait. Reads
        nothing and makes no schema: `migrations.upgrade` does that. Raises StoreError.
        """
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise StoreError(
                "NMTUNE_DATABASE_URL is not a database URL: see docs/run/configuration.md"
            ) from error
        if parsed.get_backend_name() == "sqlite":
            return cls(parsed, *_sqlite_engines(parsed))
        if parsed.get_backend_name() in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
            engines = postgresql.engines(parsed, json_serializer=_dumps, pool_size=pool_size)
            return cls(parsed, *engines)
        raise StoreError(
            f"NMTUNE_DATABASE_URL must begin with sqlite or postgresql, not {parsed.drivername}"
        )

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """The write transaction: committed when the block ends, rolled back if it raises.

        On SQLite it holds the one write lock from its first statement: keep it short, and never
        train or wait for a network inside it. Raises DatabaseUnavailable.
        """
        with _availability(), self._writing.begin() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that cannot write. Raises DatabaseUnavailable."""
        with _availability(), self._reading.begin() as tx:
            yield tx

    @contextmanager
    def schema_change(self) -> Iterator[Connection]:
        """The write transaction of a migration: one at a time, whole or not at all.

        Processes that start together wait for each other here. On SQLite foreign keys are
        unchecked inside (rebuilding a table would cascade) and checked as a whole at the end.
        """
        with _availability(), self._writing.connect() as connection:
            if self._sqlite:
                _set_pragmas(connection, foreign_keys="OFF", busy_timeout=SCHEMA_WAIT_SECONDS)
            try:
                with connection.begin():
                    if self._sqlite:
                        yield connection
                        broken = connection.execute(text("PRAGMA foreign_key_check")).all()
                        if broken:
                            raise StoreError(f"the migration breaks {len(broken)} foreign keys")
                    else:
                        postgresql.be_patient(connection.connection.dbapi_connection)
                        for bound in ("statement_timeout", "lock_timeout"):
                            connection.execute(text(f"SET LOCAL {bound} = 0"))
                        lock = func.pg_advisory_xact_lock(literal(_SCHEMA_LOCK, Integer))
                        connection.execute(select(lock))
                        yield connection
            finally:
                if self._sqlite:
                    _set_pragmas(connection, foreign_keys="ON", busy_timeout=BUSY_TIMEOUT_SECONDS)

    def ping(self) -> None:
        """Raise DatabaseUnavailable unless the database answers."""
        with self.read() as tx:
            tx.execute(select(1)).one()

    def schema_revision(self) -> str | None:
        """The migration that the database is at; None if it was never migrated."""
        with self.read() as tx:
            if not inspect(tx).has_table("alembic_version"):
                return None
            return tx.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()

    def sqlite_version_warning(self) -> str | None:
        """The warning about a SQLite library that may corrupt databases; None for a sound one."""
        return wal_reset_warning(sqlite3.sqlite_version_info) if self._sqlite else None

    def connections_in_use(self) -> dict[str, int]:
        """How many connections of each pool are in use; PostgreSQL has one pool for both."""
        engines = {"write": self._writing, "read": self._reading}
        pools = engines if self._sqlite else {"shared": self._writing}
        return {
            name: engine.pool.checkedout() if isinstance(engine.pool, QueuePool) else 0
            for name, engine in pools.items()
        }

    def close(self) -> None:
        """Close all connections."""
        self._writing.dispose()
        self._reading.dispose()


def wal_reset_warning(version: tuple[int, ...]) -> str | None:
    """The warning for a SQLite version with the WAL-reset bug (3.7.0 to 3.51.2), else None.

    Fixed in 3.51.3, 3.50.7 and 3.44.6: https://www.sqlite.org/wal.html#walresetbug
    """
    fixed = version[:2] in {(3, 44), (3, 50)} and version[2] >= {44: 6, 50: 7}[version[1]]
    if version < (3, 7) or version >= (3, 51, 3) or fixed:
        return None
    return (
        f"SQLite {'.'.join(map(str, version))} has the WAL-reset bug, which can, rarely, corrupt a "
        "database that several processes write, as `api` and `worker` do. A lone `nmtune-server "
        "up` writes through one connection and is safe. Use SQLite 3.51.3 or later (or 3.50.7, "
        "3.44.6) or PostgreSQL, and keep backups made with VACUUM INTO."
    )


def insert_or_ignore(tx: Transaction, table: Table) -> Any:
    """An INSERT that leaves rows whose key is there already as they are."""
    dialect = postgresql_dialect if tx.dialect.name == "postgresql" else sqlite_dialect
    return dialect.insert(table).on_conflict_do_nothing()


@contextmanager
def _availability() -> Iterator[None]:
    """Tell "the database cannot answer now" from a bug in a statement."""
    try:
        yield
    except (DatabaseError, InterfaceError, PoolTimeout) as error:
        transient = isinstance(error, OperationalError | InterfaceError | PoolTimeout)
        # Exactly DatabaseError is what SQLite's driver raises for a damaged or foreign file.
        cause = getattr(error, "orig", None) or error
        found = trouble.of_database(cause)
        if found is None and not transient and type(error) is not DatabaseError:
            raise
        # The cause may name hosts and users: it belongs in the log, not in a response.
        log.error("database.unavailable cause=%s", str(cause).partition("\n")[0])
        if found is not None:
            raise found(found.advice) from error
        raise DatabaseUnavailable(
            "The database cannot answer now. Try again in a few seconds; the server's log has the "
            "cause."
        ) from error


def _dumps(value: object) -> str:
    # PostgreSQL refuses NaN in JSON, so SQLite must not let it in either.
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _sqlite_engines(url: URL) -> tuple[Engine, Engine]:
    path = url.database
    if not path or path == ":memory:" or path.startswith("file:"):
        raise StoreError(
            "NMTUNE_DATABASE_URL: SQLite needs the path of a file, as in sqlite:////var/lib/nmtune.db"
        )
    _create_privately(Path(path))
    # SQLite has one writer at a time. Threads of this process queue for one connection, which is
    # fairer and quicker than SQLite's polling; busy_timeout waits for other processes.
    writing = _sqlite_engine(url, begin="BEGIN IMMEDIATE", read_only=False, pool_size=1, overflow=0)
    reading = _sqlite_engine(url, begin="BEGIN", read_only=True, pool_size=8, overflow=56)
    return writing, reading


def _sqlite_engine(
    url: URL, *, begin: str, read_only: bool, pool_size: int, overflow: int
) -> Engine:
    engine = create_engine(
        url,
        json_serializer=_dumps,
        hide_parameters=True,  # errors go into logs, and the values belong to users
        pool_size=pool_size,
        max_overflow=overflow,
        pool_timeout=BUSY_TIMEOUT_SECONDS,
    )

    @event.listens_for(engine, "connect")
    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # otherwise the driver begins transactions itself
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000:.0f}")
        _until_unlocked(lambda: connection.execute("PRAGMA journal_mode = WAL"))
        connection.execute("PRAGMA synchronous = FULL")  # NORMAL may lose commits at power loss
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")

    # A deferred BEGIN that reads and then writes fails when another writer came between
    # (SQLITE_BUSY_SNAPSHOT, which busy_timeout does not cure); no BEGIN at all loses updates.
    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _until_unlocked(statement: Callable[[], Any]) -> None:
    """Repeat `statement` while another process locks the file: setting WAL mode for the first time
    ignores busy_timeout."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            statement()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _set_pragmas(connection: Connection, *, foreign_keys: str, busy_timeout: float) -> None:
    # On the driver's connection, because foreign_keys does nothing inside a transaction.
    driver: Any = connection.connection.dbapi_connection
    driver.execute(f"PRAGMA foreign_keys = {foreign_keys}")
    driver.execute(f"PRAGMA busy_timeout = {busy_timeout * 1000:.0f}")


def _create_privately(path: Path) -> None:
    """Make an empty database file that only its owner may read, unless there is one.

    An existing file is not opened: closing a descriptor of a live SQLite file drops its locks.
    Raises DatabaseReadOnly, for SQLite cannot even read a database in WAL mode without writing
    beside it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        is_writable = os.access(path.parent, os.W_OK | os.X_OK)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise
        is_writable = False
    if not is_writable:
        raise DatabaseReadOnly(
            f"The data folder {path.parent} is read-only for this user, so its database cannot be "
            "opened. Make the folder writable, or choose another one with --data-dir (or with "
            "NMTUNE_DATABASE_URL, if you set that)."
        )
