"""The sweep: the only remedy for dead workers, lost rings and bytes that no row names."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from store import transitions
from store.cleanup import expiry, garbage
from store.database.clock import read_clock
from store.errors import StoreError
from store.jobs import QUEUES
from store.leases import RunningLease, running_leases
from store.queue import Queue
from store.store import Store
from store.transitions import SweepResult
from workers import metrics
from workers.slots.clock import ClockWatch

logger = logging.getLogger(__name__)

GARBAGE_SECONDS = 3600.0  # between two collections
EXPIRY_SECONDS = 30.0  # between two removals of expired data, which its owner no longer sees
SILENCE_SECONDS: Final = 2.0
"""The silence of a worker whose lease is over: heartbeats are at most a second apart."""
LOOK_AGAIN_SECONDS: Final = 0.5
"""The pause between two looks while a lease that is over may still be renewed."""


def sweep(
    store: Store, queue: Queue, *, leases: Sequence[RunningLease] | None = None
) -> SweepResult:
    """Move on jobs whose lease ran out, then ring for as many as are queued again.

    leases: the ones to end unless renewed since; without it, all that are over by the database's
    clock. Safe in any number of processes. Raises DatabaseUnavailable.
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
    """Ring for up to `limit` due jobs of each queue, whose rings may have been lost."""
    with store.database.read() as tx:
        due = {name: transitions.due(tx, name, limit=limit) for name in QUEUES}
    for name, job_ids in due.items():
        for job_id in job_ids:
            _ring(queue, job_id, name)


class Watch:
    """Finds leases that nobody renews, by this process's own clock, which is never set.

    If the database's clock is set hours ahead, all leases are over at once; if it is set back, the
    lease of a dead worker ends hours later. But a living worker renews its lease within a second,
    whatever the clock says. So silence decides: a moment of it if the lease is over or a cancel was
    requested, and the time of two leases in any case.
    """

    def __init__(self, *, lease_seconds: float) -> None:
        self._longest = 2 * lease_seconds
        self._seen: dict[RunningLease, float] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether a lease that is over may still be renewed."""
        return any(lease.is_over or lease.is_cancelled for lease in self._seen)

    def silent(self, leases: Sequence[RunningLease]) -> list[RunningLease]:
        """The leases whose workers have been silent too long, given all running leases."""
        at = time.monotonic()
        self._seen = {lease: self._seen.get(lease, at) for lease in leases}
        return [lease for lease, since in self._seen.items() if at - since >= self._patience(lease)]

    def forget(self) -> None:
        """Start again: for a while nobody could renew a lease."""
        self._seen.clear()

    def _patience(self, lease: RunningLease) -> float:
        is_due = lease.is_over or lease.is_cancelled
        return min(SILENCE_SECONDS, self._longest) if is_due else self._longest


class Sweeper:
    """A thread that sweeps every `poll_seconds`, removes expired data, and collects garbage."""

    def __init__(
        self,
        store: Store,
        queue: Queue,
        *,
        poll_seconds: float,
        lease_seconds: float = 20.0,
        job_files_days: float = 0.0,
        audit_days: float = 0.0,
    ) -> None:
        """lease_seconds: the lease that workers ask for; days: how long to keep, 0 for ever."""
        self._job_files_days, self._audit_days = job_files_days, audit_days
        self._watch = Watch(lease_seconds=lease_seconds)
        self._clock = ClockWatch()
        self._store = store
        self._queue = queue
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its present sweep."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        collect_at = expire_at = time.monotonic()
        is_trusted = True
        while not self._stopping.is_set():
            try:
                self._sweep()
                if time.monotonic() >= expire_at:
                    expire_at = time.monotonic() + EXPIRY_SECONDS
                    is_trusted = self.remove_expired()
                if is_trusted and time.monotonic() >= collect_at:
                    collect_at = time.monotonic() + GARBAGE_SECONDS
                    garbage.collect(
                        self._store,
                        job_files_days=self._job_files_days,
                        audit_days=self._audit_days,
                    )
            except StoreError as error:
                self._watch.forget()
                logger.warning("sweep.failed reason=%s", error)
                metrics.SWEEP_ERRORS.inc()
            except Exception:
                metrics.SWEEP_ERRORS.inc()
                logger.exception("sweep.error")  # a bug of ours must not end all sweeps
            is_waiting = self._watch.is_waiting
            pause = (
                min(self._poll_seconds, LOOK_AGAIN_SECONDS) if is_waiting else self._poll_seconds
            )
            self._stopping.wait(pause)

    def remove_expired(self) -> bool:
        """Remove what has expired, unless the database's clock was set ahead; whether it was not.

        It must see the clock once before it can notice.
        """
        with self._store.database.read() as tx:
            moment = read_clock(tx)
        if self._clock.was_set_ahead(moment):
            return False
        expiry.remove_expired(self._store)
        expiry.tell_of_expiring_keys(self._store)
        return True

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
