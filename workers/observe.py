"""What an attempt leaves in logs and metrics: its job's id, its time and its end."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Concatenate, ParamSpec

from store.jobs import Job
from workers import metrics

P = ParamSpec("P")

_job_id: ContextVar[str | None] = ContextVar("nmtune_job_id", default=None)


def job_id() -> str | None:
    """The id of the job that this thread works on, or None."""
    return _job_id.get()


@contextmanager
def working_on(job_id: str) -> Iterator[None]:
    """Have this thread work on the job while the block runs.

    A thread that the block starts has the id only if it runs in a copy of the context.
    """
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)


def attempt(
    run: Callable[Concatenate[Job, P], Job | None],
) -> Callable[Concatenate[Job, P], Job | None]:
    """Have `run` log under its job's id, counted and timed.

    `run` gets a job claimed just now and returns it as it ended, or None if it is no longer ours.
    """

    @functools.wraps(run)
    def observed(job: Job, /, *arguments: P.args, **options: P.kwargs) -> Job | None:
        began = time.monotonic()
        end = metrics.ERROR
        method = metrics.method_of(job)
        metrics.began(method)
        try:
            with working_on(job.id):
                ended = run(job, *arguments, **options)
            end = metrics.LEASE_LOST if ended is None else ended.status.value
            return ended
        finally:
            metrics.ended(method, end=end, seconds=time.monotonic() - began)

    return observed
