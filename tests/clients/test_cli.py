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

JOB = "/jobs/job_1"
DATASET = {
    "id": "ds_1",
    "name": "pets",
    "n_rows": 4,
    "n_columns": 2,
    "classes": ["cat", "dog"],
    "splits": [{"name": "train", "n_rows": 4, "class_counts": {"cat": 2, "dog": 2}}],
    "warnings": [{"code": "few_rows", "message": "The class dog has 2 rows."}],
    "size_bytes": 2048,
    "created_at": "2026-11-24T03:21:46Z",
}
HEAD = {
    "name": "pets",
    "latest_version": 3,
    "aliases": {"prod": 3},
    "versions": [{"name": "pets", "version": 3, "method": "nmtune", "n_columns": 2}],
    "created_at": "2026-11-24T03:21:46Z",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_following, "_FIRST_POLL_SECONDS", 0.005)
    monkeypatch.setattr(_client, "sleep", lambda _: None)  # between tries


@pytest.fixture
def trained(server: Any, job_json: Callable[..., Any], report_json: dict[str, Any]) -> None:
    """A server on which the next job succeeds at once."""
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    server.on("POST", "/jobs", server.ok(job_json(alias="prod"), status=202))
    server.on("GET", JOB, server.ok(job_json(status="succeeded", alias="prod")))
    server.on("GET", f"{JOB}/events", server.ok({"items": [], "next_cursor": None}))
    server.on("GET", f"{JOB}/report", server.ok(report_json))


@pytest.mark.usefixtures("trained")
def test_tune_uploads_waits_and_prints_the_table(server: Any, nmtune: Any, npz: Path) -> None:
    options = ("--preset", "reference", "--set", "epochs=3", "--set", "schedule=linear")
    code, out, err = nmtune("tune", npz, "--name", "pets", "--alias", "prod", *options)
    assert code == 0
    assert server.seen("POST", "/datasets")[0].body == npz.read_bytes()
    asked, submitted = server.seen("POST", "/jobs")
    assert asked.query == {"plan": "true"}  # before the upload, to refuse what cannot be
    assert asked.json == submitted.json | {"dataset_id": "ds_not_sent_yet"}
    assert submitted.json == {
        "name": "pets",
        "dataset_id": "ds_1",
        "config": {"preset": "reference", "epochs": 3, "schedule": "linear"},
        "alias": "prod",
    }
    assert "mean OOD" in out
    assert "Use NMTune" in out
    assert "Warning: The class dog has 2 rows." in err
    assert "job_1 succeeded" in err
    assert "Published pets@3 = pets@prod" in err


@pytest.mark.usefixtures("trained")
def test_tune_of_a_stored_dataset_uploads_nothing(server: Any, nmtune: Any) -> None:
    code, out, _ = nmtune("tune", "ds_7", "--name", "pets", "--no-wait")
    assert (code, out) == (0, "job_1\n")
    assert server.seen("POST", "/datasets") == []
    assert server.seen("POST", "/jobs")[0].json["dataset_id"] == "ds_7"


@pytest.mark.usefixtures("trained")
def test_tune_of_a_stored_dataset_refuses_how_to_read_a_file(server: Any, nmtune: Any) -> None:
    options = ("--label", "species", "--test-fraction", "0.3")
    code, _, err = nmtune("tune", "ds_7", "--name", "pets", *options, "--no-wait")
    assert code == 2
    assert "ds_7 is stored, and --label, --test-fraction say how a file is read" in err
    assert server.seen("POST", "/jobs") == []


