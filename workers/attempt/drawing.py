"""Add t-SNE to the map of a job that has succeeded, in a process of its own.

Nobody waits for it: it gives way to the next job, and what a crash loses is the drawing alone.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from store import job_files, transitions
from store.errors import StoreError
from store.job_files import NewJobFile
from store.jobs import Job
from store.states import JobKind
from store.store import Store
from workers.attempt.supervise import Ending, supervise
from workers.folder import LOG, MAP, open_workdir
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)


def draw(
    job: Job,
    undrawn: Mapping[str, bytes],
    command: list[str],
    *,
    environment: Mapping[str, str],
    store: Store,
    settings: WorkerSettings,
    stopping: threading.Event,
) -> None:
    """Draw the map of a job that has ended, for `settings.map_seconds` at most, and store it.

    undrawn: the files that the process needs, by name. It ends early when `stopping` is set or a
    job is due that this slot could take. Raises nothing of its own: a job that has succeeded stays
    so.
    """
    should_stop = _Patience(store, settings, stopping)
    try:
        with open_workdir(settings.work_dir, f"{job.id}.map") as workdir:
            for name, data in undrawn.items():
                workdir.write_bytes(name, data)
            outcome = supervise(
                [*command, str(workdir.path)],
                receive=_ignore,
                should_stop=should_stop,
                log_path=workdir / LOG,
                environment=environment,
                memory_limit=settings.memory_limit,
            )
            drawn = workdir.read_bytes(MAP)
        if outcome.ending is Ending.FAILED:
            logger.error("map.failed job_id=%s log=%s", job.id, outcome.log_tail)
        if drawn != undrawn[MAP]:
            _store(job, drawn, store)
        logger.info(
            "map.end job_id=%s ending=%s is_drawn=%s",
            *(job.id, outcome.ending, drawn != undrawn[MAP]),
        )
    except (StoreError, OSError) as error:
        logger.warning("map.not_drawn job_id=%s reason=%s", job.id, error)


def _store(job: Job, drawn: bytes, store: Store) -> None:
    """Bytes first, then the row; nothing, if the map was removed meanwhile."""
    reference = store.artifacts.put_bytes(job.tenant_id, drawn)
    new = NewJobFile(name=job_files.MAP, sha256=reference.sha256, size_bytes=reference.size_bytes)
    with store.database.begin() as tx:
        job_files.replace(tx, job.tenant_id, job.id, new)


class _Patience:
    """Says when to stop drawing: at the time limit, with the worker, or for another job."""

    def __init__(self, store: Store, settings: WorkerSettings, stopping: threading.Event) -> None:
        self._store = store
        self._settings = settings
        self._stopping = stopping
        self._stop_at = time.monotonic() + settings.map_seconds
        self._look_at = 0.0
        # Predictions have slots of their own, unless the settings say otherwise.
        self._kind = JobKind.TRAINING if settings.prediction_slots else None

    def __call__(self) -> Ending | None:
        if self._stopping.is_set() or time.monotonic() >= self._stop_at or self._is_wanted():
            return Ending.STOPPING
        return None

    def _is_wanted(self) -> bool:
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + self._settings.poll_seconds
        with self._store.database.read() as tx:
            return any(
                transitions.due(tx, queue, limit=1, kind=self._kind)
                for queue in self._settings.queues
            )


def _ignore(message: dict[str, Any]) -> None:
    """The process has nothing to say."""
