"""A job's further files as the routes read them: opened, checked, or refused in words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.http.errors import Problem
from service.job_rows.names import dataset_of
from store import job_files, jobs
from store.datasets import Dataset
from store.job_files import JobFile
from store.jobs import Job
from store.states import JobKind, JobStatus
from store.store import Store

if TYPE_CHECKING:
    from store.files.job_rows import JobRows


@dataclass(frozen=True, kw_only=True)
class Found:
    """A job, its file, and its dataset if that still exists."""

    job: Job
    file: JobFile
    dataset: Dataset | None


def find(store: Store, tenant_id: str, job_id: str, name: str) -> Found:
    """The file of a job.

    Raises NotFound for the job, Problem `job_file_not_ready` while there is none, JobFileMissing,
    JobFileExpired.
    """
    with store.database.read() as tx:
        job = jobs.get(tx, tenant_id, job_id)
        if job.kind is JobKind.PREDICTION:
            raise _not_ready("A prediction has no rows of its own: GET /jobs/{id}/output has them.")
        if job.kind is JobKind.MIGRATION:
            raise _not_ready("A migration by a bridge has no rows of its own.")
        if job.status is not JobStatus.SUCCEEDED:
            what = (
                "has none. To get them, submit it again."
                if job.status.is_final
                else "does not have them yet: wait until it has succeeded."
            )
            raise _not_ready(f"The job is {job.status.value} and {what}")
        file = job_files.get(tx, tenant_id, job_id, name)
        return Found(job=job, file=file, dataset=dataset_of(tx, tenant_id, job.dataset_id))


def open_rows(store: Store, found: Found) -> "JobRows":
    """The rows of a job. Raises ArtifactMissing, ArtifactCorrupt, InvalidDatasetFile."""
    from store.files.job_rows import JobRows

    return JobRows.open(store.artifacts.open_path(found.job.tenant_id, found.file.sha256))


def check_rows(rows: "JobRows", found: Found) -> None:
    """Raise ArtifactCorrupt if the file changed while it was read."""
    assert rows.file is not None  # noqa: S101  it was opened
    rows.file.check(found.file.sha256)


def _not_ready(detail: str) -> Problem:
    return Problem(409, "job_file_not_ready", detail)
