"""The home of KnownHeads: which version a reference names, also while the database is away."""

import logging
import threading
import time
from collections import OrderedDict
from typing import Final, NamedTuple

from store import heads
from store.errors import DatabaseUnavailable, NotFound, StoreError
from store.heads import HeadVersion
from store.store import Store

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 2.0
"""How long a database that was away is not asked again."""

MOST: Final = 10_000
"""References remembered; those asked for longest ago go first."""


class Known(NamedTuple):
    """A head version, and whether it is what the reference named before the database went away."""

    version: HeadVersion
    is_remembered: bool


class KnownHeads:
    """Asks the database what a reference names, and remembers it for when that cannot answer.

    While it is away one request at a time tries it again; the others go by what is remembered.
    What was found holds for `fresh_seconds`, or until this process moves an alias.
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
        """What was found within `fresh_seconds`, and whether it is time to ask again; no waiting.

        That time is half of them, so that under load nobody has to wait for the database.
        """
        found = self._recent.get((tenant_id, reference))
        if found is None:
            return None
        known, found_at = found
        age = time.monotonic() - found_at
        return (known, age > self._fresh_seconds / 2) if age < self._fresh_seconds else None

    def forget(self) -> None:
        """An alias was moved or a version published: ask the database before the next answer."""
        with self._lock:
            self._n_forgotten += 1
            self._recent.clear()

    def resolve(self, tenant_id: str, reference: str) -> Known:
        """Ask the database, or go by what is remembered.

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
        except NotFound:  # deleted: nor must it come back while the database is away
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
