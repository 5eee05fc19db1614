"""Check the heads that aliases name, in the background of a start: /readyz tells of broken ones.

Otherwise a damaged file would first show when somebody asks for a prediction, days later.
"""

import logging
import threading
from typing import Final

from nmtune.errors import HeadFormatError
from service.predict.head_sessions import OwnSessions
from service.predict.loaded_heads import LoadedHead
from service.predict.predictor import Predictor
from store.errors import StoreError
from store.registry import heads
from store.registry.heads import HeadVersion
from store.store import Store

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS: Final = 30.0
"""The pause between two checks of broken heads, which somebody may repair; sound ones are left."""


class AliasedHeads:
    """A thread that reads each head that an alias names, runs its self-test, and keeps nothing."""

    def __init__(self, store: Store, predictor: Predictor) -> None:
        self._store = store
        self._predictor = predictor
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._sound: set[tuple[str, str]] = set()

    def start(self) -> None:
        """Start checking; returns at once."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="aliased-heads", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; waits for the head that it is checking."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._look():
                    return
            except StoreError as error:
                logger.warning("heads.not_checked reason=%s", error)
            except Exception:
                logger.exception("heads.check_error")
            self._stopping.wait(LOOK_AGAIN_SECONDS)

    def _look(self) -> bool:
        """Check the heads not yet known to be sound; returns whether all are."""
        with self._store.database.read() as tx:
            found = heads.aliased(tx)
        n_broken = 0
        for reference, version in found:
            if self._stopping.is_set():
                return True
            try:
                self._check(version)
            except (StoreError, HeadFormatError) as error:
                n_broken += 1
                self._predictor.note_broken(reference, version, error)
        logger.info("heads.checked n_references=%d n_broken=%d", len(found), n_broken)
        return n_broken == 0

    def _check(self, version: HeadVersion) -> None:
        """Raise what is wrong with the version's file."""
        from nmtune.heads.head import Head  # torch comes with the first head: see `warming`

        key = (version.tenant_id, version.sha256)
        if key not in self._sound:
            data = self._store.artifacts.get_bytes(version.tenant_id, version.sha256)
            head = Head.from_bytes(data)
            LoadedHead(head, OwnSessions(head, n_threads=1))
            self._sound.add(key)
