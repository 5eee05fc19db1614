"""The backlog: what it counts, whose clock it goes by, and that it costs one indexed statement."""

import pytest
from sqlalchemy import update
from sqlalchemy.dialects import postgresql

from store import backlog, tables
from store.clock import seconds_from_now
from store.jobs import Job
from store.store import Store
from tests.store.support import Rows, clauses, statements


def read(store: Store) -> backlog.Backlog:
    with store.database.read() as tx:
        return backlog.read(tx)


def submitted(store: Store, job: Job, *, seconds_ago: float) -> None:
    with store.database.begin() as tx:
        tx.execute(
            update(tables.jobs)
            .where(tables.jobs.c.id == job.id)
            .values(created_at=seconds_from_now(-seconds_ago))
        )


def test_nothing_unfinished(store: Store, rows: Rows) -> None:
    rows.succeeded()
    assert read(store) == backlog.Backlog(
        n_queued=0, n_running=0, oldest_queued_seconds=0.0, shortest_lease_seconds=None
    )


def test_unfinished_jobs_of_all_tenants_are_counted(store: Store, rows: Rows) -> None:
    submitted(store, rows.queued("default"), seconds_ago=90)
    rows.queued("other")
    rows.running(lease_seconds=100)
    rows.running(lease_seconds=50)
    found = read(store)
    assert (found.n_queued, found.n_running) == (2, 2)
    assert found.oldest_queued_seconds == pytest.approx(90, abs=5)
    assert found.shortest_lease_seconds == pytest.approx(50, abs=5)


def test_a_lease_that_ran_out_is_negative(store: Store, rows: Rows) -> None:
    rows.expire(rows.running())
    found = read(store).shortest_lease_seconds
    assert found is not None
    assert -5 < found < 0


def test_it_is_one_statement_that_goes_by_two_indices(store: Store, rows: Rows) -> None:
    rows.running()
    rows.queued()
    with store.database.read() as tx:
        with statements() as seen:
            backlog.read(tx)
        ((sql, parameters),) = seen
        if store.database.url.get_backend_name() != "sqlite":
            pytest.skip("PostgreSQL scans small tables whatever the indices")
        plan = str(tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all())
    assert plan.count("INDEX ix_jobs_claim") == 2, plan
    assert plan.count("INDEX ix_jobs_sweep") == 2, plan
    assert "SCAN jobs'" not in plan


def test_it_speaks_no_sqlite(store: Store) -> None:
    with clauses() as seen:
        read(store)
    (one,) = seen
    sql = str(one.clause.compile(dialect=postgresql.dialect()))
    assert "statement_timestamp()" in sql
    assert "strftime" not in sql
