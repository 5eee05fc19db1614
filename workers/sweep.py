"""The home of the sweep: the one remedy for dead workers, lost rings and bytes nobody names."""

import logging
import threading
import time

from store import expiry, garbage, moves
from store.errors import StoreError
from store.jobs import QUEUES
from store.moves import SweepResult
from store.queue import Queue
from store.store import Store
from workers import metrics

logger = logging.getLogger(__name__)

GARBAGE_SECONDS = 3600.0  # between two collections
EXPIRY_SECONDS = 30.0  # between two removals of what has expired, which nobody sees any more


def sweep(store: Store, queue: Queue) -> SweepResult:
    """Move on jobs whose lease ran out, then ring for as many as are queued again.

    Safe in any number of processes. Raises DatabaseUnavailable.
    """
    with store.database.begin() as tx:
        result = moves.sweep(tx)
    metrics.count_sweep(result)
    if result.requeued:
        remind(store, queue, limit=len(result.requeued))
    return result


def remind(store: Store, queue: Queue, *, limit: int) -> None:
    """Ring for jobs that are due, up to `limit` of each queue: their rings may have been lost."""
    with store.database.read() as tx:
        due = {name: moves.due(tx, name, limit=limit) for name in QUEUES}
    for name, job_ids in due.items():
        for job_id in job_ids:
            _ring(queue, job_id, name)


class Sweeper:
    """A thread that sweeps every `poll_seconds`, ends what expired, and collects garbage."""

    def __init__(self, store: Store, queue: Queue, *, poll_seconds: float) -> None:
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
                sweep(self._store, self._queue)
                if time.monotonic() >= expire_at:
                    expire_at = time.monotonic() + EXPIRY_SECONDS
                    expiry.remove_expired(self._store)
                if time.monotonic() >= collect_at:
                    collect_at = time.monotonic() + GARBAGE_SECONDS
                    garbage.collect(self._store)
            except StoreError as error:
                logger.warning("sweep.failed reason=%s", error)
                metrics.SWEEP_ERRORS.inc()
            except Exception:
                metrics.SWEEP_ERRORS.inc()
                logger.exception("sweep.error")  # a fault of ours must not end all remedy
            self._stopping.wait(self._poll_seconds)


def _ring(queue: Queue, job_id: str, name: str) -> None:
    try:
        queue.send(job_id, name)
    except Exception:
        # The row says `queued`; every worker finds it at its next look.
        logger.exception("queue.send_failed job_id=%s", job_id)
