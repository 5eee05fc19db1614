"""The moment type and the database's clock: one order for all writers."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import column, literal, make_url, select, text
from sqlalchemy.exc import StatementError

from store.database.clock import UtcDateTime, now, seconds_from_now
from store.store import Store

SQLITE = make_url("sqlite://").get_dialect()()
POSTGRESQL = make_url("postgresql://").get_dialect()()

moments = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001  the strategy adds the zone
    max_value=datetime(2900, 1, 1),  # noqa: DTZ001
    timezones=st.timezones(),
)


def bound(moment: datetime) -> str:
    """The text SQLite is given for a moment."""
    process = UtcDateTime().dialect_impl(SQLITE).bind_processor(SQLITE)
    assert process is not None
    return str(process(moment))


def test_the_databases_clock_is_the_present_in_utc(store: Store) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)  # SQLite's clock has milliseconds
    with store.database.read() as tx:
        here = tx.execute(select(now())).scalar_one()
        later = tx.execute(select(seconds_from_now(90.5))).scalar_one()
    assert before <= here <= datetime.now(UTC)
    assert here.utcoffset() == timedelta(0)
    assert timedelta(seconds=90) < later - here < timedelta(seconds=92)


def test_moments_written_by_python_compare_right_with_the_databases_clock(store: Store) -> None:
    for microseconds in (-5_000_000, -1001, 5_000_000):
        moment = datetime.now(UTC) + timedelta(microseconds=microseconds)
        with store.database.read() as tx:
            is_past = tx.execute(select(literal(moment, UtcDateTime) < now())).scalar_one()
        assert bool(is_past) == (microseconds < 0)


def test_a_moment_comes_back_to_the_microsecond_whatever_its_zone(store: Store) -> None:
    moment = datetime(2026, 11, 24, 3, 21, 46, 157_003, tzinfo=timezone(timedelta(hours=-9)))
    with store.database.read() as tx:
        assert tx.execute(select(literal(moment, UtcDateTime))).scalar_one() == moment


def test_a_moment_without_a_zone_is_refused(store: Store) -> None:
    naive = datetime(2026, 11, 24)  # noqa: DTZ001  the point of the test
    with store.database.read() as tx, pytest.raises(StatementError, match="time zone"):
        tx.execute(select(literal(naive, UtcDateTime)))


@given(first=moments, second=moments)
def test_sqlite_text_sorts_as_time_does(first: datetime, second: datetime) -> None:
    assert (bound(first) < bound(second)) == (first < second)


def test_the_clocks_text_has_the_form_of_a_bound_moment(store: Store) -> None:
    if store.database.url.get_backend_name() != "sqlite":
        pytest.skip("a form of text is SQLite's matter")
    with store.database.read() as tx:
        sql = str(select(now()).compile(dialect=SQLITE))
        written = tx.execute(text(sql)).scalar_one()
    assert len(written) == len(bound(datetime.now(UTC))) == 26
    assert written.endswith("000")


@pytest.mark.parametrize("seconds", [0, -3600, 0.25, 1e7])
def test_seconds_from_now_goes_both_ways(store: Store, seconds: float) -> None:
    with store.database.read() as tx:
        moment = tx.execute(select(seconds_from_now(seconds))).scalar_one()
    assert abs((moment - datetime.now(UTC)).total_seconds() - seconds) < 2


def test_postgresql_gets_its_own_words() -> None:
    query = select(column("a", UtcDateTime) < seconds_from_now(5))
    sql = str(query.compile(dialect=POSTGRESQL))
    assert "statement_timestamp() + make_interval(secs => " in sql
