"""Answer Prometheus: ask the store and the head cache, and write all metrics as text.

The backlog is one statement, run at most once in `MAX_AGE_SECONDS` however often Prometheus asks. A
scrape does not fail while the database is away: `nmtune_database_up` says so.
"""

import platform
import threading
import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from nmtune.version import __version__
from service.predict.loaded_heads import HeadCache
from store import backlog
from store.backlog import Backlog
from store.errors import StoreError
from store.store import Store

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
MAX_AGE_SECONDS: Final = 5.0


class Scrape(Collector):
    """Metrics of one application's store and head cache, read anew at each scrape."""

    def __init__(self, store: Store, cache: HeadCache) -> None:
        self._store = store
        self._cache = cache
        self._lock = threading.Lock()
        self._backlog: Backlog | None = None
        self._read_at = float("-inf")
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """All metrics of this process and this application, in Prometheus' text format."""
        return generate_latest(REGISTRY) + generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics that are looked up rather than counted."""
        build = {"version": __version__, "python": platform.python_version()}
        yield InfoMetricFamily("nmtune_build", "Version of the service", value=build)
        yield from self._of_cache()
        connections = GaugeMetricFamily(
            "nmtune_database_connections", "Database connections in use", labels=["pool"]
        )
        for pool, n_in_use in self._store.database.connections_in_use().items():
            connections.add_metric([pool], n_in_use)
        yield connections
        yield from _of_backlog(self._fresh_backlog())

    def _of_cache(self) -> Iterator[Metric]:
        cache = self._cache
        yield CounterMetricFamily(
            "nmtune_head_cache_hits", "Predictions whose head was loaded", value=cache.n_hits
        )
        yield CounterMetricFamily(
            "nmtune_head_cache_misses", "Heads loaded for a prediction", value=cache.n_misses
        )
        yield GaugeMetricFamily(
            "nmtune_head_cache_bytes", "Size of the heads kept loaded", value=cache.n_bytes
        )

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
