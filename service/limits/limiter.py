"""Whose limits hold: the allowances of all tenants, kept up to date beside the requests.

What is counted here goes into the table every few seconds, and at an orderly end; the same thread
reads what other processes stored, and the limits that the operator changed. A known tenant costs a
request no query.
"""

import logging
import threading
from typing import TYPE_CHECKING, Final

from anyio import CapacityLimiter, to_thread

from service.http.identity import Identity
from service.limits.allowance import NO_COUNTS, Allowance
from store.access import quotas, tenants, usage
from store.access.limits import Limits
from store.access.usage import Kind
from store.database.clock import read_clock
from store.errors import StoreError
from store.store import Store

if TYPE_CHECKING:
    from service.limits.shared_buckets import SharedBuckets

logger = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 5.0
_AT_ONCE: Final = 2
"""Threads that may look tenants up at a time, beside those of the routes."""


class Limiter:
    """The limits of one application. All but `count` and `close` belongs to the event loop."""

    def __init__(
        self,
        store: Store,
        defaults: Limits,
        *,
        burst_seconds: float,
        flush_seconds: float,
        shared: "SharedBuckets | None" = None,
    ) -> None:
        """defaults: of a tenant that has none of its own. shared: buckets of all processes."""
        self._store = store
        self.defaults = defaults
        self._burst_seconds = burst_seconds
        self._flush_seconds = flush_seconds
        self._shared = shared
        self._known: dict[str, Allowance] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lookups = CapacityLimiter(_AT_ONCE)

    def known(self, identity: Identity) -> Allowance | None:
        """The allowance of who asks, if the tenant is known: nearly always."""
        return self._known.get(identity.tenant_id)

    async def of(self, identity: Identity) -> Allowance:
        """The allowance of who asks; a tenant that is new here costs a look into the database."""
        found = self._known.get(identity.tenant_id)
        if found is not None:
            return found
        made = self._allowance(identity.tenant_id)
        try:
            await to_thread.run_sync(self._read, [made], limiter=self._lookups)
        except StoreError as error:  # the settings' limits hold until the next refresh
            logger.warning("limits.not_read reason=%s", error)
        return self._known.setdefault(identity.tenant_id, made)

    def count(self, allowance: Allowance, kind: Kind, n: int) -> None:
        """Note what was used. From any thread."""
        with self._lock:
            allowance.counted[kind] = allowance.counted.get(kind, 0) + n

    def start(self) -> None:
        """Begin to store what is counted, and to follow what others store."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="limits", daemon=True)
            self._thread.start()

    async def close(self) -> None:
        """Store what was counted, end the thread and the connections."""
        self._stopping.set()
        thread = self._thread
        if thread is not None:
            await to_thread.run_sync(thread.join, CLOSE_SECONDS)
        if self._shared is not None:
            await self._shared.close()

    def refresh(self) -> None:
        """Store what was counted, and read what others stored and what the limits are now."""
        everyone = list(self._known.values())
        if not everyone:
            return
        try:
            self._flush(everyone)
            self._read(everyone)
        except StoreError as error:
            logger.warning("limits.kept reason=%s", error)

    def _allowance(self, tenant_id: str) -> Allowance:
        return Allowance(
            tenant_id, self.defaults, burst_seconds=self._burst_seconds, shared=self._shared
        )

    def _flush(self, everyone: list[Allowance]) -> None:
        """Store the counts, all or none: what is not stored is counted on."""
        with self._lock:
            taken = {one.tenant_id: dict(one.counted) for one in everyone if one.counted}
        if not taken:
            return
        with self._store.database.begin() as tx:
            at = read_clock(tx)
            for tenant_id, counts in sorted(taken.items()):  # in one order, so that none deadlocks
                if not tenants.is_there(tx, tenant_id):
                    continue  # deleted meanwhile
                for kind, n in sorted(counts.items()):
                    usage.add(tx, tenant_id, kind, n, at=at)
        with self._lock:
            for one in everyone:
                for kind, n in taken.get(one.tenant_id, {}).items():
                    one.counted[kind] -= n
                    one.used_before = {**one.used_before, kind: one.used_before[kind] + n}

    def _read(self, everyone: list[Allowance]) -> None:
        names = [one.tenant_id for one in everyone]
        with self._store.database.read() as tx:
            own = tenants.limits_of(tx, names)
            used = usage.of_month(tx, names, usage.month_of(read_clock(tx)))
            limits = {name: self.defaults.overridden(own.get(name)) for name in names}
            waiting = {
                name: quotas.rows_waiting(tx, name)
                for name in names
                if limits[name].predicted_rows_per_month is not None
            }
        for one in everyone:
            one.used_before = used.get(one.tenant_id, NO_COUNTS)
            one.rows_waiting = waiting.get(one.tenant_id, 0)
            one.follow(limits[one.tenant_id], self._burst_seconds)

    def _run(self) -> None:
        while not self._stopping.wait(self._flush_seconds):
            self._try()
        self._try()

    def _try(self) -> None:
        try:
            self.refresh()
        except Exception:  # a bug here must not end the thread, nor touch a request
            logger.exception("limits.failed")
