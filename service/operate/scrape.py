"""Answer Prometheus: ask the store, and write all metrics as text.

The backlog is one statement, run at most once in `MAX_AGE_SECONDS` however often Prometheus asks. A
scrape does not fail while the database is away: `nmtune_database_up` says so.
"""

import asyncio
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from nmtune.version import __version__
from service.http.layers import metrics
from service.operate import metric_files
from store import backlog
from store.backlog import Backlog
from store.errors import StoreError
from store.store import Store

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
MAX_AGE_SECONDS: Final = 5.0
NOTE_SECONDS: Final = 1.0
"""How old may be what another process of the server says of its database connections."""


class Scrape(Collector):
    """Metrics of one application's store, read anew at each scrape, beside those counted."""

    def __init__(self, store: Store, *, folder: Path | None = None) -> None:
        """folder: where all processes of this server count; None: it has one process."""
        self._counted = REGISTRY if folder is None else metric_files.registry(folder)
        self._store = store
        self._lock = threading.Lock()
        self._backlog: Backlog | None = None
        self._read_at = float("-inf")
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self.note_connections()

    def text(self) -> bytes:
        """All metrics of this server, in Prometheus' text format."""
        self.note_connections()
        return generate_latest(self._counted) + generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics that are looked up rather than counted."""
        build = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("nmtune_build", "Version of the service", value=build)
        yield from _of_backlog(self._fresh_backlog())

    def note_connections(self) -> None:
        """Set the gauge of database connections to what this process has now."""
        for pool, n_in_use in self._store.database.connections_in_use().items():
            metrics.DATABASE_CONNECTIONS.labels(pool).set(n_in_use)

    async def keep_noting(self) -> None:
        """Note the connections for scrapes that another process answers, until cancelled."""
        while True:
            self.note_connections()
            await asyncio.sleep(NOTE_SECONDS)

    def _fresh_backlog(self) -> Backlog | None:
        with self._lock:
            if time.monotonic() - self._read_at > MAX_AGE_SECONDS:
                try:
                    with self._store.database.read() as tx:
                        self._backlog = backlog.read(tx)
                except StoreError:
                    self._backlog = None
                self._read_at = time.monotonic()
            return self._backlog


def _of_backlog(found: Backlog | None) -> Iterator[Metric]:
    up = "Whether the database answered when it was asked last"
    yield GaugeMetricFamily("nmtune_database_up", up, value=float(found is not None))
    if found is None:
        return
    jobs = GaugeMetricFamily("nmtune_jobs", "Unfinished jobs", labels=["queue", "status"])
    for status, by_queue in (("queued", found.n_queued), ("running", found.n_running)):
        for queue, n in by_queue.items():
            jobs.add_metric([queue, status], n)
    yield jobs
    oldest = GaugeMetricFamily(
        "nmtune_oldest_queued_job_seconds",
        "Time since the oldest queued job was submitted; 0 if none is queued",
        labels=["queue"],
    )
    for queue, seconds in found.oldest_queued_seconds.items():
        oldest.add_metric([queue], seconds)
    yield oldest
    if found.shortest_lease_seconds is not None:
        yield GaugeMetricFamily(
            "nmtune_shortest_lease_seconds",
            "Time until the first lease runs out; negative if it has and no sweep came",
            value=found.shortest_lease_seconds,
        )
