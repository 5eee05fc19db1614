"""Home of what an operator asks a database before trusting it: its limits and its clock."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select, text

from store.database.clock import now
from store.database.connection import Database

_LIMITS = text(
    "SELECT current_setting('server_version') AS version, "
    "current_setting('server_version_num') AS version_num, "
    "current_setting('max_connections') AS n_all, "
    "current_setting('superuser_reserved_connections') AS n_reserved, "
    "(SELECT sum(numbackends) FROM pg_stat_database) AS n_open"
)


@dataclass(frozen=True, kw_only=True)
class PostgresqlServer:
    """A PostgreSQL server as it was when it was asked."""

    version: str
    major: int
    max_connections: int
    """Without those kept for superusers."""
    n_open: int
    """Connections open now, whosever they are."""


def postgresql_server(database: Database) -> PostgresqlServer | None:
    """The server behind the database, None if that is SQLite. Raises DatabaseUnavailable."""
    if database.url.get_backend_name() != "postgresql":
        return None
    with database.read() as tx:
        row = tx.execute(_LIMITS).one()
    return PostgresqlServer(
        version=row.version.split()[0],
        major=int(row.version_num) // 10_000,
        max_connections=int(row.n_all) - int(row.n_reserved),
        n_open=int(row.n_open),
    )


def clock_difference_seconds(database: Database) -> float:
    """How far the database's clock is ahead of this machine's. Raises DatabaseUnavailable.

    Half of the time that the answer took is the error.
    """
    with database.read() as tx:
        tx.execute(select(now())).one()  # the connection is there from here on
        before = datetime.now(UTC)
        theirs: datetime = tx.execute(select(now())).scalar_one()
        after = datetime.now(UTC)
    return (theirs - (before + (after - before) / 2)).total_seconds()
