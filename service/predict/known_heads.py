"""Remember which version a reference names, also while the database is away."""

import logging
import threading
import time
from collections import OrderedDict
from typing import Final, NamedTuple

from store.errors import DatabaseUnavailable, NotFound, StoreError
from store.registry import heads
from store.registry.heads import HeadVersion
from store.store import Store

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 2.0
"""How long to wait before asking again a database that was away."""

MOST: Final = 10_000
"""How many references are remembered; the least recently used go first."""


class Known(NamedTuple):
    """A head version, and whether it is what the reference named before the database went away."""

    version: HeadVersion
    is_remembered: bool


class KnownHeads:
    """Asks the database what a reference names, and remembers it for when the database is away.

    Then one request at a time tries it again, and the others use what is remembered. An answer is
    fresh for `fresh_seconds`, or until this process moves an alias.
    """

    def __init__(self, store: Store, *, fresh_seconds: float = 0.0) -> None:
        self._store = store
        self._fresh_seconds = fresh_seconds
        self._recent: OrderedDict[tuple[str, str], tuple[Known, float]] = OrderedDict()
        self._n_forgotten = 0
        self._known: OrderedDict[tuple[str, str], HeadVersion] = OrderedDict()
        self._lock = threading.Lock()
        self._trying = threading.Lock()
        self._away_until = 0.0

    def recent(self, tenant_id: str, reference: str) -> tuple[Known, bool] | None:
        """A fresh answer, and whether it is time to ask again; never waits.

        It is time after half of `fresh_seconds`, so that no request waits for the database.
        """
        found = self._recent.get((tenant_id, reference))
        if found is None:
            return None
        known, found_at = found
        age = time.monotonic() - found_at
        return (known, age > self._fresh_seconds / 2) if age < self._fresh_seconds else None

    def forget(self) -> None:
        """Forget all answers: an alias was moved or a version published."""
        with self._lock:
            self._n_forgotten += 1
            self._recent.clear()

    def resolve(self, tenant_id: str, reference: str) -> Known:
        """Ask the database, or use what is remembered.

        Raises NotFound, InvalidReference, and DatabaseUnavailable if nothing is remembered.
        """
        key, n_forgotten, now = (tenant_id, reference), self._n_forgotten, time.monotonic()
        try:
            known = self._resolve(key)
        except StoreError:
            with self._lock:
                self._recent.pop(key, None)
            raise
        with self._lock:
            if n_forgotten == self._n_forgotten and self._fresh_seconds > 0:
                self._recent[key] = known, now
                self._recent.move_to_end(key)
                while len(self._recent) > MOST:
                    self._recent.popitem(last=False)
        return known

    def _resolve(self, key: tuple[str, str]) -> Known:
        with self._lock:
            known = self._known.get(key)
        if known is None or not self._away_until:
            return self._ask(key, known)
        if time.monotonic() < self._away_until or not self._trying.acquire(blocking=False):
            return Known(known, is_remembered=True)
        try:
            return self._ask(key, known)
        finally:
            self._trying.release()

    def _ask(self, key: tuple[str, str], known: HeadVersion | None) -> Known:
        try:
            with self._store.database.read() as tx:
                version = heads.resolve(tx, *key)
        except DatabaseUnavailable:
            self._away_until = time.monotonic() + RETRY_SECONDS
            if known is None:
                raise
            logger.warning("heads.remembered reference=%s", key[1])
            return Known(known, is_remembered=True)
        except NotFound:  # deleted, so it must not come back while the database is away
            with self._lock:
                self._known.pop(key, None)
            raise
        self._away_until = 0.0
        with self._lock:
            self._known[key] = version
            self._known.move_to_end(key)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return Known(version, is_remembered=False)
