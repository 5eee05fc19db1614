"""Jobs as their owner sees them: submit, read, list, and ask to cancel.

`store.transitions` has what workers do to jobs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, func, insert, literal, null, or_, select, update

from store import events
from store.database import cursors, tables
from store.database.clock import latest, now
from store.database.conditions import has_kind, has_status
from store.database.connection import Transaction
from store.database.cursors import AnyRow, Page
from store.errors import NotFound
from store.events import EventType
from store.ids import new_id
from store.names import check_alias, check_name
from store.states import JobKind, JobStatus
from store.webhooks import outbox
from store.webhooks.outbox import EventName, Happened

QUEUES: Final = ("cpu", "gpu")
"""The queues that a job may wait in; the first is the default."""

DONE: Final[Mapping[str, float]] = {"fraction": 1.0, "eta_seconds": 0.0}
"""The progress of a job that has succeeded."""
PRICE: Final = "price_per_million_tokens"
"""The price that a user stated, kept in a job's row beside the encoder but no part of it."""

_jobs = tables.jobs.c
NOT_BEFORE_NOW: Final = latest(now(), _jobs.updated_at)
"""The present, or the job's last change if the database's clock was set back since."""
_NOTHING = literal({}, _jobs.checkpoint.type)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One request to tune a head on a dataset, or to predict a dataset, as its row was read."""

    id: str
    tenant_id: str
    name: str
    kind: JobKind
    dataset_id: str
    method: str
    alias: str | None
    alias_always: bool
    """Whether the alias moves even if the report's verdict advises against the head."""
    alias_outcome: dict[str, Any] | None
    """What happened to the alias: an `aliases.Outcome`, once the job has published."""
    description: str | None = None
    """The description of the head version that it publishes, like `tags`."""
    tags: dict[str, str] = field(default_factory=dict)
    queue: str
    """Only workers that serve this queue take it."""
    priority: int
    """Higher ones are taken first."""
    status: JobStatus
    stage: str | None
    """Where a running job is, or where a failed one stopped."""
    progress: dict[str, Any] | None
    config: dict[str, Any]
    encoder: dict[str, Any] | None
    """The encoder of its dataset's texts, if it has texts, later with the cost."""
    migration: dict[str, Any] | None = None
    """Which version it takes to another encoder and how: `from_version` and `way`. For a bridge
    also `old_encoder`, later with the cost, and at the end what was found."""
    encoders: dict[str, Any] | None = None
    """The encoders that it compares; see `encoder_comparison`."""
    attempt: int
    """Executions so far that count; 0 before the first."""
    max_attempts: int
    fence: int
    """Grows with each claim; a worker may write only while its own fence is the row's."""
    worker: str | None
    lease_expires_at: datetime | None
    not_before_at: datetime | None
    waiting: dict[str, Any] | None
    """Why it is held back until then: code, message, since, and the worker's memory."""
    cancel_requested_at: datetime | None
    checkpoint: dict[str, str]
    """File name to sha256 of the files that the next attempt starts from; empty at the end."""
    error: dict[str, Any] | None
    report_sha256: str | None
    head_name: str | None
    """The head that a training published, or that a prediction uses."""
    head_version: int | None
    output_sha256: str | None
    """The file that a prediction wrote, until it is deleted."""
    output: dict[str, Any] | None
    """That file's format, rows and bytes."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


COLUMNS = tuple(
    (-_jobs.precedence).label("priority") if field.name == "priority" else _jobs[field.name]
    for field in fields(Job)
)


def submit(
    tx: Transaction,
    tenant_id: str,
    *,
    name: str,
    dataset_id: str,
    method: str,
    config: Mapping[str, object],
    alias: str | None = None,
    alias_always: bool = False,
    queue: str = QUEUES[0],
    priority: int = 0,
    max_attempts: int = 3,
    encoder: Mapping[str, object] | None = None,
    encoders: Mapping[str, object] | None = None,
    predicting: tuple[str, int] | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
    migration: Mapping[str, object] | None = None,
    by_bridge: bool = False,
) -> Job:
    """Queue a job. Raises NotFound for the dataset, InvalidName.

    predicting: the head's name and version for a prediction; without it the job is a training, or,
    with `by_bridge`, a migration. The row is the queue: ring the doorbell only after the
    transaction has ended.
    """
    check_name("job", name)
    if queue not in QUEUES:
        raise ValueError(f"queue must be one of {', '.join(QUEUES)}, got {queue!r}")
    if alias is not None:
        check_alias(alias)
    # Locked against `datasets.delete` until it can see the job's row.
    dataset = select(tables.datasets.c.id).where(
        tables.datasets.c.tenant_id == tenant_id, tables.datasets.c.id == dataset_id
    )
    if tx.execute(dataset.with_for_update(read=True, key_share=True)).one_or_none() is None:
        raise NotFound("dataset", dataset_id)
    kind = JobKind.MIGRATION if by_bridge else JobKind.TRAINING
    if predicting:
        kind = JobKind.PREDICTION
    row = tx.execute(
        insert(tables.jobs)
        .values(
            id=new_id("job"),
            tenant_id=tenant_id,
            name=name,
            kind=kind.value,
            head_name=predicting[0] if predicting else None,
            head_version=predicting[1] if predicting else None,
            dataset_id=dataset_id,
            method=method,
            alias=alias,
            alias_always=alias_always,
            description=description,
            tags=dict(tags or {}),
            queue=queue,
            precedence=-priority,
            turn=_turn(tenant_id, queue, -priority, kind),
            status=JobStatus.QUEUED.value,
            config=dict(config),
            encoder=None if encoder is None else dict(encoder),
            migration=None if migration is None else dict(migration),
            encoders=None if encoders is None else dict(encoders),
            attempt=0,
            max_attempts=max_attempts,
            fence=0,
            checkpoint={},
            n_events=1,
            created_at=now(),
            updated_at=now(),
        )
        .returning(*COLUMNS)
    ).one()
    data: dict[str, object] = {"dataset_id": dataset_id, "method": method}
    if predicting:
        data["head"] = {"name": predicting[0], "version": predicting[1]}
    events.add(tx, tenant_id, row.id, last=1, at=row.created_at, new=[(EventType.QUEUED, data)])
    return job_of(row)


def _turn(tenant_id: str, queue: str, precedence: int, kind: JobKind) -> ColumnElement[int]:
    """The turn of a new job: its place in the queue, fair between tenants.

    It is one more than that of the tenant's last unfinished job of the kind, so that the tenant's
    jobs keep their order and a job that is given back keeps its place. It is no less than that of
    the first waiting job or, without one, the last running job: so a tenant with a thousand waiting
    jobs delays another tenant's by one job, not by a thousand. Jobs that were taken before count as
    waiting only if there are no others: their turns are old, and a new job must not overtake those
    that came before it. Predictions are numbered apart, because they do not wait for trainings.
    """
    among = (_jobs.queue == queue, _jobs.precedence == precedence, has_kind(kind))
    mine = (_jobs.tenant_id == tenant_id, *among)

    def first(*where: ColumnElement[bool]) -> Any:
        turns = select(_jobs.turn).where(has_status(JobStatus.QUEUED), *where)
        return turns.order_by(_jobs.turn).limit(1).scalar_subquery()

    def last(status: JobStatus, *where: ColumnElement[bool]) -> ColumnElement[int]:
        turns = select(_jobs.turn).where(has_status(status), *where)
        return func.coalesce(turns.order_by(_jobs.turn.desc()).limit(1).scalar_subquery(), -1)

    def greater(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
        return case((one > other, one), else_=other)

    running = greater(last(JobStatus.RUNNING, *among), literal(0))
    present = func.coalesce(first(_jobs.fence == 0, *among), first(*among), running)
    after_mine = greater(last(JobStatus.QUEUED, *mine), last(JobStatus.RUNNING, *mine)) + 1
    return greater(after_mine, present)


def get(tx: Transaction, tenant_id: str, job_id: str) -> Job:
    """The job. Raises NotFound."""
    row = tx.execute(
        select(*COLUMNS).where(_jobs.tenant_id == tenant_id, _jobs.id == job_id)
    ).one_or_none()
    if row is None:
        raise NotFound("job", job_id)
    return job_of(row)


def page(
    tx: Transaction,
    tenant_id: str,
    *,
    cursor: str | None = None,
    limit: int = 50,
    status: JobStatus | str | None = None,
) -> Page[Job]:
    """The tenant's jobs, newest first. Raises InvalidCursor."""
    query = select(*COLUMNS).where(_jobs.tenant_id == tenant_id)
    if status is not None:
        query = query.where(has_status(JobStatus(status)))
    query = cursors.paged(
        query, _jobs.created_at, _jobs.id, kind="jobs", cursor=cursor, limit=limit
    )
    return cursors.page_of(
        tx.execute(query).all(),
        job_of,
        kind="jobs",
        limit=limit,
        position=lambda job: (job.created_at, job.id),
    )


