"""The worker without a broker: each slot looks at the rows, and a doorbell wakes it early."""

import logging
import threading

from store.queue import LocalQueue
from store.store import Store
from workers.attempt.run import standby_of
from workers.folder import remove_abandoned
from workers.settings import WorkerSettings
from workers.slots.prediction import PredictionSlots
from workers.slots.slot import Slot
from workers.slots.storage_gate import StorageGate
from workers.slots.sweep import Sweeper
from workers.webhooks.courier import courier_of

logger = logging.getLogger(__name__)


class LocalWorker:
    """Works through the queue in threads of its own, beside a sweeper, a courier and the
    prediction slots.

    `queue` only wakes the slots early; jobs that nobody rang for are found every `poll_seconds`.
    """

    def __init__(self, store: Store, queue: LocalQueue, settings: WorkerSettings) -> None:
        self._queue = queue
        self._settings = settings
        self._stopping = threading.Event()
        self._sweeper = Sweeper(
            store,
            queue,
            poll_seconds=settings.poll_seconds,
            lease_seconds=settings.lease_seconds,
            job_files_days=settings.job_files_days,
            audit_days=settings.audit_days,
        )
        gate = StorageGate(store.artifacts)
        slots = [
            Slot(
                *(store, settings, self._stopping, gate),
                name=str(number),
                gpu=number,
                standby=standby_of(settings, number),
            )
            for number in range(settings.slots)
        ]
        self._threads = [
            threading.Thread(
                target=slot.work, args=(queue.wait,), name=f"slot-{number}", daemon=True
            )
            for number, slot in enumerate(slots)
        ]
        self._predictions = PredictionSlots(store, settings, self._stopping, queue.wait, gate)
        self._courier = courier_of(store, settings)

    def start(self) -> None:
        """Begin to work; returns at once."""
        n_removed = remove_abandoned(self._settings.work_dir)
        logger.info("worker.start slots=%d n_removed=%d", len(self._threads), n_removed)
        self._sweeper.start()
        for thread in self._threads:
            thread.start()
        self._predictions.start()
        self._courier.start()

    def stop(self) -> None:
        """End the trainings, hand their jobs back to the queue, and wait until that is done.

        The jobs keep their checkpoints and the attempt does not count, so the next worker goes on
        at once.
        """
        self._stopping.set()
        self._queue.close()
        self._courier.stop()
        for thread in self._threads:
            thread.join()
        self._predictions.join()
        self._sweeper.stop()
        logger.info("worker.stop")
