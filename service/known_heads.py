"""The home of KnownHeads: which version a reference names, also while the database is away."""

import logging
import threading
import time
from collections import OrderedDict
from typing import Final, NamedTuple

from store import heads
from store.errors import DatabaseUnavailable
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
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[tuple[str, str], HeadVersion] = OrderedDict()
        self._lock = threading.Lock()
        self._trying = threading.Lock()
        self._away_until = 0.0

    def resolve(self, tenant_id: str, reference: str) -> Known:
        """The version; raises NotFound, InvalidReference, and DatabaseUnavailable if not known."""
        key = (tenant_id, reference)
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
        self._away_until = 0.0
        with self._lock:
            self._known[key] = version
            self._known.move_to_end(key)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return Known(version, is_remembered=False)
