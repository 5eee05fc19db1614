"""Ten thousand waiting jobs: what is read and written to claim, list and sweep does not grow."""

from typing import Any

import pytest
from sqlalchemy import insert, select, text

from store import jobs, transitions
from store.database import tables
from store.ids import new_id
from store.jobs import Job
from store.leases import running_leases
from store.states import JobKind
from store.store import Store
from tests.store.made_rows import Rows, statements

N_JOBS = 10_000

HOT = {
    "claim": ("ix_jobs_claim", lambda tx: transitions.claim_next(tx, worker="w", lease_seconds=60)),
    "claim a prediction": (
        "ix_jobs_claim_prediction",
        lambda tx: transitions.claim_next(
            tx, worker="w", lease_seconds=60, kind=JobKind.PREDICTION, queues=("cpu",)
        ),
    ),
    "leases": ("ix_jobs_sweep", running_leases),
    "due": ("ix_jobs_claim", lambda tx: transitions.due(tx, "cpu", limit=16)),
    "sweep": ("ix_jobs_sweep", transitions.sweep),
    "list": ("ix_jobs_list", lambda tx: jobs.page(tx, "default", limit=20)),
}


@pytest.fixture
def crowded(store: Store, rows: Rows) -> Store:
    """A store with that many queued jobs of one tenant, and one of another, the last."""
    first = rows.queued()
    with store.database.begin() as tx:
        row = tx.execute(select(tables.jobs).where(tables.jobs.c.id == first.id)).one()
        copies = [
            dict(row._mapping) | {"id": new_id("job"), "turn": turn, "created_at": row.created_at}
            for turn in range(1, N_JOBS)
        ]
        for start in range(0, len(copies), 500):  # a statement has its bound
            tx.execute(insert(tables.jobs), copies[start : start + 500])
        if store.database.url.get_backend_name() == "postgresql":
            tx.execute(text("ANALYZE jobs"))
    return store


@pytest.mark.parametrize("operation", HOT)
def test_each_goes_by_its_index(crowded: Store, operation: str) -> None:
    index, run = HOT[operation]
    with crowded.database.begin() as tx:
        with statements() as seen:
            run(tx)
        explain = (
            "EXPLAIN"
            if crowded.database.url.get_backend_name() == "postgresql"
            else "EXPLAIN QUERY PLAN"
        )
        plan = str(tx.exec_driver_sql(f"{explain} {seen[0].sql}", seen[0].parameters).all())
    assert index in plan
    assert "Seq Scan on jobs" not in plan
    assert "SCAN jobs USING INDEX" in plan or "SCAN jobs" not in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort Key" not in plan


def test_a_tenant_with_ten_thousand_jobs_delays_anothers_by_one(crowded: Store, rows: Rows) -> None:
    """What the turns are for."""
    other = rows.queued("tenant-b")
    order: list[Job] = []
    for _ in range(3):
        with crowded.database.begin() as tx:
            job = transitions.claim_next(tx, worker="w", lease_seconds=60)
        assert job is not None
        order.append(job)
    assert [job.tenant_id for job in order] == ["default", "tenant-b", "default"]
    assert order[1].id == other.id


def test_priority_goes_before_turns_and_queues_are_apart(store: Store, rows: Rows) -> None:
    dataset = rows.dataset()

    def submit(**where: Any) -> str:
        with store.database.begin() as tx:
            return jobs.submit(
                tx, "default", name="a", dataset_id=dataset.id, method="m", config={}, **where
            ).id

    plain, urgent, late = submit(), submit(priority=5), submit(priority=-5)
    on_gpu = submit(queue="gpu")

    def claim(*queues: str) -> str | None:
        with store.database.begin() as tx:
            job = transitions.claim_next(tx, worker="w", lease_seconds=60, queues=queues)
        return job.id if job else None

    assert claim("cpu") == urgent
    assert claim("gpu", "cpu") == on_gpu
    assert [claim("gpu", "cpu"), claim("cpu"), claim("cpu")] == [plain, late, None]