@pytest.mark.usefixtures("trained")
def test_tune_of_texts_names_column_and_provider(server: Any, nmtune: Any, tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("review,label\nbad,no\n")
    options = ("--text", "review", "--provider", "openai", "--model", "m", "--dimensions", "8")
    code, _, err = nmtune("tune", path, *options, "--no-wait")
    assert code == 0, err
    assert server.seen("POST", "/datasets")[0].query == {"name": "reviews", "text": "review"}
    assert server.seen("POST", "/jobs")[-1].json == {
        "name": "reviews",
        "dataset_id": "ds_1",
        "provider": {"name": "openai", "model": "m", "dimensions": 8},
    }
    code, _, err = nmtune("tune", path, "--text", "review")
    assert code == 2
    assert "--text needs --provider" in err


def test_plan_of_texts_says_what_is_unknown(server: Any, nmtune: Any) -> None:
    plan = {
        "dataset_id": "ds_7",
        "splits": [{"name": "train", "n_rows": 4}],
        "candidates": [{"name": "mlp"}],
        "memory_bytes": None,
        "seconds": None,
    }
    server.on("POST", "/jobs", server.ok(plan))
    code, out, _ = nmtune("tune", "ds_7", "--plan", "--provider", "local-minilm")
    assert code == 0
    assert "unknown before texts are embedded" in out
    assert server.seen("POST", "/jobs")[0].json["provider"] == {"name": "local-minilm"}


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


@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_what_cannot_be_is_refused_before_the_upload(
    server: Any, nmtune: Any, npz: Path, plan: tuple[str, ...]
) -> None:
    server.on("POST", "/jobs", server.problem(422, "invalid_request", "method must be 'auto'."))
    code, out, err = nmtune("tune", npz, "--method", "foo", *plan)
    assert (code, out) == (1, "")
    assert "method must be 'auto'." in err
    assert server.seen("POST", "/datasets") == []
    (asked,) = server.seen("POST", "/jobs")
    assert (asked.query, asked.json["method"]) == ({"plan": "true"}, "foo")


@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_a_refusal_after_the_upload_names_the_stored_dataset(
    server: Any, nmtune: Any, npz: Path, plan: tuple[str, ...]
) -> None:
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    not_there = server.problem(404, "dataset_not_found", "There is no dataset.")
    refusal = server.problem(422, "too_few_rows", "There is one class.")
    server.on("POST", "/jobs", not_there, refusal)
    code, out, err = nmtune("tune", npz, *plan)
    assert (code, out) == (1, "")
    assert "The dataset is stored: ds_1 can stand for the file next time." in err
    assert "There is one class." in err


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


def test_heads_are_listed_shown_and_given_aliases(server: Any, nmtune: Any) -> None:
    server.on("GET", "/heads", server.ok({"items": [HEAD], "next_cursor": None}))
    server.on("GET", "/heads/pets", server.ok(HEAD))
    server.on("PUT", "/heads/pets/aliases/prod", server.ok(HEAD))
    assert "prod -> 3" in nmtune("heads")[1]
    assert nmtune("heads", "show", "pets")[1].splitlines()[1].split()[:3] == [
        "pets@3",
        "nmtune",
        "-",
    ]
    assert nmtune("heads", "alias", "pets", "prod", 3)[1] == "pets@prod -> pets@3\n"
    assert json.loads(nmtune("heads", "show", "pets", "--json")[1]) == HEAD


def test_one_version_is_shown_by_its_number_or_alias(server: Any, nmtune: Any) -> None:
    versions = [{"name": "pets", "version": number, "method": "mlp"} for number in (2, 3)]
    server.on("GET", "/heads/pets", server.ok(HEAD | {"versions": versions}))
    for version in versions:
        server.on("GET", f"/heads/pets/versions/{version['version']}", server.ok(version))
    for reference, shown in (
        ("pets@2", "pets@2"),
        ("pets@prod", "pets@3"),
        ("pets@latest", "pets@3"),
    ):
        code, out, _ = nmtune("heads", "show", reference)
        assert code == 0
        assert [line.split()[0] for line in out.splitlines()] == ["version", shown]
    assert json.loads(nmtune("heads", "show", "pets@2", "--json")[1]) == versions[0]
    code, out, err = nmtune("heads", "show", "pets@nosuch")
    assert (code, out) == (2, "")
    assert "pets has no alias nosuch, but prod" in err


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        (("alias", "pets@3", "prod", "3"), "alias HEAD ALIAS VERSION"),
        (("rollback", "pets@prod", "prod"), "rollback HEAD ALIAS"),
        (("compare", "pets@2", "2", "3"), "compare HEAD FROM TO"),
    ],
)
def test_a_version_where_a_name_stands_alone_shows_the_right_call(
    server: Any, nmtune: Any, command: tuple[str, ...], usage: str
) -> None:
    code, out, err = nmtune("heads", *command)
    assert (code, out) == (2, "")
    assert err.startswith(f"nmtune: {command[1]} names a version")
    assert err.endswith(f"nmtune heads {usage}\n")
    assert server.requests == []


