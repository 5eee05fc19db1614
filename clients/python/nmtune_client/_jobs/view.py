"""A job's properties as of the last answer, and how a wait ends."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from nmtune_client._heads.values import HeadRef
from nmtune_client._http.values import Json
from nmtune_client._jobs.errors import JobCancelled, JobFailed, WaitTimeout
from nmtune_client._jobs.values import JobData, Progress

Until = Literal["end", "head"]
"""What a wait is for: that the job has ended, or that its head is published."""


class JobView:
    """A job's properties, read from `data`, the last that its server said of it."""

    def __init__(self, data: JobData) -> None:
        self.data = data

    def __repr__(self) -> str:
        where = f", stage={self.stage!r}" if self.status == "running" and self.stage else ""
        head = f", head={str(self.head)!r}" if self.head else ""
        return (
            f"{type(self).__name__}(id={self.id!r}, name={self.name!r}, status={self.status!r}"
            f"{where}{head})"
        )

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
        """The head version it published, from then on; of a prediction who answers."""
        return self.data.head

    @property
    def report_status(self) -> str | None:
        """What its report is: None before it has a head, incomplete, or complete at its end."""
        return self.data.report_status

    @property
    def alias_outcome(self) -> Json | None:
        """Whether its alias `moved`, the `reason`, and the `command` that moves it if it did not.

        None before its head is published, without an alias, and of servers that do not tell.
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
        return self.data.encoder

    @property
    def encoders(self) -> Json | None:
        """The encoders that it compares (`compared`), and which one it goes on with (`chosen`)."""
        return self.data.encoders

    @property
    def migration(self) -> Json | None:
        """Of `heads.migrate`: from_version, the way (refit or bridge), what a bridge found."""
        return self.data.migration

    @property
    def method(self) -> str | None:
        """What it publishes: auto, nmtune, mlp or linear_probe."""
        return self.data.method

    @property
    def paradigm(self) -> str | None:
        """lora if it adapts the encoder too, black_box if not."""
        return self.data.paradigm

    @property
    def config(self) -> Json:
        """Every setting, resolved, per candidate; of a prediction its options."""
        return self.data.config

    @property
    def alias(self) -> str | None:
        """The alias that moves to the version that it publishes."""
        return self.data.alias

    @property
    def alias_always(self) -> bool:
        """Whether the alias moves although the report's verdict advises against the head."""
        return self.data.alias_always

    @property
    def description(self) -> str | None:
        """What is noted of the version that it publishes."""
        return self.data.description

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags noted on the head version that it publishes."""
        return self.data.tags

    @property
    def queue(self) -> str | None:
        """cpu or gpu: which workers take it."""
        return self.data.queue

    @property
    def priority(self) -> int:
        """-100 to 100; higher ones are taken first."""
        return self.data.priority

    @property
    def attempt(self) -> int:
        """Executions so far; 0 before the first."""
        return self.data.attempt

    @property
    def max_attempts(self) -> int | None:
        """How many there may be."""
        return self.data.max_attempts

    @property
    def cancel_requested_at(self) -> datetime | None:
        """When somebody asked that it be cancelled."""
        return self.data.cancel_requested_at

    @property
    def created_at(self) -> datetime | None:
        """When it was submitted."""
        return self.data.created_at

    @property
    def started_at(self) -> datetime | None:
        """When its first attempt began."""
        return self.data.started_at

    @property
    def finished_at(self) -> datetime | None:
        """When it ended."""
        return self.data.finished_at

    def _is_reached(self, until: Until) -> bool:
        """Whether a wait until then is over; ValueError for one that never would be."""
        if until not in ("end", "head"):
            raise ValueError(f"until is 'end' or 'head', not {until!r}")
        if until == "head" and self.kind == "prediction":
            raise ValueError("a prediction publishes no head: wait until its 'end'")
        return self.is_final or (until == "head" and self.head is not None)

    def _raise_unless_reached(self, timeout: float | None, until: Until) -> None:
        """The error that a wait of `timeout` seconds ends with, if it does."""
        if until == "head" and self.head is not None:
            return
        if self.status == "failed":
            raise JobFailed(self.data)
        if self.status == "cancelled":
            raise JobCancelled(self.data)
        if not self.is_final and timeout is not None:
            raise WaitTimeout(self.data, timeout)
