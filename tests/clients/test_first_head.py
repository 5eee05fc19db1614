"""Waiting for a job's head alone: by stream, by asking, and where the job ends before or after."""

from collections.abc import Callable
from typing import Any

import pytest
from nmtune_client import Client, Job, JobCancelled, JobData, JobFailed, WaitTimeout
from nmtune_client._jobs import following as _following

from tests.clients.test_jobs import EVENTS, JOB, STARTED, event

HEAD = {"name": "pets", "version": 3}
PUBLISHED = event(4, "head.published", head=HEAD, alias=None)
ERROR = {"code": "process_killed", "message": "It was killed. Its head pets@3 stays."}

Make = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_following, "_FIRST_POLL_SECONDS", 0.005)
    monkeypatch.setattr(_following, "_LONGEST_POLL_SECONDS", 0.01)


@pytest.fixture
def job(client: Client, server: Any, job_json: Make) -> Job:
    server.on("GET", EVENTS, server.ok({"items": [], "next_cursor": None}))
    return Job(client, JobData.from_json(job_json()))


def test_wait_ends_with_the_event_of_the_head(server: Any, job: Job, job_json: Make) -> None:
    server.on("GET", JOB, server.ok(job_json(status="running")))
    server.on("STREAM", EVENTS, server.stream(STARTED, PUBLISHED))
    assert job.wait(until="head") is job
    assert (job.status, str(job.head), job.report_status) == ("running", "pets@3", "incomplete")


def test_wait_ends_when_the_job_is_asked_for(server: Any, job: Job, job_json: Make) -> None:
    server.on("STREAM", EVENTS, server.problem(503, "unavailable", "Not now."))
    running = server.ok(job_json(status="running"))
    server.on("GET", JOB, running, running, server.ok(job_json(status="running", head=HEAD)))
    assert str(job.wait(timeout=60, until="head").head) == "pets@3"


def test_head_that_is_out_already_is_not_waited_for(
    client: Client, server: Any, job_json: Make
) -> None:
    out = Job(client, JobData.from_json(job_json(status="running", head=HEAD)))
    assert out.wait(until="head") is out
    assert server.seen("GET", JOB) == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_head_stays_however_the_job_ends(client: Client, job_json: Make, status: str) -> None:
    data = job_json(status=status, head=HEAD, error=ERROR, report_status="incomplete")
    ended = Job(client, JobData.from_json(data))
    assert str(ended.wait(until="head").head) == "pets@3"
    with pytest.raises((JobFailed, JobCancelled), match=r"head pets@3.* stays"):
        ended.wait()


def test_job_that_ends_without_a_head_is_an_error(client: Client, job_json: Make) -> None:
    failed = Job(client, JobData.from_json(job_json(status="failed", error=ERROR)))
    with pytest.raises(JobFailed):
        failed.wait(until="head")
    cancelled = Job(client, JobData.from_json(job_json(status="cancelled")))
    with pytest.raises(JobCancelled, match=r"was cancelled$"):
        cancelled.wait(until="head")


def test_wait_for_a_head_has_its_time_too(server: Any, job: Job, job_json: Make) -> None:
    server.on("GET", JOB, server.ok(job_json(status="running")))
    with pytest.raises(WaitTimeout):
        job.wait(timeout=0.02, until="head")


def test_what_never_comes_is_refused_at_once(client: Client, job_json: Make) -> None:
    prediction = Job(client, JobData.from_json(job_json(kind="prediction", head=HEAD)))
    with pytest.raises(ValueError, match="publishes no head"):
        prediction.wait(until="head")
    with pytest.raises(ValueError, match="'end' or 'head', not 'report'"):
        prediction.wait(until="report")  # type: ignore[arg-type]


def test_command_waits_for_the_head(server: Any, nmtune: Any, job_json: Make) -> None:
    server.on("GET", JOB, server.ok(job_json(status="running", head=HEAD)))
    code, out, err = nmtune("jobs", "wait", "job_1", "--until", "head")
    assert (code, out) == (0, "pets@3\n")
    assert "It can predict. The job goes on to its report: nmtune jobs wait job_1" in err
    code, out, _ = nmtune("jobs", "wait", "job_1", "--until", "head", "--json")
    assert code == 0
    assert '"version": 3' in out

    server.on("GET", JOB, server.ok(job_json(status="cancelled", head=HEAD)))
    code, out, err = nmtune("jobs", "wait", "job_1", "--until", "head")
    assert (code, out) == (0, "pets@3\n")
    assert "The job is cancelled, but its head stays" in err


def test_comparison_is_left_out_only_where_asked(
    server: Any, client: Client, job_json: Make
) -> None:
    server.on("POST", "/jobs", server.ok(job_json()))
    client.jobs.create(name="pets", dataset_id="ds_1", compare=False)
    client.jobs.create(name="pets", dataset_id="ds_1")
    without, usual = server.seen("POST", "/jobs")
    assert without.json["compare"] is False
    assert "compare" not in usual.json
