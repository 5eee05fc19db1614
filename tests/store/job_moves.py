"""Make each move of a job in a transaction of its own, and read the events it wrote."""

from collections.abc import Callable

from store import events, first_head, jobs, transitions
from store.database.connection import Transaction
from store.jobs import Job
from store.store import Store
from store.transitions import SweepResult
from tests.store.made_rows import new_head

ERROR = {"code": "invalid_data", "message": "Row 3 is empty."}


# Every write a worker may make after its claim.
WRITES: dict[str, Callable[[Transaction, Job], object]] = {
    "heartbeat": lambda tx, job: transitions.heartbeat(tx, job, lease_seconds=60),
    "succeed": lambda tx, job: transitions.succeed(
        tx, job, report_sha256="e" * 64, head=new_head()
    ),
    "publish_head": lambda tx, job: first_head.publish(
        tx, job, head=new_head(), report_sha256="e" * 64
    ),
    "fail": lambda tx, job: transitions.fail(tx, job, error=ERROR),
    "cancel": lambda tx, job: transitions.cancel(tx, job),
    "release": lambda tx, job: transitions.release(tx, job),
    "wait": lambda tx, job: transitions.wait(
        tx, job, reason=ERROR, delay_seconds=1, patience_seconds=60
    ),
}


def told(store: Store, job: Job) -> list[str]:
    with store.database.read() as tx:
        return [event.type.value for event in events.page(tx, job.tenant_id, job.id)]


def last_event(store: Store, job: Job) -> dict[str, object]:
    with store.database.read() as tx:
        return events.page(tx, job.tenant_id, job.id)[-1].data


def sweep(store: Store, *, limit: int = 100) -> SweepResult:
    with store.database.begin() as tx:
        return transitions.sweep(tx, limit=limit)


def claim(store: Store, job: Job, *, lease_seconds: float = 60) -> Job | None:
    with store.database.begin() as tx:
        return transitions.claim(tx, job.id, worker="w2", lease_seconds=lease_seconds)


def claim_next(store: Store) -> Job | None:
    with store.database.begin() as tx:
        return transitions.claim_next(tx, worker="w2", lease_seconds=60)


def release(store: Store, job: Job, **options: object) -> Job:
    with store.database.begin() as tx:
        return transitions.release(tx, job, **options)  # type: ignore[arg-type]  # as the test gives them


def ask_to_cancel(store: Store, job: Job) -> None:
    with store.database.begin() as tx:
        jobs.request_cancel(tx, job.tenant_id, job.id)
