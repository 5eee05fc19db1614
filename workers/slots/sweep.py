"""The sweep: the one remedy for dead workers, lost rings and bytes nobody names."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from store import expiry, garbage, transitions
from store.errors import StoreError
from store.jobs import QUEUES
from store.leases import RunningLease, running_leases
from store.queue import Queue
from store.store import Store
from store.transitions import SweepResult
from workers import metrics

logger = logging.getLogger(__name__)

GARBAGE_SECONDS = 3600.0  # between two collections
EXPIRY_SECONDS = 30.0  # between two removals of what has expired, which nobody sees any more
SILENCE_SECONDS: Final = 2.0
"""Of a worker whose lease is over: heartbeats are a second apart at most, and take a moment."""
LOOK_AGAIN_SECONDS: Final = 0.5
"""Between two looks while a lease that is over may yet be renewed."""


def sweep(
    store: Store, queue: Queue, *, leases: Sequence[RunningLease] | None = None
) -> SweepResult:
    """Move on jobs whose lease ran out, then ring for as many as are queued again.

    leases: those to end, unless they were renewed since; without it, all that are over by the
    database's clock. Safe in any number of processes. Raises DatabaseUnavailable.
    """
    result = SweepResult()
    if leases is None or leases:
        with store.database.begin() as tx:
            result = transitions.sweep(tx, leases=leases)
    metrics.count_sweep(result)
    if result.requeued:
        remind(store, queue, limit=len(result.requeued))
    return result


def remind(store: Store, queue: Queue, *, limit: int) -> None:
    """Ring for jobs that are due, up to `limit` of each queue: their rings may have been lost."""
    with store.database.read() as tx:
        due = {name: transitions.due(tx, name, limit=limit) for name in QUEUES}
    for name, job_ids in due.items():
        for job_id in job_ids:
            _ring(queue, job_id, name)


class Watch:
    """Which leases nobody renews, by this process's own clock, which is never set.

    The database's clock may be set hours ahead, and all leases are over at once; or back, and the
    lease of a dead worker ends hours later. A living worker renews its lease within a second,
    whatever the clock says, so it is silence that tells: a moment of it where the lease is over or
    a cancel was asked for, two leases of it in any case.
    """

    def __init__(self, *, lease_seconds: float) -> None:
        self._longest = 2 * lease_seconds
        self._seen: dict[RunningLease, float] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether a lease is over that may yet be renewed."""
        return any(lease.is_over or lease.is_cancelled for lease in self._seen)

    def silent(self, leases: Sequence[RunningLease]) -> list[RunningLease]:
        """Those of the running leases, as they are now, whose workers have been silent too long."""
        at = time.monotonic()
        self._seen = {lease: self._seen.get(lease, at) for lease in leases}
        return [lease for lease, since in self._seen.items() if at - since >= self._patience(lease)]

    def forget(self) -> None:
        """Begin anew: for a while nobody could have renewed anything."""
        self._seen.clear()

    def _patience(self, lease: RunningLease) -> float:
        is_due = lease.is_over or lease.is_cancelled
        return min(SILENCE_SECONDS, self._longest) if is_due else self._longest


class Sweeper:
    """A thread that sweeps every `poll_seconds`, ends what expired, and collects garbage."""

    def __init__(
        self, store: Store, queue: Queue, *, poll_seconds: float, lease_seconds: float = 20.0
    ) -> None:
        """lease_seconds: what workers ask for."""
        self._watch = Watch(lease_seconds=lease_seconds)
        self._store = store
        self._queue = queue
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; waits for the sweep it is at."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        collect_at = expire_at = time.monotonic()
        while not self._stopping.is_set():
            try:
                self._sweep()
                if time.monotonic() >= expire_at:
                    expire_at = time.monotonic() + EXPIRY_SECONDS
                    expiry.remove_expired(self._store)
                if time.monotonic() >= collect_at:
                    collect_at = time.monotonic() + GARBAGE_SECONDS
                    garbage.collect(self._store)
            except StoreError as error:
                self._watch.forget()
                logger.warning("sweep.failed reason=%s", error)
                metrics.SWEEP_ERRORS.inc()
            except Exception:
                metrics.SWEEP_ERRORS.inc()
                logger.exception("sweep.error")  # a fault of ours must not end all remedy
            is_waiting = self._watch.is_waiting
            pause = (
                min(self._poll_seconds, LOOK_AGAIN_SECONDS) if is_waiting else self._poll_seconds
            )
            self._stopping.wait(pause)

    def _sweep(self) -> None:
        with self._store.database.read() as tx:
            leases = running_leases(tx)
        sweep(self._store, self._queue, leases=self._watch.silent(leases))


def _ring(queue: Queue, job_id: str, name: str) -> None:
    try:
        queue.send(job_id, name)
    except Exception:
        # The row says `queued`; every worker finds it at its next look.
        logger.exception("queue.send_failed job_id=%s", job_id)
