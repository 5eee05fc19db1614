"""Time in the database: the moment type and the database's clock as SQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, DateTime, Dialect, Float, cast, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware on the way in, in UTC on the way out.

    SQLite has no such type; there it is text of fixed width with microseconds
    (`2026-11-24 03:21:46.157000`), so that the order of the text is the order of time.
    `now()` gives the same form, so the two compare right.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store a moment in UTC; refuse one without a time zone, which would be ambiguous."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a moment must carry its time zone, got {value!r}")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment in UTC, whatever the session's time zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class now(FunctionElement[datetime]):  # noqa: N801  SQL functions are written in lower case
    """The database's clock when the statement began: `now()`.

    Never the worker's clock: leases must be judged by one clock. Milliseconds on SQLite.
    """

    type = UtcDateTime()
    inherit_cache = True


def read_clock(tx: Connection) -> datetime:
    """The time by the database's clock."""
    moment: datetime = tx.execute(select(now())).scalar_one()
    return moment


class seconds_from_now(FunctionElement[datetime]):  # noqa: N801
    """The database's clock, that many seconds later (earlier if negative)."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, seconds: float) -> None:
        super().__init__(cast(literal(float(seconds), Float), Float))


class latest(FunctionElement[datetime]):  # noqa: N801
    """The later of two moments, neither of them NULL: times of one thing never run backwards.

    The database's clock may run backwards: it is set, or another machine takes over. Then
    `latest(now(), updated_at)` stands still until the clock has caught up.
    """

    type = UtcDateTime()
    inherit_cache = True


# statement_timestamp(), not now(): PostgreSQL's now() is the start of the transaction, so a lease
# granted after waiting for a lock would be shorter than asked for.
@compiles(now)
def _now(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    return "statement_timestamp()"


@compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiler: SQLCompiler, **_: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


@compiles(seconds_from_now)
def _later(element: seconds_from_now, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"statement_timestamp() + make_interval(secs => {seconds})"


@compiles(seconds_from_now, "sqlite")
def _later_sqlite(element: seconds_from_now, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+.3f seconds', {seconds}))"


@compiles(latest)
def _latest(element: latest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **kw)})"


@compiles(latest, "sqlite")
def _latest_sqlite(element: latest, compiler: SQLCompiler, **kw: Any) -> str:
    return f"max({compiler.process(element.clauses, **kw)})"
