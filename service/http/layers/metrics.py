"""Count and time what the HTTP API does, as Prometheus metrics of this server.

No label holds an id, a name or a text: routes are templates, and each label has a fixed set of
values. `service.operate.scrape` has what is only looked up when Prometheus asks.
"""

import functools
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import Scope

NO_ROUTE: Final = "none"
OTHER_METHOD: Final = "other"
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
CLIENT_LEFT: Final = 499
"""The status of a client that left before its answer began; nobody receives it."""

REQUESTS = Counter(
    "nmtune_http_requests_total", "Requests by route template", ["route", "method", "status"]
)
REQUEST_SECONDS = Histogram(
    "nmtune_http_request_seconds",
    "Time from a request's head until its answer began, its body's arrival included",
    ["route", "method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
IN_FLIGHT = Gauge(
    "nmtune_http_requests_in_flight",
    "Requests not yet answered to their end",
    multiprocess_mode="livesum",
)
CONNECTIONS = Gauge(
    "nmtune_connections",
    "Open connections, idle ones included",
    multiprocess_mode="livesum",
)
CLOSED_CONNECTIONS = Counter(
    "nmtune_connections_closed_total",
    "Connections closed by the server before a request",
    ["reason"],
)
ACCEPT_ERRORS = Counter(
    "nmtune_accept_errors_total", "Connections that had to wait, for no descriptor was left"
)
PREDICTION_SECONDS = Histogram(
    "nmtune_prediction_seconds",
    "Time of a prediction from embeddings to probabilities, loading its head included",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
PREDICTED_ROWS = Counter("nmtune_predicted_rows_total", "Embeddings that were classified")
HEAD_CACHE_HITS = Counter("nmtune_head_cache_hits_total", "Predictions whose head was loaded")
HEAD_CACHE_MISSES = Counter("nmtune_head_cache_misses_total", "Heads loaded for a prediction")
HEAD_CACHE_BYTES = Gauge(
    "nmtune_head_cache_bytes",
    "Size of the heads kept loaded; of several processes the most, for they share the arrays",
    multiprocess_mode="livemax",
)
DATABASE_CONNECTIONS = Gauge(
    "nmtune_database_connections",
    "Database connections in use",
    ["pool"],
    multiprocess_mode="livesum",
)


def note(scope: Scope, status: int, seconds: float | None) -> None:
    """Count a request that has come to its end; seconds: until its answer began, if it did."""
    route = _route(scope)
    method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
    _requests(route, method, status).inc()
    if seconds is not None:
        _request_seconds(route, method).observe(seconds)


# The sets of labels are small and fixed; looking one up costs as much as counting.
@functools.cache
def _requests(route: str, method: str, status: int) -> Counter:
    return REQUESTS.labels(route, method, status)


@functools.cache
def _request_seconds(route: str, method: str) -> Histogram:
    return REQUEST_SECONDS.labels(route, method)


def _route(scope: Scope) -> str:
    """The template of the matched route; everything else in a path is the client's choice."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) and path else NO_ROUTE
