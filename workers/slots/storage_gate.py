"""Whether a worker may take jobs: not while what they make could not be stored."""

import logging
import threading
import time
from typing import Final

from store.bytes.port import Artifacts
from store.errors import StorageUnavailable
from store.jobs import Job
from store.states import JobStatus

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS: Final = 10.0


class StorageGate:
    """Closed while the storage cannot be written; shared by all slots of a worker.

    Asked before a claim. The storage is looked at when the worker starts and after an attempt that
    brought nothing, and while the gate is closed every ten seconds: jobs wait in the queue then,
    and no attempt is spent on them.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._lock = threading.Lock()
        self._is_open = False
        self._look_at = 0.0

    def is_open(self) -> bool:
        """Whether a job may be claimed; looks at the storage if that is due."""
        with self._lock:
            if not self._is_open and time.monotonic() >= self._look_at:
                self._look()
            return self._is_open

    def note(self, ended: Job | None) -> None:
        """An attempt has ended so; one that brought nothing is reason to look before the next."""
        if ended is not None and ended.status in (JobStatus.QUEUED, JobStatus.FAILED):
            with self._lock:
                self._is_open, self._look_at = False, 0.0

    def _look(self) -> None:
        try:
            self._artifacts.check()
        except StorageUnavailable as error:
            logger.warning("worker.waits_for_storage reason=%s", error)
            self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS
        else:
            self._is_open = True
