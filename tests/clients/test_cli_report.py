"""`nmtune report`: what is printed, and the file of suspected rows."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

JOB = "/jobs/job_1"
SUSPECT = {
    "row": 4,
    "file_row": 17,
    "id": "ticket-9",
    "text": "late again",
    "given": "a",
    "suggested": "b",
    "given_probability": 0.125,
    "suggested_probability": 0.875,
    "score": 0.75,
}


@pytest.fixture
def reported(server: Any, report_json: dict[str, Any]) -> dict[str, Any]:
    """A report with a suspect of two, at the fault server."""
    report_json["findings"] = {
        "label_errors": {"n_rows": 500, "n_suspected": 2, "suspected": [SUSPECT]}
    }
    server.on("GET", f"{JOB}/report", server.ok(report_json))
    return report_json


def test_report_is_short_and_full_shows_the_rest(nmtune: Any, reported: dict[str, Any]) -> None:
    assert reported
    out = nmtune("report", "job_1")[1]
    assert len(out.splitlines()) <= 25
    assert "spectrum" not in out
    assert "nmtune report job_1 --full" in out
    assert "spectrum, raw -> tuned" in nmtune("report", "job_1", "--full")[1]


def test_suspects_are_written_with_the_rows_of_the_users_file(
    nmtune: Any, reported: dict[str, Any], tmp_path: Path
) -> None:
    assert reported
    path = tmp_path / "suspects.csv"
    code, out, err = nmtune("report", "job_1", "--suspects", path)
    assert (code, out) == (0, "")
    assert f"Wrote 1 suspected row, the worst of 2 to {path}." in err
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["file_row", "id", "text", "given", "suggested", "score"],
            ["17", "ticket-9", "late again", "a", "b", "0.750000"],
        ]


def test_suspects_go_to_standard_output_alone(
    nmtune: Any, reported: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reported
    monkeypatch.chdir(tmp_path)
    code, out, err = nmtune("report", "job_1", "--suspects", "-")
    assert code == 0
    assert out == ("file_row,id,text,given,suggested,score\n17,ticket-9,late again,a,b,0.750000\n")
    assert "Wrote 1 suspected row, the worst of 2 to standard output." in err
    for option in ("--json", "--full"):
        code, out, err = nmtune("report", "job_1", "--suspects", "-", option)
        assert (code, out) == (2, "")
        assert "leave out --json and --full" in err
    assert list(tmp_path.iterdir()) == []


def test_suspects_of_an_older_server_say_what_is_missing(
    server: Any, nmtune: Any, reported: dict[str, Any], tmp_path: Path
) -> None:
    suspects = reported["findings"]["label_errors"]["suspected"]
    suspects[0] = {key: SUSPECT[key] for key in ("row", "given", "suggested")} | {
        "given_probability": 0.1,
        "suggested_probability": 0.9,
    }
    server.on("GET", f"{JOB}/report", server.ok(reported))
    path = tmp_path / "suspects.csv"
    code, _, err = nmtune("report", "job_1", "--suspects", path)
    assert code == 0
    assert "Their places in your file are not known" in err
    assert path.read_text().splitlines()[1] == ",,,a,b,0.800000"


def test_suspects_that_cannot_be_written_are_an_error_of_usage(
    nmtune: Any, reported: dict[str, Any], tmp_path: Path
) -> None:
    assert reported
    code, _, err = nmtune("report", "job_1", "--suspects", tmp_path / "no" / "s.csv")
    assert code == 2
    assert "s.csv" in err


def test_alias_that_stayed_is_told_with_what_moves_it(
    server: Any, nmtune: Any, job_json: Callable[..., Any], report_json: dict[str, Any]
) -> None:
    outcome = {
        "name": "prod",
        "moved": False,
        "version": 2,
        "previous_version": 2,
        "reason": "pets@prod did not move to version 3 and still names version 2: it is worse.",
        "command": "nmtune heads alias pets prod 3",
    }
    done = job_json(status="succeeded", alias="prod", alias_always=False, alias_outcome=outcome)
    server.on("GET", JOB, server.ok(done))
    server.on("GET", f"{JOB}/report", server.ok(report_json | {"alias": outcome}))
    _, out, err = nmtune("jobs", "wait", "job_1")
    assert outcome["reason"] in out
    assert "nmtune heads alias pets prod 3" in out
    assert "Published pets@3." in err
    assert outcome["reason"] in nmtune("jobs", "show", "job_1")[1]


def test_alias_always_is_sent(server: Any, nmtune: Any, job_json: Callable[..., Any]) -> None:
    server.on("POST", "/jobs", server.ok(job_json(), status=202))
    code = nmtune(
        "tune", "ds_1", "--name", "pets", "--alias", "prod", "--alias-always", "--no-wait"
    )[0]
    assert code == 0
    (sent,) = server.seen("POST", "/jobs")
    assert (sent.json["alias"], sent.json["alias_always"]) == ("prod", True)


def test_suspects_into_a_folder_that_is_not_there(
    nmtune: Any, reported: dict[str, Any], tmp_path: Path
) -> None:
    assert reported
    code, _, err = nmtune("report", "job_1", "--suspects", tmp_path / "absent" / "s.csv")
    assert code == 2
    assert err == f"nmtune: there is no folder {tmp_path}/absent to write s.csv into\n"


def test_a_report_without_held_out_splits_shows_no_empty_table(
    server: Any, nmtune: Any, reported: dict[str, Any]
) -> None:
    for candidate in reported["candidates"].values():
        candidate["metrics"] = {}
    server.on("GET", f"{JOB}/report", server.ok(reported))
    for options in ((), ("--full",)):
        out = nmtune("report", "job_1", *options)[1]
        assert reported["verdict"]["summary"][:20] in out
        assert "accuracy, %" not in out
        assert "accuracy % (macro-F1 %)" not in out
        assert "* best" not in out


def test_alias_always_without_an_alias_is_refused_before_the_upload(
    server: Any, nmtune: Any, tmp_path: Path
) -> None:
    (tmp_path / "x.npz").write_bytes(b"anything")
    code, _, err = nmtune("tune", tmp_path / "x.npz", "--alias-always")
    assert code == 2
    assert "--alias-always needs --alias" in err
    assert not server.requests
