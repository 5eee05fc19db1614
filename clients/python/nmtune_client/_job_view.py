"""Home of what a job is to either client: its state as of the last answer, and how a wait ends."""

from datetime import datetime

from nmtune_client._errors import JobCancelled, JobFailed, WaitTimeout
from nmtune_client._types import HeadRef, JobData, Json, Progress


class JobView:
    """A job's properties, read from `data`, the last that its server said of it."""

    def __init__(self, data: JobData) -> None:
        self.data = data

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(id={self.id!r}, name={self.name!r}, status={self.status!r})"

    @property
    def id(self) -> str:
        """The job's id."""
        return self.data.id

    @property
    def name(self) -> str:
        """The name of the job, and of the head it publishes."""
        return self.data.name

    @property
    def status(self) -> str:
        """queued, running, succeeded, failed or cancelled."""
        return self.data.status

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self.data.is_final

    @property
    def stage(self) -> str | None:
        """What it is at while it runs, from embedding or loading to publishing."""
        return self.data.stage

    @property
    def progress(self) -> Progress | None:
        """How far it has come."""
        return self.data.progress

    @property
    def head(self) -> HeadRef | None:
        """The head version it published, None unless it succeeded; of a prediction who answers."""
        return self.data.head

    @property
    def alias_outcome(self) -> Json | None:
        """Whether its alias `moved`, the `reason`, and the `command` that moves it if it did not.

        None before it has succeeded, without an alias, and of servers that do not tell.
        """
        return self.data.alias_outcome

    @property
    def kind(self) -> str:
        """training or prediction."""
        return self.data.kind

    @property
    def waiting(self) -> Json | None:
        """Why it does not go on at the moment, if it waits: code, message, since, until."""
        return self.data.waiting

    @property
    def error(self) -> Json | None:
        """Why it failed: code, message."""
        return self.data.error

    @property
    def dataset_id(self) -> str | None:
        """The dataset it learns from."""
        return self.data.dataset_id

    @property
    def encoder(self) -> Json | None:
        """What embeds its texts; once it has, `usage` counts texts and tokens."""
        encoder: Json | None = self.data.raw.get("encoder")
        return encoder

    @property
    def created_at(self) -> datetime | None:
        """When it was submitted."""
        return self.data.created_at

    def _raise_unless_succeeded(self, timeout: float | None) -> None:
        """The error that a wait of `timeout` seconds ends with, if it does."""
        if self.status == "failed":
            raise JobFailed(self.data)
        if self.status == "cancelled":
            raise JobCancelled(self.data)
        if not self.is_final and timeout is not None:
            raise WaitTimeout(self.data, timeout)
