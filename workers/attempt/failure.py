"""Failures: what a failed attempt means to the user, and whether another attempt may help."""

import random
from dataclasses import dataclass
from typing import Any

from providers.errors import ProviderError, ProviderUnavailable
from store import trouble
from store.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    InvalidDatasetFile,
    NotFound,
    StorageUnavailable,
    StoreError,
)
from store.jobs import Job
from workers.attempt.supervise import Outcome

Error = dict[str, Any]

OUT_OF_MEMORY = "out_of_memory"
FIRST_DELAY_SECONDS = 1.0  # before the second attempt; doubled before each further one
LONGEST_DELAY_SECONDS = 60.0
FIRST_PROVIDER_DELAY_SECONDS = 15.0  # before a provider is asked again; doubled each time
LONGEST_PROVIDER_DELAY_SECONDS = 300.0
LONGEST_ASKED_SECONDS = 3600.0  # the longest wait that a provider can ask for
LOST_DATA = (ArtifactCorrupt, ArtifactMissing, InvalidDatasetFile, NotFound)
MAY_PASS = frozenset(
    {ArtifactCorrupt.code, StorageUnavailable.code}
    | {error.code for error in StorageUnavailable.__subclasses__()}
)
"""A child's errors that another attempt may not meet: a disk may get space, and stored bytes are
checked again, and fetched again from an object storage, before it. Bytes that are really damaged
end the job then."""


class Refused(Exception):  # noqa: N818  `raise Refused(...)` says it
    """The job is impossible, and only its owner can change that; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an attempt failed; `may_pass` if another attempt is worthwhile."""

    error: Error
    may_pass: bool


@dataclass(frozen=True, kw_only=True)
class Wait:
    """The job must wait for its provider, and gives its slot back meanwhile."""

    reason: dict[str, Any]
    """Code, message, and what the next attempt must know."""
    delay_seconds: float


class MustWait(Exception):  # noqa: N818  it is no error
    """The provider is away or busy for longer than a slot should be held."""

    def __init__(self, wait: Wait) -> None:
        super().__init__(wait.reason["message"])
        self.wait = wait


def of_outcome(
    outcome: Outcome,
    *,
    told: Error | None,
    job: Job,
    memory_ran_out: bool = False,
    n_before: int = 0,
) -> Failure:
    """The failure of a child that `told` its error, or died silently.

    memory_ran_out: whether there is a sign of that beside the kill. n_before: how many earlier
    attempts ran out of memory.
    """
    is_memory = told is not None and told["code"] == OUT_OF_MEMORY
    if is_memory or (outcome.killed and memory_ran_out):
        # The first time something else may have taken the memory; the second time it is the job.
        return Failure(error=_out_of_memory(told), may_pass=n_before == 0)
    if told is not None:
        return Failure(error=told, may_pass=told["code"] in MAY_PASS)
    return Failure(error=_killed(job) if outcome.killed else _internal(job), may_pass=True)


def of_error(error: Exception, *, job: Job) -> Failure:
    """The failure of the worker itself; the store's messages are fit for users."""
    if isinstance(error, (Refused, *LOST_DATA)):
        return Failure(error={"code": error.code, "message": str(error)}, may_pass=False)
    if isinstance(error, StoreError):
        return Failure(error={"code": error.code, "message": str(error)}, may_pass=True)
    if isinstance(error, ProviderError):
        return Failure(error=told_of(error), may_pass=False)  # a passing one is a `Wait`
    if isinstance(error, OSError) and trouble.is_disk_trouble(error):
        found = trouble.of_os_error(error, "The worker's folder cannot be used")
        return Failure(error={"code": found.code, "message": str(found)}, may_pass=True)
    return Failure(error=_internal(job), may_pass=True)


def told_of(error: ProviderError) -> Error:
    """A provider's error as the job's row has it; its message is fit for users."""
    return {"code": error.code, "message": str(error), "stage": "embedding", **error.where}


def provider_delay_seconds(error: ProviderUnavailable, *, n_waits: int) -> float:
    """How long to wait for the provider, the `n_waits`th time in a row."""
    if error.retry_after:
        return min(error.retry_after, LONGEST_ASKED_SECONDS) + random.uniform(0, 1)  # noqa: S311
    longest = FIRST_PROVIDER_DELAY_SECONDS * 2.0 ** min(n_waits - 1, 10)
    return min(LONGEST_PROVIDER_DELAY_SECONDS, longest)


def delay_seconds(attempt: int) -> float:
    """How long to wait after this attempt (from 1) before the next one."""
    return float(min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (attempt - 1)))


def _out_of_memory(told: Error | None) -> Error:
    if told and "message" in told:
        return told
    stage = {"stage": told["stage"]} if told else {}
    return {
        "code": OUT_OF_MEMORY,
        "message": "The training ran out of memory. Lower hidden_multiplier or batch_size, send "
        "fewer rows, or give the worker more memory; then submit the job again.",
        **stage,
    }


def _killed(job: Job) -> Error:
    return {
        "code": "process_killed",
        "message": f"The process was killed from outside (SIGKILL) in attempt {job.attempt} of "
        f"{job.max_attempts}, without any sign that memory ran out. Its operator may know "
        "why. Submit the job again.",
    }


def _internal(job: Job) -> Error:
    return {
        "code": "internal",
        "message": f"The training stopped unexpectedly in attempt {job.attempt} of "
        f"{job.max_attempts}. This is a bug of ours; the server's log has the details under "
        f"{job.id}.",
    }
