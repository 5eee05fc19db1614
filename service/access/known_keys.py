"""Remember keys that were verified, so that a request with one makes no query.

The database counts, for each tenant, the changes that take something from a key. Twice a second at
most this count is read beside the requests; while it stands still every remembered key is as good
as it was. So a revocation in another process holds within a second, whatever the number of keys.
"""

import asyncio
import hashlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from datetime import datetime
from typing import Any, Final

from anyio import CapacityLimiter, to_thread

from service.http.identity import Identity
from store.access import keys, scopes, secrets, tenants
from store.access.keys import ApiKey, Found
from store.errors import DatabaseUnavailable, StoreError
from store.store import Store

logger = logging.getLogger(__name__)

FRESH_SECONDS: Final = 1.0
"""How long the counts are trusted; a revocation elsewhere holds by then."""
TRUSTED_SECONDS: Final = 300.0
"""How long a key goes on for predictions while the database is away."""
RETRY_SECONDS: Final = 2.0
"""How long to wait before asking again a database that was away."""
MOST: Final = 10_000
"""How many keys are remembered; the least recently verified go first."""

_AT_ONCE: Final = 8
"""Threads that may look keys up at a time, beside those of the routes."""


class Refused(Exception):  # noqa: N818  it is said of a key
    """The key is not good; `key` is the expired key, or that of a tenant that is shut out."""

    def __init__(self, key: ApiKey | None = None, *, tenant_disabled: bool = False) -> None:
        super().__init__()
        self.key = key
        self.tenant_disabled = tenant_disabled


class _Known:
    __slots__ = ("ends_at", "identity", "key_changes", "noted_at")

    def __init__(self, found: Found, *, noted_at: float) -> None:
        key = found.key
        self.identity = Identity(
            key.tenant_id,
            key.id,
            scopes.held(key.scopes),
            None if key.heads is None else frozenset(key.heads),
        )
        self.key_changes = found.key_changes
        self.ends_at = math.inf if key.expires_at is None else key.expires_at.timestamp()
        self.noted_at = noted_at


