"""Usage by the month: what counts, in which transaction, and in which month."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from store import jobs, transitions
from store.access import limits, quotas, tenants, usage
from store.access.limits import Limits
from store.access.usage import Kind
from store.database import tables
from store.database.clock import read_clock
from store.errors import InvalidLimit, LeaseLost, NotFound, QuotaReached
from store.jobs import Job
from store.store import Store
from tests.store.conftest import OpenStore
from tests.store.made_rows import Rows, new_head
from tests.store.test_concurrency import at_once


def counts(store: Store, tenant_id: str = "default") -> dict[str, int]:
    with store.database.read() as tx:
        month = usage.month_of(read_clock(tx))
        found = usage.of_month(tx, [tenant_id], month)[tenant_id]
    return {kind.value: n for kind, n in found.items() if n}


def began_earlier(store: Store, job: Job, seconds: float) -> Job:
    """Let the attempt have begun so long ago."""
    events = tables.events.c
    with store.database.begin() as tx:
        at = read_clock(tx) - timedelta(seconds=seconds)
        started = (events.job_id == job.id, events.type == "job.started")
        tx.execute(update(tables.events).where(*started).values(created_at=at))
    return job


def test_every_end_of_an_attempt_counts_its_seconds(store: Store, rows: Rows) -> None:
    first = began_earlier(store, rows.running(), 10)
    with store.database.begin() as tx:
        transitions.release(tx, first)
    assert 10 <= counts(store)["training_seconds"] <= 20
    again = began_earlier(store, rows.claimed(first), 100)
    with store.database.begin() as tx:
        transitions.succeed(tx, again, report_sha256="e" * 64, head=new_head())
    assert 110 <= counts(store)["training_seconds"] <= 140
    lost = began_earlier(store, rows.running(lease_seconds=-1), 1000)
    with store.database.begin() as tx:
        assert transitions.sweep(tx).requeued == (lost.id,)
    assert 1110 <= counts(store)["training_seconds"] <= 1200


def test_an_attempt_that_was_taken_over_counts_nothing(store: Store, rows: Rows) -> None:
    job = began_earlier(store, rows.running(lease_seconds=-1), 5)
    with store.database.begin() as tx:
        transitions.sweep(tx)
    before = counts(store)
    with pytest.raises(LeaseLost), store.database.begin() as tx:
        transitions.fail(tx, job, error={"code": "internal", "message": "no"})
    assert counts(store) == before


def test_what_is_rolled_back_is_not_counted(store: Store) -> None:
    def use_and_fail() -> None:
        with store.database.begin() as tx:
            usage.add(tx, "default", Kind.PREDICTED_ROWS, 5, at=read_clock(tx))
            raise LeaseLost("undone")

    with pytest.raises(LeaseLost):
        use_and_fail()
    assert counts(store) == {}


def test_months_are_apart_and_tenants_too(store: Store) -> None:
    december = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    with store.database.begin() as tx:
        usage.add(tx, "default", Kind.PREDICTED_ROWS, 5, at=december)
        usage.add(tx, "default", Kind.PREDICTED_ROWS, 7, at=december + timedelta(seconds=1))
        usage.add(tx, "lab", Kind.PREDICTED_ROWS, 1, at=december)
        usage.add(tx, "lab", Kind.PREDICTED_ROWS, 0, at=december)
        found = usage.of_month(tx, ["default", "lab", "nobody"], "2026-12")
        later = usage.of_month(tx, ["default"], "2027-01")
    rows = {tenant: found[tenant][Kind.PREDICTED_ROWS] for tenant in found}
    assert rows == {"default": 5, "lab": 1, "nobody": 0}
    assert later["default"][Kind.PREDICTED_ROWS] == 7
    assert usage.end_of_month(december) == datetime(2027, 1, 1, tzinfo=UTC)
    assert usage.end_of_month(datetime(2026, 2, 3, 4, tzinfo=UTC)).month == 3


def test_counts_that_are_added_at_once_all_arrive(open_store: OpenStore, store: Store) -> None:
    def work(store: Store) -> None:
        for _ in range(10):
            with store.database.begin() as tx:
                usage.add(tx, "default", Kind.PREDICTED_ROWS, 3, at=read_clock(tx))

    assert at_once(open_store, *[work] * 4) == [None] * 4
    assert counts(store) == {"predicted_rows": 120}


def test_limits_of_a_tenants_own(store: Store) -> None:
    with store.database.begin() as tx:
        tenants.set_limits(tx, "default", {"heads": 3.0, "reads_per_second": 0.5}, forget=())
        found = tenants.set_limits(tx, "default", {"stored_bytes": None}, forget=["heads"])
    assert found.limits == {"reads_per_second": 0.5, "stored_bytes": None}
    merged = Limits(heads=9, stored_bytes=1).overridden(found.limits)
    assert (merged.heads, merged.stored_bytes, merged.reads_per_second) == (9, None, 0.5)
    with store.database.read() as tx:
        assert tenants.limits_of(tx, ["default", "lab"]) == {"default": found.limits}
    with pytest.raises(NotFound), store.database.begin() as tx:
        tenants.set_limits(tx, "nobody", {"heads": 1}, forget=())


WRONG = [
    ("tails", 1.0),
    ("heads", -1.0),
    ("heads", 1.5),
    ("heads", float("nan")),
    ("heads", float("inf")),
    ("stored_bytes", 2.0**60),
    ("reads_per_second", 0.0),
    ("reads_per_second", float("inf")),
    ("reads_per_second", -1.0),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_limits_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(InvalidLimit):
        limits.check(name, value)


def test_of_jobs_that_are_submitted_at_once_no_more_than_the_limit(
    open_store: OpenStore, store: Store, rows: Rows
) -> None:
    dataset = rows.dataset()

    def work(store: Store) -> object:
        with store.database.begin() as tx:
            quotas.check_job(tx, "default", Limits(unfinished_jobs=3))
            return jobs.submit(
                tx, "default", name="a", dataset_id=dataset.id, method="m", config={}
            )

    outcomes = at_once(open_store, *[work] * 8)
    assert sum(isinstance(one, QuotaReached) for one in outcomes) == 5, outcomes
    with store.database.read() as tx:
        assert quotas.unfinished_jobs(tx, "default") == 3


def test_what_is_stored_is_added_up(store: Store, rows: Rows) -> None:
    rows.succeeded()
    with store.database.read() as tx:
        assert quotas.in_stock(tx, "default") == {
            "stored_bytes": 24 + 10,
            "unfinished_jobs": 0,
            "heads": 1,
        }
        assert set(quotas.in_stock(tx, "lab").values()) == {0}
