"""Waiting for a job: by stream, by polling where the stream fails, to each of its ends."""

import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from nmtune_client import (
    APIConnectionError,
    Client,
    Event,
    Job,
    JobCancelled,
    JobData,
    JobFailed,
    RetryPolicy,
    WaitTimeout,
)
from nmtune_client._jobs import following as _following
from nmtune_client._jobs import progress as _progress

JOB = "/jobs/job_1"
EVENTS = "/jobs/job_1/events"


def event(number: int, type_: str, **data: object) -> dict[str, Any]:
    return {
        "id": f"evt_{number:06d}",
        "type": type_,
        "data": data,
        "created_at": "2026-11-24T03:21:47.020000Z",
    }


STARTED = event(2, "job.started", attempt=1)
TRAINING = event(3, "job.stage", stage="training")
EPOCH = event(4, "job.progress", candidate="nmtune", epoch=1, n_epochs=2, fraction=0.5)
DONE = event(5, "job.succeeded")


@pytest.fixture(autouse=True)
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_following, "_FIRST_POLL_SECONDS", 0.005)
    monkeypatch.setattr(_following, "_LONGEST_POLL_SECONDS", 0.01)


@pytest.fixture
def job(client: Client, server: Any, job_json: Callable[..., Any]) -> Job:
    """A queued job; the server says that it has succeeded once it is asked a second time."""
    server.on("GET", JOB, server.ok(job_json()), server.ok(job_json(status="succeeded")))
    server.on("GET", EVENTS, server.ok({"items": [], "next_cursor": None}))
    return Job(client, JobData.from_json(job_json()))


def test_stream_shows_each_step_to_the_end(server: Any, job: Job) -> None:
    server.on("STREAM", EVENTS, server.stream(b": still here\n\n", STARTED, TRAINING, EPOCH, DONE))
    seen: list[JobData] = []
    assert job.wait(progress=seen.append) is job
    steps = [(data.status, data.stage, data.progress and data.progress.fraction) for data in seen]
    assert steps == [
        ("queued", None, None),
        ("running", None, None),
        ("running", "training", None),
        ("running", "training", 0.5),
        ("succeeded", None, None),
    ]
    assert str(job.head) == "pets@3"
    assert len(server.seen("STREAM", EVENTS)) == 1


def test_stream_cut_within_an_event_is_resumed_behind_the_last_whole_one(
    server: Any, job: Job, job_json: Callable[..., Any]
) -> None:
    half = b"id: evt_000004\nevent: job.progress\ndata: {"
    running = server.ok(job_json(status="running"))
    server.on("GET", JOB, running, running, server.ok(job_json(status="succeeded")))
    server.on(
        "STREAM",
        EVENTS,
        server.stream(STARTED, TRAINING, half, cut=True),
        server.stream(EPOCH, DONE),
    )
    seen: list[JobData] = []
    job.wait(progress=seen.append)
    first, second = server.seen("STREAM", EVENTS)
    assert "last-event-id" not in first.headers
    assert second.headers["last-event-id"] == "evt_000003"
    fractions = [data.progress.fraction for data in seen if data.progress]
    assert fractions == [0.5]


def test_events_missed_between_streams_are_listed_from_where_they_broke(
    server: Any, job: Job, job_json: Callable[..., Any]
) -> None:
    running = server.ok(job_json(status="running"))
    server.on("GET", JOB, running, running, server.ok(job_json(status="succeeded")))
    server.on("STREAM", EVENTS, server.stream(STARTED, cut=True), server.stream(DONE))
    none, missed = ({"items": items, "next_cursor": None} for items in ([], [TRAINING, EPOCH]))
    server.on("GET", EVENTS, server.ok(none), server.ok(missed))
    job.wait()
    assert server.seen("GET", EVENTS)[1].query == {"after": "evt_000002", "limit": "200"}
    assert server.seen("STREAM", EVENTS)[1].headers["last-event-id"] == "evt_000004"


