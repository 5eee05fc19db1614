"""The backlog: what it counts, whose clock it goes by, and that it costs one indexed statement."""

from typing import Any

import pytest
from sqlalchemy import update

from store import backlog
from store.database import tables
from store.database.clock import seconds_from_now
from store.jobs import Job
from store.store import Store
from tests.store.made_rows import Rows, statements


def read(store: Store) -> backlog.Backlog:
    with store.database.read() as tx:
        return backlog.read(tx)


def changed(store: Store, job: Job, **values: Any) -> None:
    with store.database.begin() as tx:
        tx.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(values))


def test_nothing_unfinished(store: Store, rows: Rows) -> None:
    rows.succeeded()
    assert read(store) == backlog.Backlog(
        n_queued={"cpu": 0, "gpu": 0},
        n_running={"cpu": 0, "gpu": 0},
        oldest_queued_seconds={"cpu": 0.0, "gpu": 0.0},
        shortest_lease_seconds=None,
    )


def test_unfinished_jobs_of_all_tenants_are_counted_by_queue(store: Store, rows: Rows) -> None:
    changed(store, rows.queued("default"), created_at=seconds_from_now(-90))
    rows.queued("other")
    changed(store, rows.queued("other"), queue="gpu")
    rows.running(lease_seconds=100)
    rows.running(lease_seconds=50)
    found = read(store)
    assert found.n_queued == {"cpu": 2, "gpu": 1}
    assert found.n_running == {"cpu": 2, "gpu": 0}
    assert found.oldest_queued_seconds["cpu"] == pytest.approx(90, abs=5)
    assert found.oldest_queued_seconds["gpu"] < 5
    assert found.shortest_lease_seconds == pytest.approx(50, abs=5)


def test_a_lease_that_ran_out_is_negative(store: Store, rows: Rows) -> None:
    rows.expire(rows.running())
    found = read(store).shortest_lease_seconds
    assert found is not None
    assert -5 < found < 0


def test_it_is_one_statement_that_finds_unfinished_jobs_by_their_index(
    store: Store, rows: Rows
) -> None:
    rows.running()
    rows.queued()
    with store.database.read() as tx:
        with statements() as seen:
            backlog.read(tx)
        ((sql, parameters),) = seen
        if store.database.url.get_backend_name() != "sqlite":
            pytest.skip("PostgreSQL scans small tables whatever the indices")
        plan = str(tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all())
    assert "SCAN jobs USING INDEX ix_jobs_unfinished_dataset" in plan