def test_heads_show_figures_encoder_and_notes(server: Any, nmtune: Any) -> None:
    version = {
        "name": "pets",
        "version": 3,
        "method": "auto",
        "metrics": {
            "test": {"accuracy": 0.91},
            "ood/sketch": {"accuracy": 0.5},
            "ood/paint": {"accuracy": 0.7},
        },
        "encoder": {"provider": "openai", "model": "text-embedding-3-small"},
        "description": "labels of May",
        "tags": {"ticket": "ML-12"},
        "created_at": "2026-11-25T03:21:46Z",
    }
    head = HEAD | {"versions": [version]}
    server.on("GET", "/heads", server.ok({"items": [head], "next_cursor": None}))
    server.on("GET", "/heads/pets", server.ok(head))
    header, line = nmtune("heads")[1].splitlines()
    assert header.split()[:5] == ["head", "ID", "accuracy", "mean", "OOD"]
    assert line.split()[:3] == ["pets@3", "0.910", "0.600"]
    for word in ("openai text-embedding-3-small", "prod -> 3", "ticket=ML-12 labels of May"):
        assert word in line
    assert "2026-11-25" in line
    shown = nmtune("heads", "show", "pets")[1]
    assert "pets@3  ticket=ML-12  labels of May" in shown


def test_notes_of_a_version_are_edited(server: Any, nmtune: Any) -> None:
    version = {"name": "pets", "version": 3, "tags": {"a": "1", "b": "2"}}
    server.on("GET", "/heads/pets", server.ok(HEAD))
    server.on("GET", "/heads/pets/versions/3", server.ok(version))
    server.on("PATCH", "/heads/pets/versions/3", server.ok(version | {"description": "good"}))
    code, out, _ = nmtune(
        "heads", "edit", "pets@prod", "--tag", "c=3=x", "--untag", "a", "--description", "good"
    )
    assert (code, out) == (0, "pets@3  a=1 b=2 good\n")
    assert nmtune("heads", "edit", "pets", "--description", "")[0] == 0
    assert [request.json for request in server.seen("PATCH", "/heads/pets/versions/3")] == [
        {"description": "good", "tags": {"b": "2", "c": "3=x"}},
        {"description": None},
    ]
    for wrong in (["--tag", "x"], []):
        code, out, err = nmtune("heads", "edit", "pets@3", *wrong)
        assert (code, out) == (2, "")
        assert "--tag" in err


@pytest.mark.usefixtures("trained")
def test_tune_sends_notes(server: Any, nmtune: Any, npz: Path) -> None:
    notes = ("--description", "labels of May", "--tag", "ticket=ML-12", "--tag", "who=me")
    assert nmtune("tune", npz, "--name", "pets", *notes)[0] == 0
    sent = server.seen("POST", "/jobs")[-1].json
    assert (sent["description"], sent["tags"]) == (
        "labels of May",
        {"ticket": "ML-12", "who": "me"},
    )


