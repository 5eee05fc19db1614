"""The home of what an attempt leaves in logs and metrics: its job's id, its time and its end."""

import functools
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from store.jobs import Job
from workers import job_id, metrics

P = ParamSpec("P")


def attempt(
    run: Callable[Concatenate[Job, P], Job | None],
) -> Callable[Concatenate[Job, P], Job | None]:
    """Have `run` log under its job's id, and be counted and timed.

    `run` is given a job claimed just now and returns it as it ended, None if it is no longer ours.
    """

    @functools.wraps(run)
    def observed(job: Job, /, *arguments: P.args, **options: P.kwargs) -> Job | None:
        began = time.monotonic()
        end = metrics.ERROR
        method = metrics.method_of(job)
        metrics.began(method)
        try:
            with job_id.bound(job.id):
                ended = run(job, *arguments, **options)
            end = metrics.LEASE_LOST if ended is None else ended.status.value
            return ended
        finally:
            metrics.ended(method, end=end, seconds=time.monotonic() - began)

    return observed
