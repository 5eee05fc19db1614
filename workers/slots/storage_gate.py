"""A gate that keeps a worker from taking jobs whose results could not be stored."""

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
    """Closed while the storage is not writable; shared by all slots of a worker.

    A slot asks it before each claim. It checks the storage when the worker starts, after an attempt
    without a result, and every ten seconds while closed: meanwhile jobs wait in the queue without
    using up attempts.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._lock = threading.Lock()
        self._is_open = False
        self._look_at = 0.0

    def is_open(self) -> bool:
        """Whether a job may be claimed; checks the storage if that is due."""
        with self._lock:
            if not self._is_open and time.monotonic() >= self._look_at:
                self._look()
            return self._is_open

    def note(self, ended: Job | None) -> None:
        """Note how an attempt ended; after one without a result, check before the next."""
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
