"""What each operation costs in SQL statements, so that the cost cannot creep, and its indices."""

from collections.abc import Callable

import pytest

from store import datasets, events, jobs, transitions
from store.database.connection import Transaction
from store.registry import heads
from store.store import Store
from tests.store.made_rows import Rows, new_head, statements

PROGRESS = ("job.progress", {"epoch": 1})


def cost(store: Store, operation: Callable[[Transaction], object]) -> int:
    with store.database.begin() as tx, statements() as seen:
        operation(tx)
    return len(seen)


def test_operations_send_as_many_statements_as_listed(store: Store, rows: Rows) -> None:
    dataset = rows.dataset()
    found = {
        "submit": cost(
            store,
            lambda tx: jobs.submit(
                tx, "default", name="a", dataset_id=dataset.id, method="m", config={}
            ),
        ),
        "claim_next": cost(
            store, lambda tx: transitions.claim_next(tx, worker="w", lease_seconds=60)
        ),
        "claim_next of nothing": cost(
            store, lambda tx: transitions.claim_next(tx, worker="w", lease_seconds=60)
        ),
        "sweep of nothing": cost(store, lambda tx: transitions.sweep(tx)),
    }
    job = rows.running()
    found |= {
        "heartbeat": cost(store, lambda tx: transitions.heartbeat(tx, job, lease_seconds=60)),
        "heartbeat with ten events": cost(
            store,
            lambda tx: transitions.heartbeat(tx, job, lease_seconds=60, events=[PROGRESS] * 10),
        ),
        "get": cost(store, lambda tx: jobs.get(tx, "default", job.id)),
        "request_cancel": cost(store, lambda tx: jobs.request_cancel(tx, "default", job.id)),
        "succeed": cost(
            store,
            lambda tx: transitions.succeed(
                tx, job, report_sha256="e" * 64, head=new_head(alias="prod")
            ),
        ),
    }
    for _ in range(5):
        rows.succeeded(alias="prod")
        rows.succeeded(name="other")
    found |= {
        "page of jobs": cost(store, lambda tx: jobs.page(tx, "default")),
        "page of datasets": cost(store, lambda tx: datasets.page(tx, "default")),
        "page of heads": cost(store, lambda tx: heads.page(tx, "default")),
        "page of events": cost(store, lambda tx: events.page(tx, "default", job.id)),
        "resolve": cost(store, lambda tx: heads.resolve(tx, "default", "pets@prod")),
    }
    assert found == {
        "submit": 3,
        "claim_next": 2,
        "claim_next of nothing": 2,
        "sweep of nothing": 1,
        "heartbeat": 1,
        "heartbeat with ten events": 2,
        "get": 1,
        "request_cancel": 2,
        "succeed": 21,  # with the first head, its alias and the usage
        "page of jobs": 1,
        "page of datasets": 1,
        "page of heads": 2,
        "page of events": 1,
        "resolve": 1,
    }


HOT: dict[str, tuple[str, Callable[[Transaction], object]]] = {
    "claim_next": (
        "ix_jobs_claim",
        lambda tx: transitions.claim_next(tx, worker="w", lease_seconds=60),
    ),
    "sweep": ("ix_jobs_sweep", lambda tx: transitions.sweep(tx)),
    "page of jobs": ("ix_jobs_list", lambda tx: jobs.page(tx, "default")),
    "page of datasets": ("ix_datasets_list", lambda tx: datasets.page(tx, "default")),
    "page of heads": ("ix_heads_list", lambda tx: heads.page(tx, "default")),
    "is the dataset in use": (
        "ix_jobs_unfinished_dataset",
        lambda tx: datasets.delete(tx, "default", datasets.page(tx, "default").items[0].id),
    ),
    "page of events": (
        "sqlite_autoindex_events_1",
        lambda tx: events.page(tx, "default", "job_1", after=5),
    ),
}


@pytest.mark.parametrize("operation", HOT)
def test_queries_that_run_often_use_their_index_and_do_not_sort(
    store: Store, rows: Rows, operation: str
) -> None:
    if store.database.url.get_backend_name() != "sqlite":
        pytest.skip("PostgreSQL scans small tables whatever the indices")
    index, run = HOT[operation]
    rows.dataset()
    with store.database.begin() as tx:
        with statements() as seen:
            run(tx)
        plans = [
            str(tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters).all())
            for sql, parameters in seen
        ]
    used = [plan for plan in plans if index in plan]
    assert used, plans
    assert not any("TEMP B-TREE" in plan for plan in used), plans