class KnownKeys:
    """Finds out whose a key is. All but `forget` belongs to the event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._key_changes: Mapping[str, int] = {}
        self._looked_at = -math.inf
        self._clock_ahead = 0.0
        """The database's clock less this process's monotonic one, in seconds."""
        self._n_forgotten = 0
        self._n_forgotten_then = 0
        """`_n_forgotten` when the counts were asked for: if it has grown they are worthless."""
        self._away_until = 0.0
        self._limiter = CapacityLimiter(_AT_ONCE)
        self._look: asyncio.Task[None] | None = None
        self._beside: set[asyncio.Task[None]] = set()

    def forget(self) -> None:
        """Trust no count read so far: a key was revoked or rotated in this process."""
        self._n_forgotten += 1

    def is_known(self, secret: str) -> bool:
        """Whether the key was verified before and may be asked for at no cost to anyone."""
        return secrets.sha256_of(secret) in self._known

    def at_once(self, key: bytes) -> Identity | None:
        """Whose the key is, if it is known and nothing needs to be done about it: the usual case.

        A prediction of one row would notice what `find` costs more.
        """
        known = self._known.get(hashlib.sha256(key).hexdigest())
        if known is None or self._n_forgotten_then != self._n_forgotten:
            return None
        at = time.monotonic()
        if (
            at - self._looked_at > FRESH_SECONDS / 2
            or at - known.noted_at > keys.USE_NOTED_SECONDS
            or at + self._clock_ahead >= known.ends_at
            or self._key_changes.get(known.identity.tenant_id) != known.key_changes
        ):
            return None
        return known.identity

    async def find(self, secret: str, *, predicts: bool) -> Identity:
        """Whose the key is. `predicts`: for a prediction, which may do with what is remembered.

        Raises Refused; DatabaseUnavailable if the database is away and the key is not known.
        """
        sha256 = secrets.sha256_of(secret)
        known = self._known.get(sha256)
        age = self._age()
        if known is None:
            known = await self._asked(sha256)
        elif age >= FRESH_SECONDS:
            known = await self._stale(sha256, known, predicts=predicts)
        else:
            if age > FRESH_SECONDS / 2:
                self._start_look()
            if not self._is_good(known):
                known = await self._asked(sha256)
        at = time.monotonic()
        if at - known.noted_at > keys.USE_NOTED_SECONDS:
            known.noted_at = at
            self._run_beside(self._note_used(known.identity))
        return known.identity

    def _age(self) -> float:
        """Seconds since the counts were asked for."""
        if self._n_forgotten_then != self._n_forgotten:
            return math.inf
        return time.monotonic() - self._looked_at

    def _is_good(self, known: _Known) -> bool:
        return (
            self._key_changes.get(known.identity.tenant_id) == known.key_changes
            and time.monotonic() + self._clock_ahead < known.ends_at
        )

    async def _stale(self, sha256: str, known: _Known, *, predicts: bool) -> _Known:
        """A known key after a pause: the counts must be read first. A prediction waits for them
        for a second at most."""
        self._start_look()
        if self._look is not None and not self._is_away():
            await asyncio.wait({self._look}, timeout=FRESH_SECONDS if predicts else None)
        age = self._age()
        if age < FRESH_SECONDS:
            return known if self._is_good(known) else await self._asked(sha256)
        if self._look is None or (self._look.done() and not self._is_away()):
            return await self._asked(sha256)  # a key was revoked here while the look went on
        if not predicts or age > TRUSTED_SECONDS or not self._is_good(known):
            raise DatabaseUnavailable("The database cannot answer, so keys cannot be verified.")
        return known

    async def _asked(self, sha256: str) -> _Known:
        """The key as the database has it."""
        if self._is_away():
            raise DatabaseUnavailable("The database cannot answer, so keys cannot be verified.")
        n_forgotten, began = self._n_forgotten, time.monotonic()
        try:
            changes, now, found = await to_thread.run_sync(
                self._read, sha256, limiter=self._limiter
            )
        except DatabaseUnavailable:
            self._away_until = time.monotonic() + RETRY_SECONDS
            raise
        if found is None or found.key.revoked_at is not None:
            self._known.pop(sha256, None)
            raise Refused
        if not found.key.is_active(now) or found.tenant_disabled:
            self._known.pop(sha256, None)
            raise Refused(found.key, tenant_disabled=found.tenant_disabled)
        used_at = found.key.last_used_at
        age = math.inf if used_at is None else (now - used_at).total_seconds()
        known = _Known(found, noted_at=began - age)
        self._learn(changes, now, began, n_forgotten)
        self._known[sha256] = known
        self._known.move_to_end(sha256)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return known

    def _read(self, sha256: str) -> tuple[Mapping[str, int], datetime, Found | None]:
        with self._store.database.read() as tx:
            return *tenants.key_changes(tx), keys.find(tx, sha256)

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _start_look(self) -> None:
        """Read the counts beside the requests, unless that is going on already."""
        if (self._look is None or self._look.done()) and not self._is_away():
            self._look = self._run_beside(self._look_again())

    async def _look_again(self) -> None:
        n_forgotten, began = self._n_forgotten, time.monotonic()
        try:
            changes, now = await to_thread.run_sync(self._read_changes, limiter=self._limiter)
        except StoreError as error:
            self._away_until = time.monotonic() + RETRY_SECONDS
            logger.warning("keys.remembered reason=%s", error)
            return
        self._learn(changes, now, began, n_forgotten)

    def _learn(
        self, changes: Mapping[str, int], now: datetime, began: float, n_forgotten: int
    ) -> None:
        self._n_forgotten_then = n_forgotten
        self._key_changes = changes
        self._looked_at = began
        self._clock_ahead = now.timestamp() - began
        self._away_until = 0.0

    def _read_changes(self) -> tuple[Mapping[str, int], datetime]:
        with self._store.database.read() as tx:
            return tenants.key_changes(tx)

    async def _note_used(self, identity: Identity) -> None:
        try:
            await to_thread.run_sync(self._write_used, identity, limiter=self._limiter)
        except StoreError as error:
            logger.warning("keys.use_not_noted reason=%s", error)

    def _write_used(self, identity: Identity) -> None:
        if identity.key_id is not None:
            with self._store.database.begin() as tx:
                keys.note_used(tx, identity.tenant_id, identity.key_id)

    def _run_beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task
