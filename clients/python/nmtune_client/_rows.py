"""Datasets and jobs as lines of a table: in the command's listings and where a listing is shown."""

from nmtune_client._jobs.view import JobView
from nmtune_client._show import plain as _text
from nmtune_client._types import Dataset

DATASET_HEADER = ("dataset", "name", "rows", "columns", "classes", "size", "created")
JOB_HEADER = ("job", "name", "status", "method", "head", "created")


def dataset_row(dataset: Dataset) -> tuple[str, ...]:
    """A dataset as a line under `DATASET_HEADER`."""
    return (
        dataset.id,
        _text.shorten(dataset.name, 30),
        str(dataset.n_rows),
        str(dataset.n_columns),
        str(len(dataset.classes)),
        _text.size(dataset.size_bytes),
        _text.moment(dataset.created_at),
    )


def job_row(job: JobView) -> tuple[str, ...]:
    """A job as a line under `JOB_HEADER`."""
    status = job.status
    if job.progress is not None and job.progress.fraction is not None and not job.is_final:
        status += f" {100 * job.progress.fraction:.0f}%"
    if job.waiting:
        status += ", waits"
    head = str(job.head) if job.head else "-"
    created = _text.moment(job.created_at)
    method = "prediction" if job.kind == "prediction" else job.data.method or "-"
    return (job.id, _text.shorten(job.name, 30), status, method, head, created)
