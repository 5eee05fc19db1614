"""The worker without a broker: claims and runs jobs, one at a time in each slot."""

import logging
import os
import socket
import threading

from store import transitions
from store.errors import StoreError
from store.jobs import Job
from store.queue import LocalQueue
from store.store import Store
from workers.attempt.run import run_claimed, standby_of
from workers.folder import remove_abandoned
from workers.settings import WorkerSettings
from workers.slots.prediction import PredictionSlots
from workers.slots.storage_gate import StorageGate
from workers.slots.sweep import Sweeper

logger = logging.getLogger(__name__)


class LocalWorker:
    """Works through the queue in threads of its own, with a sweeper beside them.

    Each slot is one thread for as long as the worker runs, because the kernel ties a training
    process to the thread that started it. Beside them are slots that predict files alone. `queue`
    only wakes the slots early; jobs that nobody rang for are found every `poll_seconds`.
    """

    def __init__(self, store: Store, queue: LocalQueue, settings: WorkerSettings) -> None:
        self._store = store
        self._queue = queue
        self._settings = settings
        self._stopping = threading.Event()
        self._sweeper = Sweeper(
            store, queue, poll_seconds=settings.poll_seconds, lease_seconds=settings.lease_seconds
        )
        self._slots = [
            threading.Thread(target=self._work, args=(slot,), name=f"slot-{slot}", daemon=True)
            for slot in range(settings.slots)
        ]
        self._gate = StorageGate(store.artifacts)
        self._predictions = PredictionSlots(store, settings, self._stopping, queue.wait, self._gate)

    def start(self) -> None:
        """Begin to work; returns at once."""
        n_removed = remove_abandoned(self._settings.work_dir)
        logger.info("worker.start slots=%d n_removed=%d", len(self._slots), n_removed)
        self._sweeper.start()
        for thread in self._slots:
            thread.start()
        self._predictions.start()

    def stop(self) -> None:
        """End the trainings, hand their jobs back to the queue, and wait until that is done.

        The jobs keep their checkpoints and the attempt does not count, so the next worker goes on
        at once.
        """
        self._stopping.set()
        self._queue.close()
        for thread in self._slots:
            thread.join()
        self._predictions.join()
        self._sweeper.stop()
        logger.info("worker.stop")

    def _work(self, slot: int) -> None:
        worker = f"{socket.gethostname()}:{os.getpid()}:{slot}"
        standby = standby_of(self._settings, slot)
        while not self._stopping.is_set():
            try:
                if standby is not None:
                    standby.prepare()
                job = self._claim(worker)
                if job is not None:
                    ended = run_claimed(
                        job,
                        store=self._store,
                        settings=self._settings,
                        stopping=self._stopping,
                        slot=slot,
                        standby=standby,
                    )
                    self._gate.note(ended)
                    continue
                if standby is not None:
                    standby.retire()
            except StoreError as error:
                logger.warning("worker.claim_failed reason=%s", error)
            except Exception:
                logger.exception("worker.error")  # the slot must outlive any one job
            self._queue.wait(self._settings.poll_seconds)
        if standby is not None:
            standby.close()

    def _claim(self, worker: str) -> Job | None:
        if not self._gate.is_open():
            return None
        with self._store.database.begin() as tx:
            return transitions.claim_next(
                tx,
                worker=worker,
                lease_seconds=self._settings.lease_seconds,
                queues=self._settings.queues,
            )
