"""The sweep: expired leases move on, and the doorbell is rung after the commit."""

from store import jobs, moves
from store.jobs import Job
from store.queue import LocalQueue
from tests.workers.support import Workplace, wait_until
from workers.sweep import Sweeper, sweep


class Bell(LocalQueue):
    """Remembers for which jobs it rang, and in which status they then were."""

    def __init__(self, workplace: Workplace) -> None:
        super().__init__()
        self.rings: list[tuple[str, str]] = []
        self._workplace = workplace

    def send(self, job_id: str, queue: str) -> None:
        with self._workplace.store.database.read() as tx:
            self.rings.append((job_id, jobs.get(tx, "default", job_id).status))
        super().send(job_id)


class BrokenBell(LocalQueue):
    def send(self, job_id: str, queue: str) -> None:
        raise ConnectionError(f"no broker for {job_id}")


def abandoned(workplace: Workplace) -> Job:
    """A running job whose lease ran out at once."""
    job = workplace.submit({})
    with workplace.store.database.begin() as tx:
        claimed = moves.claim(tx, job.id, worker="dead", lease_seconds=0)
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
        wait_until(lambda: workplace.read(job).status == "queued", seconds=10)
    finally:
        sweeper.stop()
