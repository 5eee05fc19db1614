"""Facts about a database for an operator: its limits and its clock."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text

from store.database.clock import read_clock
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
    """Facts about a PostgreSQL server, as it answered."""

    version: str
    major: int
    max_connections: int
    """Without the connections reserved for superusers."""
    n_open: int
    """All connections that are open now."""


def postgresql_server(database: Database) -> PostgresqlServer | None:
    """The server behind the database; None for SQLite. Raises DatabaseUnavailable."""
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

    The error is at most half the time that the answer took.
    """
    with database.read() as tx:
        read_clock(tx)  # opens the connection
        before = datetime.now(UTC)
        theirs = read_clock(tx)
        after = datetime.now(UTC)
    return (theirs - (before + (after - before) / 2)).total_seconds()
