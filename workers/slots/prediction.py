"""The slots that predict files and train nothing, so that predictions never wait behind trainings.

They are threads beside a worker's other slots, those of `LocalWorker` and those of a Celery worker
alike: each looks at the rows every `poll_seconds`, and is woken early where the doorbell is in the
same process. A prediction holds a block of rows at a time, uses no GPU and keeps no process ready.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable

from store import transitions
from store.errors import StoreError
from store.jobs import Job
from store.states import JobKind
from store.store import Store
from workers.attempt.run import run_claimed
from workers.settings import WorkerSettings
from workers.slots.storage_gate import StorageGate

logger = logging.getLogger(__name__)

WITHOUT_GPU = -1


class PredictionSlots:
    """`prediction_slots` threads that claim predictions alone."""

    def __init__(
        self,
        store: Store,
        settings: WorkerSettings,
        stopping: threading.Event,
        wait: Callable[[float], object],
        gate: StorageGate,
    ) -> None:
        """wait: returns when there may be work, at the latest after so many seconds."""
        self._gate = gate
        self._store = store
        self._settings = settings
        self._stopping = stopping
        self._wait = wait
        self._threads = [
            threading.Thread(
                target=self._work, args=(number,), name=f"predict-{number}", daemon=True
            )
            for number in range(settings.prediction_slots)
        ]

    def start(self) -> None:
        """Begin to work; returns at once."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until the jobs are handed back, once `stopping` is set."""
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        worker = f"{socket.gethostname()}:{os.getpid()}:predict-{number}"
        while not self._stopping.is_set():
            try:
                job = self._claim(worker)
                if job is not None:
                    ended = run_claimed(
                        job,
                        store=self._store,
                        settings=self._settings,
                        stopping=self._stopping,
                        slot=WITHOUT_GPU,
                    )
                    self._gate.note(ended)
                    continue
            except StoreError as error:
                logger.warning("worker.claim_failed reason=%s", error)
            except Exception:
                logger.exception("worker.error")  # the slot must outlive any one job
            self._wait(self._settings.poll_seconds)

    def _claim(self, worker: str) -> Job | None:
        if not self._gate.is_open():
            return None
        with self._store.database.begin() as tx:
            return transitions.claim_next(
                tx,
                worker=worker,
                lease_seconds=self._settings.lease_seconds,
                queues=self._settings.queues,
                kind=JobKind.PREDICTION,
            )
