"""The sweep: expired leases move on, and the doorbell is rung after the commit."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from store import datasets, jobs, transitions
from store.errors import NotFound
from store.jobs import Job
from store.leases import RunningLease
from store.queue import LocalQueue
from tests.store.made_rows import clock_ahead
from tests.support.waiting import wait_until
from tests.workers.workplace import ENDLESS, Workplace, start_worker
from workers.slots import sweep as sweep_module
from workers.slots.clock import HOLD_SECONDS, ClockWatch
from workers.slots.sweep import Sweeper, Watch, sweep


class Bell(LocalQueue):
    """Remembers for which jobs it rang, and in which status they then were."""

    def __init__(self, workplace: Workplace) -> None:
        super().__init__()
        self.rings: list[tuple[str, str]] = []
        self._workplace = workplace

    def send(self, job_id: str, queue: str) -> None:
        with self._workplace.store.database.read() as tx:
            self.rings.append((job_id, jobs.get(tx, "default", job_id).status))
        super().send(job_id, queue)


class BrokenBell(LocalQueue):
    def send(self, job_id: str, queue: str) -> None:
        raise ConnectionError(f"no broker for {job_id}")


def abandoned(workplace: Workplace) -> Job:
    """A running job whose lease ran out at once."""
    job = workplace.submit({})
    with workplace.store.database.begin() as tx:
        claimed = transitions.claim(tx, job.id, worker="dead", lease_seconds=0)
    assert claimed is not None
    return claimed


def test_abandoned_job_is_queued_and_rung_for_after_the_commit(workplace: Workplace) -> None:
    job, bell = abandoned(workplace), Bell(workplace)
    assert sweep(workplace.store, bell).requeued == (job.id,)
    assert bell.rings == [(job.id, "queued")]


def test_bell_that_fails_is_no_failure_of_the_sweep(workplace: Workplace) -> None:
    job = abandoned(workplace)
    sweep(workplace.store, BrokenBell())
    assert workplace.read(job).status == "queued"


def test_sweeper_sweeps_by_itself_and_stops(workplace: Workplace) -> None:
    job = abandoned(workplace)
    sweeper = Sweeper(workplace.store, LocalQueue(), poll_seconds=0.05)
    sweeper.start()
    try:
        wait_until(lambda: workplace.read(job).status == "queued")
    finally:
        sweeper.stop()


@pytest.mark.serial  # the worker has two seconds to renew a lease that is over by the clock
def test_a_clock_set_two_hours_ahead_and_back_costs_no_living_worker_its_job(
    workplace: Workplace,
) -> None:
    job = workplace.submit(ENDLESS, method="mlp")
    worker = start_worker(workplace)
    try:
        wait_until(lambda: workplace.read(job).stage == "training")
        before = workplace.read(job)
        with clock_ahead(7200):
            time.sleep(3)
        time.sleep(3)
        after = workplace.read(job)
        assert (after.status, after.fence, after.attempt) == ("running", before.fence, 1)
    finally:
        worker.stop()
    assert workplace.read(job).attempt == 0


def expiring(workplace: Workplace, *, seconds: float) -> str:
    """A dataset that expires so long from now; its id."""
    dataset_id = workplace.add_dataset().id
    with workplace.store.database.begin() as tx:
        datasets.keep(tx, "default", dataset_id, keep_seconds=seconds)
    return dataset_id


def sweeping(workplace: Workplace) -> Sweeper:
    sweeper = Sweeper(workplace.store, LocalQueue(), poll_seconds=0.05, lease_seconds=1)
    sweeper.start()
    return sweeper


@pytest.mark.parametrize("ahead", [7200, 600])
def test_a_dead_workers_job_is_freed_whenever_its_lease_was_written(
    workplace: Workplace, ahead: float
) -> None:
    """600 s ahead, its lease ends when a long one might: its silence tells."""
    with clock_ahead(ahead):
        job = claimed(workplace, lease_seconds=12)
    sweeper = sweeping(workplace)
    try:
        wait_until(lambda: workplace.read(job).status == "queued")
    finally:
        sweeper.stop()


def test_a_cancelled_job_without_a_worker_ends_long_before_its_lease(
    workplace: Workplace,
) -> None:
    job = claimed(workplace, lease_seconds=600)
    workplace.request_cancel(job)
    sweeper = Sweeper(workplace.store, LocalQueue(), poll_seconds=0.05, lease_seconds=600)
    sweeper.start()
    try:
        wait_until(lambda: workplace.read(job).status == "cancelled")
    finally:
        sweeper.stop()


def test_leases_that_are_renewed_are_never_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("workers.slots.sweep.time", clock)  # that module's alone, not all threads'
    watch = Watch(lease_seconds=20)
    moment = datetime(2026, 11, 30, tzinfo=UTC)

    def lease(seconds: float, *, is_over: bool) -> RunningLease:
        return RunningLease(
            job_id="job_1",
            fence=1,
            expires_at=moment + timedelta(seconds=seconds),
            is_over=is_over,
            is_cancelled=False,
        )

    for second in range(30):  # over by the clock, but renewed each second
        assert watch.silent([lease(second, is_over=True)]) == []
        now[0] += 1
    dead = lease(50, is_over=True)
    assert watch.silent([dead]) == []
    assert watch.is_waiting
    now[0] += 1.9
    assert watch.silent([dead]) == []
    now[0] += 0.2
    assert watch.silent([dead]) == [dead]
    living = lease(60, is_over=False)
    assert watch.silent([living]) == []
    now[0] += 39
    assert watch.silent([living]) == []
    watch.forget()  # the database was away: nobody could renew anything
    assert watch.silent([living]) == []
    now[0] += 41
    assert watch.silent([living]) == [living]


def claimed(workplace: Workplace, *, lease_seconds: float) -> Job:
    job = workplace.submit({})
    with workplace.store.database.begin() as tx:
        found = transitions.claim(tx, job.id, worker="dead", lease_seconds=lease_seconds)
    assert found is not None
    return found


def has_row(workplace: Workplace, dataset_id: str) -> bool:
    with workplace.store.database.read() as tx:
        try:
            datasets.get(tx, "default", dataset_id, even_expired=True)
        except NotFound:
            return False
    return True


def test_a_clock_set_ahead_removes_no_dataset_early(workplace: Workplace) -> None:
    # Without its thread: a clock that is set between a look at it and the removal that follows is
    # a moment that no test can hit or avoid.
    dataset_id = expiring(workplace, seconds=600)
    sweeper = Sweeper(workplace.store, LocalQueue(), poll_seconds=1)
    assert sweeper.remove_expired()
    with clock_ahead(7200):
        assert not sweeper.remove_expired()
        assert not sweeper.remove_expired()
    assert has_row(workplace, dataset_id)
    assert sweeper.remove_expired()  # set back, it is trusted again
    assert has_row(workplace, dataset_id)


def test_a_clock_that_runs_evenly_is_trusted(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that starts after the jump cannot know of it."""
    monkeypatch.setattr(sweep_module, "EXPIRY_SECONDS", 0.05)
    dataset_id = expiring(workplace, seconds=600)
    with clock_ahead(7200):
        sweeper = sweeping(workplace)
        try:
            wait_until(lambda: not has_row(workplace, dataset_id), seconds=10)
        finally:
            sweeper.stop()


def test_a_clock_is_trusted_again_once_it_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    at = [0.0]
    monkeypatch.setattr("workers.slots.clock.time.monotonic", lambda: at[0])
    noon, watch = datetime(2026, 1, 1, 12, tzinfo=UTC), ClockWatch()

    def is_ahead(*, monotonic: float, shown: float) -> bool:
        at[0] = monotonic
        return watch.was_set_ahead(noon + timedelta(seconds=shown))

    assert not is_ahead(monotonic=0, shown=0)
    assert not is_ahead(monotonic=30, shown=80), "a usual correction"
    assert is_ahead(monotonic=60, shown=7200)
    assert is_ahead(monotonic=90, shown=7230), "it still is"
    assert not is_ahead(monotonic=120, shown=120)
    assert is_ahead(monotonic=150, shown=7200)
    assert not is_ahead(monotonic=150 + HOLD_SECONDS, shown=7200 + HOLD_SECONDS), "it was meant"
