"""A slot: claims due jobs and runs them, one at a time, in one thread."""

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
from workers.attempt.standby import Standby
from workers.settings import WorkerSettings
from workers.slots.storage_gate import StorageGate

logger = logging.getLogger(__name__)


class Slot:
    """One of a worker's slots. Its thread must live as long as the worker.

    The kernel ties a training process to the thread that started it.
    """

    def __init__(
        self,
        store: Store,
        settings: WorkerSettings,
        stopping: threading.Event,
        gate: StorageGate,
        *,
        name: str,
        gpu: int,
        kind: JobKind | None = None,
        standby: Standby | None = None,
    ) -> None:
        """kind: take only jobs of this kind. gpu: the number of its GPU, or WITHOUT_GPU."""
        self._store = store
        self._settings = settings
        self._stopping = stopping
        self._gate = gate
        self._worker = f"{socket.gethostname()}:{os.getpid()}:{name}"
        self._gpu = gpu
        self._kind = kind
        self.standby = standby

    def work(self, wait: Callable[[float], object]) -> None:
        """Run jobs until the worker stops.

        wait: returns when there may be work, after so many seconds at the latest.
        """
        while not self._stopping.is_set():
            try:
                if self.standby is not None:
                    self.standby.prepare()
                if self.run_next():
                    continue
                if self.standby is not None:
                    self.standby.retire()
            except StoreError as error:
                logger.warning("worker.claim_failed reason=%s", error)
            except Exception:
                logger.exception("worker.error")  # the slot must outlive any one job
            wait(self._settings.poll_seconds)
        if self.standby is not None:
            self.standby.close()

    def run_next(self) -> bool:
        """Claim the first due job and run it to its end; False if there was none to take."""
        job = self._claim()
        if job is None:
            return False
        ended = run_claimed(
            job,
            store=self._store,
            settings=self._settings,
            stopping=self._stopping,
            slot=self._gpu,
            standby=self.standby,
        )
        self._gate.note(ended)
        return True

    def _claim(self) -> Job | None:
        if not self._gate.is_open():
            return None
        with self._store.database.begin() as tx:
            return transitions.claim_next(
                tx,
                worker=self._worker,
                lease_seconds=self._settings.lease_seconds,
                queues=self._settings.queues,
                kind=self._kind,
            )
