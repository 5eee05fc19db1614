"""A worker's counts and times, as Prometheus metrics of this process.

They are in prometheus_client's registry of the process, so an API in the same process shows them at
its /metrics; a worker without an API has a port of its own (`served`). No label holds an id, a name
or a text: each has a fixed set of values.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from nmtune.vocabulary import METHODS
from store.jobs import Job
from store.states import JobKind, JobStatus
from store.transitions import SweepResult
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

STAGES: Final = (
    *("embedding", "loading", "training", "predicting", "comparing"),
    *("evaluating", "spectra", "publishing"),
)
KINDS: Final = (*METHODS, JobKind.PREDICTION.value, JobKind.MIGRATION.value)
"""The kinds of attempts: a training by its method, the prediction of a dataset, a migration."""
LEASE_LOST, ERROR = "lease_lost", "error"
ENDS: Final = (
    JobStatus.SUCCEEDED.value,
    JobStatus.FAILED.value,
    JobStatus.CANCELLED.value,
    JobStatus.QUEUED.value,
    LEASE_LOST,
    ERROR,
)
"""How an attempt ends; `queued`: the job was handed back for another attempt."""
OTHER: Final = "other"
"""The label for values outside the sets, so that the sets stay fixed."""

_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200)

RUNNING = Gauge(
    "nmtune_worker_running_jobs",
    "Jobs that this process is working on",
    multiprocess_mode="livesum",
)
ATTEMPT_SECONDS = Histogram(
    "nmtune_attempt_seconds",
    "Time of an attempt from its claim to its end; end=queued was handed back",
    ["method", "end"],
    buckets=_SECONDS,
)
STAGE_SECONDS = Histogram(
    "nmtune_stage_seconds",
    "Time of one stage of an attempt, whether or not the attempt went on from it",
    ["method", "stage"],
    buckets=_SECONDS,
)
ATTEMPTS = Counter("nmtune_attempts_total", "Attempts begun", ["method"])
for _method in KINDS:
    ATTEMPTS.labels(_method)  # starts at 0, or Prometheus would miss the first
LEASE_LOSSES = Counter(
    "nmtune_lease_losses_total", "Jobs whose lease this process lost while it worked on them"
)
HEARTBEAT_ERRORS = Counter(
    "nmtune_heartbeat_errors_total", "Heartbeats that the database did not take"
)
DOORBELL_ERRORS = Counter(
    "nmtune_doorbell_errors_total", "Rings that the broker did not take; jobs begin a little later"
)
SWEEPS = Counter("nmtune_sweeps_total", "Looks for jobs whose lease ran out")
SWEEP_ERRORS = Counter("nmtune_sweep_errors_total", "Sweeps that failed")
SWEPT = Counter(
    "nmtune_swept_jobs_total", "Jobs of dead or silent workers that a sweep moved on", ["status"]
)


def count_sweep(result: SweepResult) -> None:
    """Count one sweep and the jobs that it moved on."""
    SWEEPS.inc()
    SWEPT.labels(JobStatus.QUEUED.value).inc(len(result.requeued))
    SWEPT.labels(JobStatus.FAILED.value).inc(len(result.failed))
    SWEPT.labels(JobStatus.CANCELLED.value).inc(len(result.cancelled))


def method_of(job: Job) -> str:
    """The label `method` of a job's attempts."""
    return job.method if job.kind is JobKind.TRAINING else job.kind.value


def began(method: str) -> None:
    """Count the begin of an attempt."""
    ATTEMPTS.labels(_one_of(KINDS, method)).inc()
    RUNNING.inc()


def ended(method: str, *, end: str, seconds: float) -> None:
    """Count the end of an attempt: `end` is one of ENDS, after `seconds`."""
    RUNNING.dec()
    ATTEMPT_SECONDS.labels(_one_of(KINDS, method), _one_of(ENDS, end)).observe(seconds)


class StageClock:
    """Times the stages of one attempt: each lasts until the next one is entered."""

    def __init__(self, method: str) -> None:
        self._method = _one_of(KINDS, method)
        self._stage: str | None = None
        self._began = 0.0

    def enter(self, stage: str) -> None:
        """Begin a stage, and end the one before."""
        self.stop()
        self._stage, self._began = _one_of(STAGES, stage), time.monotonic()

    def stop(self) -> None:
        """End the present stage, if there is one."""
        if self._stage is not None:
            seconds = time.monotonic() - self._began
            STAGE_SECONDS.labels(self._method, self._stage).observe(seconds)
            self._stage = None


@contextmanager
def served(settings: WorkerSettings) -> Iterator[int | None]:
    """Answer GET /metrics on the port of the settings, if there is one, while the block runs.

    Yields the port. Raises OSError, naming the setting, if it cannot listen there.
    """
    if settings.metrics_port is None:
        yield None
        return
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise OSError(
            f"NMTUNE_METRICS_PORT: cannot listen on {host}:{port}: {error.strerror or error}. "
            "Choose another port, or leave it unset."
        ) from error
    logger.info("metrics.listening host=%s port=%d", host, server.server_port)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _one_of(known: tuple[str, ...], value: str) -> str:
    return value if value in known else OTHER
