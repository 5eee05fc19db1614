"""A job as a line of a table."""

from nmtune_client._jobs.view import JobView
from nmtune_client._show import plain

JOB_HEADER = ("job", "name", "status", "method", "head", "created")


def job_row(job: JobView) -> tuple[str, ...]:
    """A job as a line under `JOB_HEADER`."""
    status = job.status
    if job.progress is not None and job.progress.fraction is not None and not job.is_final:
        status += f" {100 * job.progress.fraction:.0f}%"
    if job.waiting:
        status += ", waits"
    head = str(job.head) if job.head else "-"
    created = plain.moment(job.created_at)
    method = "prediction" if job.kind == "prediction" else job.data.method or "-"
    return (job.id, plain.shorten(job.name, 30), status, method, head, created)
