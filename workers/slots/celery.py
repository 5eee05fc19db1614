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
from store.jobs import Job
from store.store import Store
from workers.attempt.run import run_claimed, standby_of
from workers.attempt.standby import Standby
from workers.doorbell.app import TASK, make_app
from workers.doorbell.queue import CeleryQueue
from workers.folder import remove_abandoned
from workers.settings import WorkerSettings
from workers.slots.prediction import PredictionSlots
from workers.slots.storage_gate import StorageGate
from workers.slots.sweep import Sweeper

logger = logging.getLogger(__name__)

DEAF = 1  # exit status of a worker that does not hear its broker


class CeleryWorker:
    """Takes rings from the broker and works, in as many threads as there are slots.

    A ring names a job, but says no more than that there is work: a slot takes whichever job is
    first by priority and fair share, and goes on until none is due. Pool threads live as long as
    the worker, which the kernel's tie between a training process and its parent thread needs.
    The slots that predict files alone look at the rows by themselves: no message is needed, nor a
    queue of another name.
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
        )
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._gate = StorageGate(store.artifacts)
        self._predictions = PredictionSlots(
            store, settings, self._stopping, self._stopping.wait, self._gate
        )
        self._own = threading.local()  # each pool thread's slot and standby
        self._standbys: list[Standby] = []
        self._slots = iter(range(settings.slots))
        self._busy: set[int] = set()
        self._worked_at = time.monotonic()

    def run(self) -> int:
        """Work until SIGTERM or SIGINT, hand the jobs back, and return the exit status."""
        n_removed = remove_abandoned(self._settings.work_dir)
        settings = self._settings
        logger.info(
            "worker.start slots=%d queues=%s n_removed=%d",
            *(settings.slots, ",".join(settings.queues), n_removed),
        )
        # Celery would set up logging of its own, and says by this signal that it was told to stop.
        signals.setup_logging.connect(_leave_logging_alone)
        signals.worker_shutting_down.connect(self._on_shutting_down)
        for helper in (self._queue, self._sweeper, self._watchdog, self._predictions):
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
        finally:  # also where it is told to stop while it starts
            self._stopping.set()
            self._predictions.join()
            self._queue.stop()
            self._sweeper.stop()
            logger.info("worker.stop")
        return int(worker.exitcode or 0)

    def _on_shutting_down(self, **_: Any) -> None:
        self._stopping.set()

    def _run_job(self, job_id: str) -> None:
        slot, standby = self._of_this_thread()
        self._busy.add(slot)
        try:
            logger.debug("worker.rung job_id=%s slot=%d", job_id, slot)
            while not self._stopping.is_set():
                job = self._claim(slot)
                self._worked_at = time.monotonic()
                if job is None:
                    return
                ended = run_claimed(
                    job,
                    store=self._store,
                    settings=self._settings,
                    stopping=self._stopping,
                    slot=slot,
                    standby=standby,
                )
                self._gate.note(ended)
        except StoreError as error:
            logger.warning("worker.claim_failed reason=%s", error)
        finally:
            if standby is not None:
                standby.close() if self._stopping.is_set() else standby.prepare()
            self._worked_at = time.monotonic()
            self._busy.discard(slot)

    def _of_this_thread(self) -> tuple[int, Standby | None]:
        """Its slot, for as long as it lives, and the standby that the kernel ties to it."""
        if not hasattr(self._own, "slot"):
            self._own.slot = next(self._slots)
            self._own.standby = standby_of(self._settings, self._own.slot)
            if self._own.standby is not None:
                self._standbys.append(self._own.standby)
        return self._own.slot, self._own.standby

    def _claim(self, slot: int) -> Job | None:
        if not self._gate.is_open():
            return None
        with self._store.database.begin() as tx:
            return transitions.claim_next(
                tx,
                worker=f"{socket.gethostname()}:{os.getpid()}:{slot}",
                lease_seconds=self._settings.lease_seconds,
                queues=self._settings.queues,
            )

    def _watch(self) -> None:
        """End the standbys that waited too long, and the process if it is deaf.

        It is if it is idle, work is due, and the broker answers.

        Clients of brokers have lost their subscription without noticing, more than once; a new
        process is the remedy, and an idle one has nothing to lose.
        """
        patience = self._settings.deaf_seconds
        while not self._stopping.wait(patience / 4):
            for standby in list(self._standbys):
                standby.retire()
            if self._busy or time.monotonic() - self._worked_at < patience:
                continue
            try:
                with self._store.database.read() as tx:
                    due = [transitions.due(tx, name, limit=1) for name in self._settings.queues]
                if not any(due):
                    self._worked_at = time.monotonic()
                    continue
                self._queue.ping()
            except Exception as error:  # noqa: BLE001  # away: a new process is no remedy
                logger.debug("watchdog.cannot_look reason=%s", error)
                continue
            logger.critical("worker.deaf idle_seconds=%.0f", time.monotonic() - self._worked_at)
            os._exit(DEAF)


def _leave_logging_alone(**_: Any) -> None:
    pass
