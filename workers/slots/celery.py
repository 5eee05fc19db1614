"""A Celery worker whose slots each run one supervised job at a time."""

import logging
import os
import socket
import threading
import time
from typing import Any

from celery import signals

from store import transitions
from store.errors import StoreError
from store.store import Store
from workers.attempt.run import standby_of
from workers.doorbell.app import TASK, make_app
from workers.doorbell.queue import CeleryQueue
from workers.folder import remove_abandoned
from workers.settings import WorkerSettings
from workers.slots.prediction import PredictionSlots
from workers.slots.slot import Slot
from workers.slots.storage_gate import StorageGate
from workers.slots.sweep import Sweeper
from workers.webhooks.courier import courier_of

logger = logging.getLogger(__name__)

DEAF = 1  # exit status of a worker that no longer hears its broker


class CeleryWorker:
    """Takes rings from the broker and works, in as many threads as there are slots.

    A ring names a job but only says that there is work: a slot takes the job that is first by
    priority and fair share, and goes on until no job is due. Pool threads live as long as the
    worker, as `Slot` requires. The slots that only predict files look at the rows themselves, so
    they need neither messages nor a queue of their own.
    """

    def __init__(self, store: Store, settings: WorkerSettings, *, broker_url: str) -> None:
        self._store = store
        self._settings = settings
        self._stopping = threading.Event()
        self._app = make_app(broker_url)
        self._app.task(self._run_job, name=TASK, ignore_result=True)
        self._queue = CeleryQueue(self._app, store)
        self._sweeper = Sweeper(
            store,
            self._queue,
            poll_seconds=settings.poll_seconds,
            lease_seconds=settings.lease_seconds,
            job_files_days=settings.job_files_days,
            audit_days=settings.audit_days,
        )
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._gate = StorageGate(store.artifacts)
        self._predictions = PredictionSlots(
            store, settings, self._stopping, self._stopping.wait, self._gate
        )
        self._courier = courier_of(store, settings)
        self._own = threading.local()  # each pool thread's slot
        self._numbers = iter(range(settings.slots))
        self._slots: list[Slot] = []
        self._busy: set[Slot] = set()
        self._worked_at = time.monotonic()

    def run(self) -> int:
        """Work until SIGTERM or SIGINT, hand the jobs back, and return the exit status."""
        n_removed = remove_abandoned(self._settings.work_dir)
        settings = self._settings
        logger.info(
            "worker.start slots=%d queues=%s n_removed=%d",
            *(settings.slots, ",".join(settings.queues), n_removed),
        )
        # Without the first, Celery sets up logging of its own; the second says that it must stop.
        signals.setup_logging.connect(_leave_logging_alone)
        signals.worker_shutting_down.connect(self._on_shutting_down)
        own = (self._queue, self._sweeper, self._watchdog, self._predictions, self._courier)
        for helper in own:
            helper.start()
        worker = self._app.Worker(
            hostname=f"nmtune@{socket.gethostname()}",
            pool="threads",
            concurrency=settings.slots,
            queues=list(settings.queues),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            optimization="fair",
        )
        try:
            worker.start()
        finally:  # also if it must stop while it starts
            self._stopping.set()
            self._courier.stop()
            self._predictions.join()
            self._queue.stop()
            self._sweeper.stop()
            logger.info("worker.stop")
        return int(worker.exitcode or 0)

    def _on_shutting_down(self, **_: Any) -> None:
        self._stopping.set()

    def _run_job(self, job_id: str) -> None:
        logger.debug("worker.rung job_id=%s", job_id)
        slot = self._slot_of_this_thread()
        self._busy.add(slot)
        try:
            while not self._stopping.is_set() and slot.run_next():
                self._worked_at = time.monotonic()
        except StoreError as error:
            logger.warning("worker.claim_failed reason=%s", error)
        finally:
            if slot.standby is not None:
                slot.standby.close() if self._stopping.is_set() else slot.standby.prepare()
            self._worked_at = time.monotonic()
            self._busy.discard(slot)

    def _slot_of_this_thread(self) -> Slot:
        if not hasattr(self._own, "slot"):
            number = next(self._numbers)
            self._own.slot = Slot(
                *(self._store, self._settings, self._stopping, self._gate),
                name=str(number),
                gpu=number,
                standby=standby_of(self._settings, number),
            )
            self._slots.append(self._own.slot)
        slot: Slot = self._own.slot
        return slot

    def _watch(self) -> None:
        """End the standbys that waited too long, and this process if it is deaf.

        It is deaf if it is idle although work is due and the broker answers. Clients of brokers
        have lost their subscription unnoticed more than once. A new process is the remedy, and an
        idle one has nothing to lose.
        """
        patience = self._settings.deaf_seconds
        while not self._stopping.wait(patience / 4):
            for slot in list(self._slots):
                if slot.standby is not None:
                    slot.standby.retire()
            if self._busy or time.monotonic() - self._worked_at < patience:
                continue
            try:
                with self._store.database.read() as tx:
                    due = [transitions.due(tx, name, limit=1) for name in self._settings.queues]
                if not any(due):
                    self._worked_at = time.monotonic()
                    continue
                self._queue.ping()
            except Exception as error:  # noqa: BLE001  # away: a new process would not help
                logger.debug("watchdog.cannot_look reason=%s", error)
                continue
            logger.critical("worker.deaf idle_seconds=%.0f", time.monotonic() - self._worked_at)
            os._exit(DEAF)


def _leave_logging_alone(**_: Any) -> None:
    pass