@pytest.mark.parametrize("kind", ["refused", "no stream", "dropped", "nonsense"])
def test_without_a_stream_the_job_is_asked_for(
    server: Any, job: Job, job_json: Callable[..., Any], kind: str
) -> None:
    answers = {
        "refused": server.problem(406, "not_acceptable", "No streams here."),
        "no stream": server.ok({"items": [], "next_cursor": None}),
        "dropped": server.DROP,
        "nonsense": server.stream(b"id: evt_000001\ndata: <html>\n\n"),
    }
    server.on("STREAM", EVENTS, answers[kind])
    running = [
        server.ok(job_json(status="running", stage="training", progress={"fraction": part / 10}))
        for part in range(8)
    ]
    server.on("GET", JOB, *running, server.ok(job_json(status="succeeded")))
    seen: list[JobData] = []
    job.wait(progress=seen.append)
    assert len(server.seen("STREAM", EVENTS)) == 3
    fractions = [data.progress.fraction for data in seen if data.progress]
    assert fractions == [part / 10 for part in range(8)]


def test_short_absence_of_the_server_is_sat_out(
    server: Any, job: Job, job_json: Callable[..., Any]
) -> None:
    server.on("STREAM", EVENTS, server.DROP)
    down = [server.DROP] * 7  # more than the retries of one call
    server.on("GET", JOB, server.ok(job_json()), *down, server.ok(job_json(status="succeeded")))
    assert job.wait().status == "succeeded"


def test_long_absence_ends_the_wait(
    server: Any, job: Job, job_json: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_following, "_LONGEST_OUTAGE_SECONDS", 0.05)
    server.on("STREAM", EVENTS, server.DROP)
    server.on("GET", JOB, server.ok(job_json()), server.DROP)
    with pytest.raises(APIConnectionError):
        job.wait()


def test_job_that_has_ended_is_not_asked_for_again(
    server: Any, client: Client, job_json: Callable[..., Any]
) -> None:
    ended = Job(client, JobData.from_json(job_json(status="succeeded")))
    assert ended.wait(progress=True) is ended
    assert server.requests == []


def test_failed_job_is_raised_with_its_reason(
    server: Any, job: Job, job_json: Callable[..., Any]
) -> None:
    error = {"code": "training_diverged", "message": "The loss became infinite."}
    failed = server.ok(job_json(status="failed", error=error))
    server.on("GET", JOB, server.ok(job_json()), failed)
    server.on("STREAM", EVENTS, server.stream(STARTED, event(3, "job.failed", error=error)))
    with pytest.raises(JobFailed, match="The loss became infinite") as caught:
        job.wait()
    assert (caught.value.code, caught.value.job.id) == ("training_diverged", "job_1")
    assert job.status == "failed"


def test_cancelled_job_is_raised(server: Any, job: Job, job_json: Callable[..., Any]) -> None:
    asked = server.ok(job_json(status="running", cancel_requested_at="2026-11-24T03:21:47Z"))
    server.on("POST", f"{JOB}/cancel", asked)
    server.on("GET", JOB, server.ok(job_json(status="cancelled")))
    assert job.cancel().data.cancel_requested_at is not None
    with pytest.raises(JobCancelled, match="job_1"):
        job.wait()
    assert server.seen("STREAM", EVENTS) == []


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_patience_ends_and_the_job_goes_on(
    server: Any, job: Job, job_json: Callable[..., Any], timeout: float
) -> None:
    server.on("GET", JOB, server.ok(job_json(status="running", stage="training")))
    with pytest.raises(WaitTimeout, match=r"still running \(training\)"):
        job.wait(timeout)
    assert server.seen("STREAM", EVENTS) == []  # too near to the deadline for a stream


def test_silent_stream_is_left_in_time_for_the_deadline(
    server: Any, job: Job, job_json: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_following, "STREAM_READ_SECONDS", 0.05)
    server.on("GET", JOB, server.ok(job_json(status="running")))
    server.on("STREAM", EVENTS, server.HANG)
    with pytest.raises(WaitTimeout):
        job.wait(0.2)
    assert 1 <= len(server.seen("STREAM", EVENTS)) <= 3