def request_cancel(tx: Transaction, tenant_id: str, job_id: str) -> Job:
    """Cancel a queued job at once, or ask the worker of a running one; final jobs stay as they are.

    Asking again changes nothing. Raises NotFound.
    """
    is_queued = has_status(JobStatus.QUEUED)
    is_unasked = and_(has_status(JobStatus.RUNNING), _jobs.cancel_requested_at.is_(None))
    job = move(
        tx,
        _jobs.tenant_id == tenant_id,
        _jobs.id == job_id,
        or_(is_queued, is_unasked),
        values={
            "status": case((is_queued, JobStatus.CANCELLED.value), else_=_jobs.status),
            "finished_at": case((is_queued, NOT_BEFORE_NOW)),
            "cancel_requested_at": NOT_BEFORE_NOW,
            "checkpoint": case((is_queued, _NOTHING), else_=_jobs.checkpoint),
            "waiting": case((is_queued, null()), else_=_jobs.waiting),
        },
        event=lambda job: (
            EventType.CANCELLED if job.status.is_final else EventType.CANCEL_REQUESTED,
            {},
        ),
    )
    return job or get(tx, tenant_id, job_id)


def move(
    tx: Transaction,
    *where: ColumnElement[bool],
    values: Mapping[str, object],
    event: Callable[[Job], tuple[EventType, Mapping[str, object]]],
) -> Job | None:
    """Change the one job that `where` picks and append its event; None if it picks no job.

    Only for the store's own moves: the condition must name the statuses that it moves from.
    """
    row = tx.execute(
        update(tables.jobs)
        .where(*where)
        .values(n_events=_jobs.n_events + 1, updated_at=NOT_BEFORE_NOW, **values)
        .returning(*COLUMNS, _jobs.n_events)
    ).one_or_none()
    if row is None:
        return None
    job = job_of(row)
    events.add(tx, job.tenant_id, job.id, last=row.n_events, at=job.updated_at, new=[event(job)])
    if job.status.is_final:
        outbox.write(tx, job.tenant_id, _ended(job, sequence=row.n_events))
    return job


