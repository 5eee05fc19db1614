"""The errors of waiting for a job."""

from collections.abc import Mapping
from typing import Any

from nmtune_client._http.errors import NMTuneError
from nmtune_client._jobs.values import JobData


class JobFailed(NMTuneError):  # noqa: N818 (says what happened, as users know it)
    """The awaited job failed; `job` is its last state, `error` the server's {code, message}."""

    def __init__(self, job: JobData, error: Mapping[str, Any] | None = None) -> None:
        self.job = job
        self.error: Mapping[str, Any] = error if error is not None else job.error or {}
        self.code: str | None = self.error.get("code")
        message = self.error.get("message") or "the server gave no reason"
        place = f" (field {self.error['field']})" if self.error.get("field") else ""
        code = f" [{self.code}]" if self.code else ""
        super().__init__(f"job {job.id} ({job.name}) failed: {message}{place}{code}")


class JobCancelled(NMTuneError):  # noqa: N818 (as above)
    """The awaited job was cancelled; `job` is its last state."""

    def __init__(self, job: JobData) -> None:
        self.job = job
        stays = f"; its head {job.head} was published before and stays" if job.head else ""
        is_training = job.kind == "training"
        super().__init__(f"job {job.id} ({job.name}) was cancelled{stays if is_training else ''}")


class WaitTimeout(NMTuneError):  # noqa: N818 (as above)
    """The job did not end in time; it goes on at the server. `job` is its last known state."""

    def __init__(self, job: JobData, timeout: float) -> None:
        self.job = job
        stage = f" ({job.stage})" if job.stage and job.status == "running" else ""
        super().__init__(
            f"job {job.id} ({job.name}) is still {job.status}{stage} after {timeout:g} s; "
            "it goes on at the server, so you can wait again"
        )
