"""What an attempt leaves in logs and metrics: its job's id, its time and its end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from store.jobs import Job
from workers import job_id, metrics


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
        with job_id.working_on(job.id):
            yield ends_as
    finally:
        metrics.ended(method, end=end, seconds=time.monotonic() - began)