def _ended(job: Job, *, sequence: int) -> Happened:
    data: dict[str, object] = {
        "job_id": job.id,
        "name": job.name,
        "kind": job.kind.value,
        "status": job.status.value,
        "sequence": sequence,
        "path": f"/jobs/{job.id}",
    }
    if job.error is not None:
        data["error_code"] = job.error.get("code")  # its words may quote a row
    if job.kind is not JobKind.PREDICTION and job.head_version is not None:
        data["head"] = {"name": job.head_name, "version": job.head_version}
    return Happened(EventName(f"job.{job.status.value}"), data)


def job_of(row: AnyRow) -> Job:
    """The record of a row that has `COLUMNS`."""
    values = {field.name: getattr(row, field.name) for field in fields(Job)}
    status = JobStatus(row.status)
    return Job(
        **values
        | {
            "status": status,
            "kind": JobKind(row.kind),
            "progress": progress_at(status, row.progress),
        }
    )


def progress_at(status: JobStatus, told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A job's progress, by its status and the progress that its last heartbeat wrote.

    A succeeded job is complete. Nobody works on the rest of another job that does not run, so that
    it has no remaining time.
    """
    if status is JobStatus.SUCCEEDED:
        return {**(told or {}), **DONE}
    if told is None or status is JobStatus.RUNNING:
        return None if told is None else dict(told)
    return {**told, "eta_seconds": None}
