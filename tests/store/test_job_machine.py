"""The job state machine against a small model: two workers, lost leases, cancels, in any order."""

from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, func, select

from store import events, first_head, jobs, transitions
from store.database import tables
from store.errors import LeaseLost
from store.jobs import Job
from store.states import FINAL, MOVES, JobStatus
from store.store import Store
from store.transitions import SweepResult
from tests.store.made_rows import Rows, new_head

ERROR = {"code": "invalid_data", "message": "Row 3 is empty."}


@dataclass
class Model:
    """What one job should be, in the plainest words."""

    max_attempts: int
    status: JobStatus = JobStatus.QUEUED
    attempt: int = 0
    fence: int = 0
    cancel_requested: bool = False
    expired: bool = False
    published: bool = False
    told: list[str] = field(default_factory=lambda: ["job.queued"])
    seen: list[JobStatus] = field(default_factory=lambda: [JobStatus.QUEUED])

    def move(self, status: JobStatus, event: str) -> None:
        self.status = status
        self.told.append(event)
        self.seen.append(status)

    def claim(self) -> None:
        self.fence += 1
        self.attempt += 1
        self.expired = False
        self.move(JobStatus.RUNNING, "job.started")

    def publish(self) -> None:
        if not self.published:
            self.published = True
            self.told.append("head.published")

    def give_up(self, *, count_attempt: bool) -> None:
        if self.cancel_requested:
            self.move(JobStatus.CANCELLED, "job.cancelled")
        elif count_attempt and self.attempt == self.max_attempts:
            self.move(JobStatus.FAILED, "job.failed")
        else:
            self.attempt -= 0 if count_attempt else 1
            self.move(JobStatus.QUEUED, "job.requeued")


