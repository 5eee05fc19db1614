"""What an attempt leaves in logs and metrics: its job's id, its time and its end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from store.jobs import Job
from workers import metrics

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


@contextmanager
def attempt(job: Job) -> Iterator[Callable[[Job | None], None]]:
    """Have the block log under the id of a job claimed just now, counted and timed.

    It is to call what it gets with the job as it ended, or None if it is no longer ours; a block
    that does not has failed.
    """
    began = time.monotonic()
    end = metrics.ERROR
    method = metrics.method_of(job)

    def ends_as(ended: Job | None) -> None:
        nonlocal end
        end = metrics.LEASE_LOST if ended is None else ended.status.value

    metrics.began(method)
    try:
        with working_on(job.id):
            yield ends_as
    finally:
        metrics.ended(method, end=end, seconds=time.monotonic() - began)