def test_drift_of_a_head_is_shown(server: Any, nmtune: Any) -> None:
    drift = {
        "name": "pets",
        "version": 3,
        "state": "much",
        "sentence": "Far away.",
        "n_rows": 500,
        "n_training_rows": 900,
        "is_recording": False,
        "columns": [{"column": 7, "shift": 0.5, "z": 12.25}],
        "first_at": "2026-11-26T03:00:00Z",
    }
    server.on("GET", "/heads/pets/drift", server.ok(drift))
    code, out, err = nmtune("heads", "drift", "pets", "--alias", "prod", "--hours", 48)
    assert code == 0
    assert out.splitlines() == [
        "pets@3: Far away.",
        "",
        "column   shift      z",
        "     7  +0.500  +12.2",
    ]
    assert "NMTUNE_DRIFT=on" in err
    assert server.seen("GET", "/heads/pets/drift")[0].query == {"alias": "prod", "hours": "48"}
    assert json.loads(nmtune("heads", "drift", "pets", "--json")[1]) == drift
    assert nmtune("heads", "drift", "pets", "--alias", "a", "--version", 1)[0] == 2
    for reference in ("pets@3", "pets@prod", "pets@latest"):
        assert nmtune("heads", "drift", reference)[0] == 0
    asked = [one.query for one in server.seen("GET", "/heads/pets/drift")]
    assert asked[2:] == [{"version": "3"}, {"alias": "prod"}, {}]
    code, _, err = nmtune("heads", "drift", "pets@3", "--version", 1)
    assert (code, "leave out --version and --alias" in err) == (2, True)


def test_datasets_are_listed_uploaded_shown_and_deleted(
    server: Any, nmtune: Any, npz: Path
) -> None:
    server.on("GET", "/datasets", server.ok({"items": [DATASET], "next_cursor": None}))
    server.on("GET", "/datasets/ds_1", server.ok(DATASET))
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    server.on("DELETE", "/datasets/ds_1", type(server.DROP)(status=204))
    assert "2.0 KiB" in nmtune("datasets")[1]
    assert "train     4" in nmtune("datasets", "show", "ds_1")[1]
    assert nmtune("datasets", "upload", npz)[0] == 0
    assert server.seen("POST", "/datasets")[0].query == {"name": "pets"}
    assert nmtune("datasets", "delete", "ds_1") == (0, "", "Deleted ds_1.\n")


def test_how_long_a_dataset_is_kept_is_said_in_words(server: Any, nmtune: Any, npz: Path) -> None:
    expiring = DATASET | {"expires_at": "2026-12-24T12:00:00Z"}
    server.on("POST", "/datasets", server.ok(expiring, status=201))
    server.on("PATCH", "/datasets/ds_1", server.ok(expiring), server.ok(DATASET))
    code, out, _ = nmtune("datasets", "upload", npz, "--keep", "7d")
    assert code == 0
    assert "expires  2026-12-24" in out
    assert server.seen("POST", "/datasets")[0].query["keep_seconds"] == "604800"
    assert "expires" in nmtune("datasets", "keep", "ds_1", "12h")[1]
    assert "expires" not in nmtune("datasets", "keep", "ds_1", "forever")[1]
    bodies = [request.json for request in server.seen("PATCH", "/datasets/ds_1")]
    assert bodies == [{"keep_seconds": 43_200}, {"keep_seconds": None}]
    for wrong in ("7", "d", "0d", "-1d", "1.5d", "next week"):
        code, _, err = nmtune("datasets", "upload", npz, "--keep", wrong)
        assert code == 2, wrong
        assert "such as 7d" in err or "expected one argument" in err
        assert nmtune("datasets", "keep", "ds_1", "--", wrong)[0] == 2


def test_help_of_every_command_fits_and_version_is_told(nmtune: Any) -> None:
    commands = ["", "tune", "jobs", "jobs list", "jobs show", "jobs wait", "jobs cancel"]
    commands += ["jobs events", "report", "predict", "heads", "heads show", "heads alias"]
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
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, b"")