class JobMachine(RuleBasedStateMachine):
    """Rules are what doors and workers do; a claim's Job may be used long after it is stale."""

    ids = Bundle("ids")
    claims = Bundle("claims")

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.rows = Rows(store)
        self.models: dict[str, Model] = {}

    @initialize()
    def begin_empty(self) -> None:
        with self.store.database.begin() as tx:
            for table in reversed(tables.metadata.sorted_tables):
                tx.execute(delete(table))
        self.dataset = self.rows.dataset()

    @precondition(lambda self: len(self.models) < 4)
    @rule(target=ids, max_attempts=st.integers(1, 3))
    def submit(self, max_attempts: int) -> str:
        job = self.rows.queued(dataset=self.dataset, max_attempts=max_attempts)
        self.models[job.id] = Model(max_attempts)
        return job.id

    @rule(target=claims, job_id=ids, worker=st.sampled_from(["a", "b"]))
    def claim(self, job_id: str, worker: str) -> object:
        with self.store.database.begin() as tx:
            job = transitions.claim(tx, job_id, worker=worker, lease_seconds=60)
        model = self.models[job_id]
        assert (job is not None) == (model.status is JobStatus.QUEUED)
        if job is None:
            return multiple()
        model.claim()
        return job

    @rule(target=claims, worker=st.sampled_from(["a", "b"]))
    def claim_next(self, worker: str) -> object:
        with self.store.database.begin() as tx:
            job = transitions.claim_next(tx, worker=worker, lease_seconds=60)
        queued = [id_ for id_, model in self.models.items() if model.status is JobStatus.QUEUED]
        assert (job and job.id) == (queued[0] if queued else None), "the oldest is next"
        if job is None:
            return multiple()
        self.models[job.id].claim()
        return job

    def is_mine(self, job: Job) -> bool:
        model = self.models[job.id]
        return model.status is JobStatus.RUNNING and model.fence == job.fence

    @rule(job=claims)
    def heartbeat(self, job: Job) -> None:
        model = self.models[job.id]
        try:
            with self.store.database.begin() as tx:
                asked = transitions.heartbeat(
                    tx, job, lease_seconds=60, events=[("job.progress", {"epoch": 1})]
                )
        except LeaseLost:
            assert not self.is_mine(job)
        else:
            assert self.is_mine(job)
            assert asked == model.cancel_requested
            model.told.append("job.progress")
            model.expired = False

    @rule(job=claims)
    def succeed(self, job: Job) -> None:
        model = self.models[job.id]
        try:
            with self.store.database.begin() as tx:
                transitions.succeed(tx, job, report_sha256="e" * 64, head=new_head(alias="prod"))
        except LeaseLost:
            assert not self.is_mine(job)
        else:
            assert self.is_mine(job)
            model.publish()
            model.move(JobStatus.SUCCEEDED, "job.succeeded")

    @rule(job=claims)
    def publish_the_head(self, job: Job) -> None:
        model = self.models[job.id]
        try:
            with self.store.database.begin() as tx:
                first_head.publish(tx, job, head=new_head(alias="prod"), report_sha256="d" * 64)
        except LeaseLost:
            assert not self.is_mine(job)
        else:
            assert self.is_mine(job)
            if not model.cancel_requested:
                model.publish()

    @rule(job=consumes(claims))
    def fail(self, job: Job) -> None:
        try:
            with self.store.database.begin() as tx:
                transitions.fail(tx, job, error=ERROR)
        except LeaseLost:
            assert not self.is_mine(job)
        else:
            assert self.is_mine(job)
            self.models[job.id].move(JobStatus.FAILED, "job.failed")

    @rule(job=consumes(claims))
    def cancel(self, job: Job) -> None:
        try:
            with self.store.database.begin() as tx:
                transitions.cancel(tx, job)
        except LeaseLost:
            assert not self.is_mine(job)
        else:
            assert self.is_mine(job)
            self.models[job.id].move(JobStatus.CANCELLED, "job.cancelled")

    @rule(job=claims, count_attempt=st.booleans())
    def release(self, job: Job, count_attempt: bool) -> None:
        try:
            with self.store.database.begin() as tx:
                transitions.release(tx, job, count_attempt=count_attempt)
        except LeaseLost:
            assert not self.is_mine(job)
        else:
            assert self.is_mine(job)
            self.models[job.id].give_up(count_attempt=count_attempt)

    @rule(job_id=ids)
    def request_cancel(self, job_id: str) -> None:
        with self.store.database.begin() as tx:
            jobs.request_cancel(tx, "default", job_id)
        model = self.models[job_id]
        if model.status is JobStatus.QUEUED:
            model.cancel_requested = True
            model.move(JobStatus.CANCELLED, "job.cancelled")
        elif model.status is JobStatus.RUNNING and not model.cancel_requested:
            model.cancel_requested = True
            model.told.append("job.cancel_requested")

    @rule(job_id=ids)
    def lose_the_worker(self, job_id: str) -> None:
        model = self.models[job_id]
        if model.status is JobStatus.RUNNING:
            with self.store.database.read() as tx:
                self.rows.expire(jobs.get(tx, "default", job_id))
            model.expired = True

    @rule()
    def sweep(self) -> None:
        with self.store.database.begin() as tx:
            result = transitions.sweep(tx)
        moved = {
            id_: model
            for id_, model in self.models.items()
            if model.status is JobStatus.RUNNING and model.expired
        }
        for model in moved.values():
            model.give_up(count_attempt=True)
            model.expired = False
        expected = SweepResult(
            requeued=tuple(i for i, m in moved.items() if m.status is JobStatus.QUEUED),
            failed=tuple(i for i, m in moved.items() if m.status is JobStatus.FAILED),
            cancelled=tuple(i for i, m in moved.items() if m.status is JobStatus.CANCELLED),
        )
        for name in ("requeued", "failed", "cancelled"):
            assert set(getattr(result, name)) == set(getattr(expected, name))

    @invariant()
    def the_rows_are_as_the_model(self) -> None:
        with self.store.database.read() as tx:
            found = {job.id: job for job in jobs.page(tx, "default").items}
            job_id = tables.head_versions.c.job_id
            counts = tx.execute(select(job_id, func.count()).group_by(job_id))
            published = {row[0]: row[1] for row in counts}
            for id_, model in self.models.items():
                told = [event.type.value for event in events.page(tx, "default", id_)]
                assert told == model.told
                job = found[id_]
                assert (job.status, job.attempt, job.fence) == (
                    model.status,
                    model.attempt,
                    model.fence,
                )
                assert (job.cancel_requested_at is not None) == model.cancel_requested
                assert (job.finished_at is not None) == (model.status in FINAL)
                assert published.get(id_, 0) == (1 if model.published else 0)

    @invariant()
    def no_job_moved_against_the_law(self) -> None:
        for model in self.models.values():
            for before, after in pairwise(model.seen):
                assert after in MOVES[before]


def test_the_store_and_the_model_agree_in_any_order(store: Store) -> None:
    run_state_machine_as_test(
        partial(JobMachine, store),  # type: ignore[arg-type]  # takes any maker of a machine
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            # Making a failure smaller takes minutes; 25 steps can be read.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
        ),
    )
