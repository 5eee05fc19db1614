"""The doorbell over a broker, rung from a thread of its own."""

import logging
import threading
from collections import deque

from celery import Celery

from store import transitions
from store.errors import StoreError
from store.jobs import QUEUES
from store.store import Store
from workers import metrics
from workers.doorbell.app import EXPIRES_SECONDS, TASK

logger = logging.getLogger(__name__)

MAX_WAITING = 1000  # rings that wait for a broker that is away; the rows have all jobs
MAX_REMINDERS = 16  # for a queue at a time: a slot once awake works until no job is due
CLOSE_SECONDS = 2.0


class CeleryQueue:
    """Rings for jobs through Celery; a broker that is down or frozen delays nobody.

    `send` only notes the ring; a thread publishes it. Every `remind_seconds` the thread also looks
    for due jobs while the broker holds no ring for their queue, and rings for the first few: so
    idle workers wake up even if messages were lost.
    """

    def __init__(self, app: Celery, store: Store, *, remind_seconds: float = 5.0) -> None:
        self._app = app
        self._store = store
        self._remind_seconds = remind_seconds
        self._waiting: deque[tuple[str, str]] = deque(maxlen=MAX_WAITING)
        self._rung = threading.Event()
        self._closing = threading.Event()
        self._is_down = False
        self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; wait at most two seconds if it is waiting for the broker."""
        self._closing.set()
        self._rung.set()
        self._thread.join(CLOSE_SECONDS)

    def send(self, job_id: str, queue: str) -> None:
        """Note the ring; returns at once."""
        self._waiting.append((job_id, queue))
        self._rung.set()

    def ping(self) -> None:
        """Return if the broker answers, else raise the error of its client."""
        with self._app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, timeout=2, reraise_as_library_errors=False)
            connection.default_channel.client.ping()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._rung.wait(self._remind_seconds)
            self._rung.clear()
            try:
                if self._waiting:
                    self._publish_waiting()
                else:
                    self._remind()
            except StoreError as error:
                logger.warning("doorbell.remind_failed reason=%s", error)
            except Exception as error:  # noqa: BLE001  # the client has many error classes
                metrics.DOORBELL_ERRORS.inc()
                self._waiting.clear()
                if not self._is_down:
                    logger.warning("doorbell.broker_away reason=%s", type(error).__name__)
                self._is_down = True
                self._closing.wait(1.0)
            else:
                if self._is_down:
                    logger.info("doorbell.broker_back")
                self._is_down = False

    def _publish_waiting(self) -> None:
        while self._waiting and not self._closing.is_set():
            job_id, queue = self._waiting.popleft()
            self._publish(job_id, queue)

    def _remind(self) -> None:
        with self._store.database.read() as tx:
            due = {name: transitions.due(tx, name, limit=MAX_REMINDERS) for name in QUEUES}
        for name, job_ids in due.items():
            if job_ids and self._n_at_broker(name) == 0:
                for job_id in job_ids:
                    self._publish(job_id, name)

    def _publish(self, job_id: str, queue: str) -> None:
        self._app.send_task(TASK, args=[job_id], queue=queue, expires=EXPIRES_SECONDS, retry=False)

    def _n_at_broker(self, queue: str) -> int:
        with self._app.connection_for_write() as connection:
            return int(connection.default_channel.client.llen(queue))
