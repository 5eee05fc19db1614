"""A job's statuses and the lawful moves between them.

    submit          claim             succeed
      ──▶ queued ──────────▶ running ──────────▶ succeeded
            │  ▲               │ │ │
            │  └───────────────┘ │ └───────────▶ failed
            │   release, sweep   │   fail, sweep
            └────────────────────┴─────────────▶ cancelled
               request_cancel      cancel, sweep

queued     To be done, whether or not a message arrived. `submit` moves a job in; a worker moves it
           out by `claim`, a user by `request_cancel` (cancelled at once). `not_before_at` holds it
           back after a passing error. A crash leaves it queued: nothing is lost.
running    A worker holds the lease until `lease_expires_at` and proves it by `fence`. Only `claim`
           moves a job in. A user's cancel is a request beside the status (`cancel_requested_at`);
           the worker learns of it at its next heartbeat. A crash leaves the row running with a
           lease that runs out; `sweep` then moves it on. A training publishes its head meanwhile
           (`store.first_head`), and keeps it whatever status follows.
succeeded  The report is complete and a head version exists, or a prediction's output; they were
           named by the transaction that moved it, at the latest.
failed     `error` says what went wrong and what to do.
cancelled  A user asked for it.

The last three are final: nothing moves a job out of them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class JobStatus(StrEnum):
    """The status of a job; the database and the API show the value."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing moves a job out of this status."""
        return self in FINAL


class JobKind(StrEnum):
    """What a job does; the database and the API show the value."""

    TRAINING = "training"
    """It tunes a head on a dataset and publishes a version."""
    PREDICTION = "prediction"
    """It predicts a dataset's rows with a head version and writes one file."""
    MIGRATION = "migration"
    """It moves a head to another encoder by a bridge of texts, and publishes a version."""


FINAL: Final = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})

MOVES: Final[Mapping[JobStatus, frozenset[JobStatus]]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset({JobStatus.QUEUED, *FINAL}),
    **{status: frozenset[JobStatus]() for status in FINAL},
}
"""From each status, the statuses a job may move to."""
