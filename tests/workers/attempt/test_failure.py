"""Failures: what the user is told, and which are worth another attempt."""

import errno
import signal
from typing import Any

import pytest

from store.errors import ArtifactCorrupt, DatabaseUnavailable, NotFound
from store.jobs import Job
from tests.workers.workplace import Workplace
from workers.attempt import failure
from workers.attempt.supervise import Ending, Outcome


@pytest.fixture
def job(workplace: Workplace) -> Job:
    return workplace.submit({})


def attempt(job: Job, number: int) -> Job:
    return Job(**{**vars(job), "attempt": number})


def failed(exit_code: int) -> Outcome:
    return Outcome(ending=Ending.FAILED, exit_code=exit_code, log_tail="Traceback: secret")


def test_what_the_child_found_wrong_is_told_as_it_is_and_final(job: Job) -> None:
    told = {
        "code": "invalid_data",
        "message": "Give labels.",
        "field": "labels",
        "stage": "training",
    }
    found = failure.of_outcome(failed(2), told=told, job=attempt(job, 1))
    assert (found.error, found.may_pass) == (told, False)


@pytest.mark.parametrize(("n_before", "may_pass"), [(0, True), (1, False)])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(
    ("exit_code", "told"),
    [(-signal.SIGKILL, None), (2, {"code": "out_of_memory", "stage": "training"})],
)
def test_want_of_memory_is_tried_once_more_and_says_what_to_lower(
    job: Job,
    n_before: int,
    number: int,
    may_pass: bool,
    exit_code: int,
    told: dict[str, Any] | None,
) -> None:
    """What counts are the ends of that kind, not those for another reason."""
    found = failure.of_outcome(
        failed(exit_code),
        told=told,
        job=attempt(job, number),
        memory_ran_out=True,
        n_before=n_before,
    )
    assert found.may_pass is may_pass
    assert found.error["code"] == "out_of_memory"
    assert "hidden_multiplier" in found.error["message"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_kill_without_want_of_memory_is_none_and_may_pass(job: Job, number: int) -> None:
    found = failure.of_outcome(failed(-signal.SIGKILL), told=None, job=attempt(job, number))
    assert (found.error["code"], found.may_pass) == ("process_killed", True)
    assert "hidden_multiplier" not in found.error["message"]
    assert "batch_size" not in found.error["message"]


def test_bytes_that_changed_under_the_child_are_checked_by_another_attempt(job: Job) -> None:
    told = {"code": "artifact_corrupt", "message": "Damaged.", "stage": "training"}
    found = failure.of_outcome(failed(2), told=told, job=attempt(job, 1))
    assert (found.error, found.may_pass) == (told, True)


@pytest.mark.parametrize("exit_code", [1, -signal.SIGSEGV])
def test_crash_may_pass_and_keeps_its_traceback_to_the_log(job: Job, exit_code: int) -> None:
    found = failure.of_outcome(failed(exit_code), told=None, job=attempt(job, 2))
    assert (found.error["code"], found.may_pass) == ("internal", True)
    assert "attempt 2 of 3" in found.error["message"]
    assert "secret" not in found.error["message"]


@pytest.mark.parametrize(
    ("error", "code", "may_pass"),
    [
        (ArtifactCorrupt("Upload again."), "artifact_corrupt", False),
        (NotFound("dataset", "ds_1"), "not_found", False),
        (DatabaseUnavailable("It is away."), "database_unavailable", True),
        (OSError(errno.ENOSPC, "No space left on device"), "storage_full", True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "storage_quota_exceeded", True),
        (OSError(errno.EROFS, "Read-only file system"), "storage_read_only", True),
        (OSError(errno.EACCES, "Permission denied"), "storage_forbidden", True),
        (OSError(errno.EMFILE, "Too many open files"), "too_many_open_files", True),
        (OSError(errno.EIO, "Input/output error"), "storage_unavailable", True),
        (OSError(errno.EBADF, "Bad file descriptor"), "internal", True),
        (ZeroDivisionError("secret"), "internal", True),
    ],
)
def test_trouble_of_the_worker_itself(
    job: Job, error: Exception, code: str, may_pass: bool
) -> None:
    found = failure.of_error(error, job=job)
    assert (found.error["code"], found.may_pass) == (code, may_pass)
    assert "secret" not in found.error["message"]


def test_each_further_attempt_waits_longer_up_to_a_bound() -> None:
    assert [failure.delay_seconds(number) for number in (1, 2, 3, 50)] == [1, 2, 4, 60]
