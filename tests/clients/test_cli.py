"""The `nmtune` command: data on stdout, words on stderr, and the exit code."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nmtune_client
import pytest
from nmtune_client._jobs import following as _following
from nmtune_client._sync import client as _client

from tests.clients.examples import JOB


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_following, "_FIRST_POLL_SECONDS", 0.005)
    monkeypatch.setattr(_client, "sleep", lambda _: None)  # between tries


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("place", ["before", "after"])
def test_json_is_all_of_stdout(nmtune: Any, npz: Path, place: str) -> None:
    command = ["tune", npz, "--name", "pets"]
    code, out, _ = nmtune(*(["--json", *command] if place == "before" else [*command, "--json"]))
    assert code == 0
    assert set(json.loads(out)) == {"job", "report"}


def test_failed_job_is_exit_code_1_with_its_reason(
    server: Any, nmtune: Any, job_json: Callable[..., Any]
) -> None:
    error = {"code": "training_diverged", "message": "The loss became infinite."}
    server.on("GET", JOB, server.ok(job_json(status="failed", error=error)))
    code, out, err = nmtune("jobs", "wait", "job_1")
    assert (code, out) == (1, "")
    assert "The loss became infinite. [training_diverged]" in err


def test_waiting_for_a_prediction_shows_the_job_and_where_its_output_is(
    server: Any, nmtune: Any, job_json: Callable[..., Any]
) -> None:
    job = job_json(status="succeeded", kind="prediction", method="auto")
    server.on("GET", JOB, server.ok(job))
    server.on("GET", "/jobs", server.ok({"items": [job], "next_cursor": None}))
    code, out, err = nmtune("jobs", "wait", "job_1")
    assert code == 0
    assert out.splitlines()[3].split() == ["method", "prediction"]
    assert "Fetch its output with: nmtune jobs output job_1 FILE.parquet" in err
    assert nmtune("jobs")[1].splitlines()[1].split()[3] == "prediction"
    assert json.loads(nmtune("--json", "jobs", "wait", "job_1")[1])["kind"] == "prediction"


def test_refusal_is_exit_code_1_with_its_places(server: Any, nmtune: Any) -> None:
    place = {"field": "epochs", "row": None, "column": None, "message": "must be at least 1."}
    refusal = server.problem(422, "invalid_config", "The config is wrong.", errors=[place])
    server.on("POST", "/jobs", refusal)
    code, _, err = nmtune("tune", "ds_1", "--name", "pets", "--set", "epochs=0")
    assert code == 1
    assert "epochs: must be at least 1." in err
    assert "request id: req_42" in err


def test_patience_that_ends_is_exit_code_4(
    server: Any, nmtune: Any, job_json: Callable[..., Any]
) -> None:
    server.on("GET", JOB, server.ok(job_json(status="running")))
    server.on("GET", f"{JOB}/events", server.ok({"items": [], "next_cursor": None}))
    code, _, err = nmtune("jobs", "wait", "job_1", "--timeout", "0.01")
    assert code == 4
    assert "it goes on at the server" in err


def test_nobody_there_is_exit_code_3(nmtune: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    code, _, err = nmtune("jobs", "--url", url)
    assert code == 3
    assert f"cannot reach {url}" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jobs", "--limit", "0"), "argument --limit: must be at least 1, got 0"),
        (("heads", "list", "--limit", "-2"), "argument --limit: must be at least 1, got -2"),
        (("predict", "h", "x", "--top-k", "0"), "argument --top-k: must be at least 1, got 0"),
        (("predict", "h", "x", "--top-k", "1.5"), "--top-k: must be a whole number, got '1.5'"),
        (("heads", "alias", "h", "prod", "x"), "VERSION: must be a whole number, got 'x'"),
        (("jobs", "wait", "j", "--timeout", "0"), "argument --timeout: must be above 0, got 0"),
        (("jobs", "wait", "j", "--timeout", "soon"), "--timeout: must be a number, got 'soon'"),
    ],
)
def test_a_number_that_cannot_be_says_what_it_must_be(
    server: Any, nmtune: Any, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = nmtune(*arguments)
    assert (code, out) == (2, "")
    assert err.endswith(f"{message}\n")
    assert server.requests == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("train",),
        ("tune", "x.npz"),
        ("tune", "nowhere.npz", "--name", "pets"),
        ("tune", "ds_1", "--name", "pets", "--set", "epochs"),
        ("tune", "ds_1", "--name", "pets", "--timeout", "-1"),
        ("jobs", "--limit", "0"),
        ("jobs", "show", ".."),
        ("predict", "pets", "nowhere.npy"),
        ("--url", "localhost:8000", "heads"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_sends_nothing(
    server: Any, nmtune: Any, arguments: tuple[str, ...]
) -> None:
    code, out, err = nmtune(*arguments)
    assert (code, out) == (2, "")
    assert err
    assert server.requests == []


def test_jobs_alone_lists_them(server: Any, nmtune: Any, job_json: Callable[..., Any]) -> None:
    running = job_json(id="job_2", status="running", progress={"fraction": 0.425})
    items = [running, job_json(status="succeeded")]
    server.on("GET", "/jobs", server.ok({"items": items, "next_cursor": None}))
    code, out, _ = nmtune("jobs")
    header, *lines = out.splitlines()
    assert code == 0
    assert header.split() == ["job", "name", "status", "method", "head", "created"]
    assert "running 42%" in lines[0]
    assert "pets@3" in lines[1]
    assert len(nmtune("jobs", "list", "--limit", "1")[1].splitlines()) == 2
    assert json.loads(nmtune("jobs", "--json", "--status", "running")[1]) == items
    assert [request.query for request in server.requests] == [
        {"limit": "20"},
        {"limit": "1"},
        {"limit": "20", "status": "running"},
    ]


def test_empty_listings_say_so_on_stderr(server: Any, nmtune: Any) -> None:
    for noun in ("jobs", "heads", "datasets"):
        server.on("GET", f"/{noun}", server.ok({"items": [], "next_cursor": None}))
        code, out, err = nmtune(noun)
        assert (code, out) == (0, "")
        assert err.startswith("No ")
        assert nmtune(noun, "--json")[1] == "[]\n"


def test_job_is_shown_cancelled_and_its_events_told(
    server: Any, nmtune: Any, job_json: Callable[..., Any]
) -> None:
    running = job_json(status="running", stage="training", attempt=2, progress={"fraction": 0.5})
    server.on("GET", JOB, server.ok(running))
    server.on("POST", f"{JOB}/cancel", server.ok(running))
    events = [{"id": "evt_000001", "type": "job.queued", "data": {"name": "é"}}]
    server.on("GET", f"{JOB}/events", server.ok({"items": events, "next_cursor": None}))
    shown = dict(line.split(maxsplit=1) for line in nmtune("jobs", "show", "job_1")[1].splitlines())
    assert shown["progress"] == "50%"
    assert shown["attempt"] == "2 of 3"
    assert "error" not in shown
    assert json.loads(nmtune("jobs", "show", "job_1", "--json")[1]) == running
    assert "stops within seconds" in nmtune("jobs", "cancel", "job_1")[2]
    assert nmtune("jobs", "events", "job_1")[1] == (
        'evt_000001  job.queued            {"name": "é"}\n'
    )
    told = json.loads(nmtune("jobs", "events", "job_1", "--json")[1])
    assert told == events[0] | {"created_at": None}


def test_report_is_printed(server: Any, nmtune: Any, report_json: dict[str, Any]) -> None:
    server.on("GET", f"{JOB}/report", server.ok(report_json))
    assert "ID test" in nmtune("report", "job_1")[1]
    assert json.loads(nmtune("report", "job_1", "--json")[1]) == report_json
    not_ready = server.problem(409, "report_not_ready", "The job is running.")
    server.on("GET", f"{JOB}/report", not_ready)
    code, out, err = nmtune("report", "job_1")
    assert (code, out) == (1, "")
    assert "The job is running. (409 report_not_ready)" in err


def test_help_of_every_command_fits_and_version_is_told(nmtune: Any) -> None:
    commands = ["", "tune", "jobs", "jobs list", "jobs show", "jobs wait", "jobs cancel"]
    commands += [
        "jobs events",
        "report",
        "publish",
        "predict",
        "heads",
        "heads show",
        "heads alias",
    ]
    commands += ["heads drift"]
    commands += ["datasets", "datasets upload", "datasets show", "datasets delete"]
    commands += ["datasets keep"]
    for command in commands:
        code, out, _ = nmtune(*command.split(), "--help")
        assert code == 0
        assert out.startswith("usage: nmtune")
    assert nmtune("--version")[1].startswith("nmtune-client ")


def test_reader_that_leaves_early_is_no_error(server: Any, job_json: Callable[..., Any]) -> None:
    items = [job_json(id=f"job_{number}") for number in range(2000)]
    server.on("GET", "/jobs", server.ok({"items": items, "next_cursor": None}))
    client_folder = Path(nmtune_client.__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-m", "nmtune_client._cli.main", "jobs", "--json", "--limit", "2000"],
        env=os.environ | {"NMTUNE_URL": server.url, "PYTHONPATH": str(client_folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"[\n"
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