def test_job_that_began_anew_shows_it(server: Any, job: Job, job_json: Callable[..., Any]) -> None:
    again = event(6, "job.started", attempt=2)
    requeued = event(5, "job.requeued", reason="lease_expired", attempt=1)
    server.on("STREAM", EVENTS, server.stream(STARTED, TRAINING, EPOCH, requeued, again, DONE))
    seen: list[JobData] = []
    job.wait(progress=seen.append)
    assert [(data.status, data.attempt) for data in seen[-3:-1]] == [("queued", 1), ("running", 2)]
    assert seen[-2].progress is None


def test_watching_begins_where_the_job_is(
    server: Any, job: Job, job_json: Callable[..., Any]
) -> None:
    server.on("GET", EVENTS, server.ok({"items": [STARTED, TRAINING], "next_cursor": None}))
    now = server.ok(job_json(status="running", stage="training"))
    server.on("GET", JOB, now, server.ok(job_json(status="succeeded")))
    server.on("STREAM", EVENTS, server.stream(EPOCH, DONE))
    seen: list[JobData] = []
    job.wait(progress=seen.append)
    assert server.seen("STREAM", EVENTS)[0].headers["last-event-id"] == "evt_000003"
    assert [data.stage for data in seen] == ["training", "training", None]


def test_wait_shows_a_bar_on_stderr_if_asked(
    server: Any, job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    server.on("STREAM", EVENTS, server.stream(STARTED, TRAINING, EPOCH, DONE))
    job.wait(progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "job_1 queued",
        "job_1 starting",
        "job_1 training",
        "job_1 training nmtune  50%",
        "job_1 succeeded",
    ]


def test_events_are_listed_over_all_pages(server: Any, job: Job) -> None:
    first = server.ok({"items": [STARTED, TRAINING], "next_cursor": TRAINING["id"]})
    server.on("GET", EVENTS, first, server.ok({"items": [DONE], "next_cursor": None}))
    events = list(job.events())
    assert [found.type for found in events] == ["job.started", "job.stage", "job.succeeded"]
    assert server.seen("GET", EVENTS)[1].query == {"after": "evt_000003", "limit": "200"}


def test_events_are_followed_to_the_last(server: Any, job: Job) -> None:
    server.on(
        "STREAM", EVENTS, server.stream(STARTED, TRAINING, cut=True), server.stream(EPOCH, DONE)
    )
    followed = [found.id for found in job.events(follow=True)]
    assert followed == [f"evt_{number:06d}" for number in range(2, 6)]


def test_report_is_read(server: Any, job: Job, report_json: dict[str, Any]) -> None:
    server.on("GET", f"{JOB}/report", server.ok(report_json))
    assert job.report().verdict.best_ood == "nmtune"


HALF = "[============>           ]"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def running(**progress: object) -> JobData:
    data = {"id": "job_1", "name": "pets", "status": "running", "stage": "training", "attempt": 1}
    return JobData.from_json(data | {"progress": progress or None})


def test_bar_tells_stage_candidate_epoch_share_time_and_loss() -> None:
    job = running(
        candidate="nmtune",
        epoch=3,
        n_epochs=30,
        fraction=0.5,
        eta_seconds=75.2,
        losses={"total": 0.41234},
    )
    assert _progress.bar_line(job, elapsed_seconds=9) == (
        "training nmtune  epoch  3/30  [============>           ]   50%  ETA 1:15  loss 0.4123"
    )


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (
            100,
            "training nmtune  epoch  3/30  [============>           ]   50%  ETA 1:15  loss 0.4123",
        ),
        (80, "training nmtune  epoch  3/30  [============>           ]   50%  ETA 1:15"),
        (60, "training nmtune  epoch  3/30   50%  ETA 1:15"),
        (40, "training nmtune   50%  ETA 1:15"),
        (30, "training nmtune   50%"),
        (20, "training nmtune..."),
        (12, "training..."),
    ],
)
def test_a_terminal_that_is_narrow_gets_fewer_figures_and_none_cut(
    columns: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Terminal()
    figures = {"epoch": 3, "n_epochs": 30, "fraction": 0.5, "eta_seconds": 75.2}
    losses = {"total": 0.41234}
    bar = _progress.ProgressBar(screen)
    bar.update(running(candidate="nmtune", losses=losses, **figures))
    assert screen.getvalue() == f"\r{shown}\x1b[K"


def test_bar_without_progress_tells_the_time() -> None:
    assert _progress.bar_line(running(), elapsed_seconds=61) == "training  1:01"
    queued = JobData(id="job_1", name="pets", status="queued")
    assert _progress.bar_line(queued, elapsed_seconds=3725) == "queued  1:02:05"


def test_a_job_that_waits_says_for_what_and_until_when() -> None:
    until = "2026-11-24T03:30:00+00:00"
    waits = {"code": "provider_busy", "message": "Come back later.", "until": until}
    job = JobData.from_json({"id": "job_1", "name": "pets", "status": "queued", "waiting": waits})
    clock = f"{datetime.fromisoformat(until).astimezone():%H:%M:%S}"
    assert _progress.stage_line(job) == f"job_1 queued  waits until {clock}: Come back later."
    assert "Come back later." in _progress.bar_line(job, elapsed_seconds=1)
    assert job.waiting == waits


def test_events_tell_what_a_job_waits_for() -> None:
    job = running(fraction=0.2)
    paused = Event(id="1", type="job.progress", data={"fraction": 0.2, "waiting": {"message": "a"}})
    assert _following.after_event(job, paused).waiting == {"message": "a"}
    told = {"reason": "waiting", "message": "b", "until": "2026-11-24T03:30:00+00:00"}
    waiting = _following.after_event(job, Event(id="2", type="job.requeued", data=told))
    assert (waiting.status, waiting.waiting) == ("queued", told)
    started = Event(id="3", type="job.started", data={"attempt": 1})
    assert _following.after_event(waiting, started).waiting is None


def test_bar_stays_within_its_bounds_whatever_comes() -> None:
    assert "[=" + "=" * 23 + "]  100%" in _progress.bar_line(running(fraction=7), elapsed_seconds=0)
    assert "[>" + " " * 23 + "]    0%" in _progress.bar_line(
        running(fraction=-1), elapsed_seconds=0
    )


def test_terminal_is_drawn_over_and_left_with_a_whole_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    screen = Terminal()
    bar = _progress.ProgressBar(screen)
    bar.update(running(candidate="nmtune", epoch=1, n_epochs=2, fraction=0.1))
    bar.update(running(candidate="nmtune", epoch=2, n_epochs=2, fraction=0.9))
    bar.update(running(candidate="nmtune", epoch=2, n_epochs=2, fraction=0.9))
    bar.close()
    bar.close()
    lines = screen.getvalue().split("\r")
    assert len(lines) == 3
    assert all(len(line.removesuffix("\n").removesuffix("\x1b[K")) < 40 for line in lines)
    assert screen.getvalue().endswith("\x1b[K\n")
    assert screen.getvalue().count("\n") == 1


def test_pipe_gets_a_line_for_each_stage_and_candidate() -> None:
    pipe = io.StringIO()
    bar = _progress.ProgressBar(pipe)
    for candidate in ("linear_probe", "mlp"):
        for epoch in (1, 2, 3):
            bar.update(running(candidate=candidate, epoch=epoch, n_epochs=3))
    bar.close()
    assert pipe.getvalue() == "job_1 training linear_probe\njob_1 training mlp\n"


def test_server_that_is_gone_from_the_start_is_not_waited_for(
    server: Any, job_json: Callable[..., Any]
) -> None:
    server.on("GET", EVENTS, server.DROP)
    with Client(server.url, retry=RetryPolicy(tries=1)) as client:
        job = Job(client, JobData.from_json(job_json()))
        with pytest.raises(APIConnectionError):
            job.wait()
    assert len(server.requests) == 1
