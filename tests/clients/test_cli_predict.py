"""`nmtune predict`: rows in many forms, and what is told of those that cannot be read."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def echo_shape(server: Any) -> Callable[[Any], Any]:
    def answer(request: Any) -> Any:
        rows = np.frombuffer(request.body, "<f4").reshape(
            *map(int, request.headers["x-shape"].split(","))
        )
        data = {
            "head": {"name": "pets", "version": 3},
            "classes": ["cat", "dog"],
            "labels": ["cat"] * len(rows),
            "probabilities": [[float(rows[0, 0]), float(rows[0, 1])]] * len(rows),
        }
        return server.ok(data)

    return answer


@pytest.mark.parametrize("form", ["npy", "npz", "npz:test_x", "csv", "stdin npy", "stdin json"])
def test_predict_reads_rows_in_many_forms(
    server: Any, nmtune: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    server.on("POST", "/predict", echo_shape(server))
    x = np.array([[0.75, 0.25], [0.75, 0.25]], dtype=np.float32)
    kind, _, member = form.partition(":")
    path = tmp_path / f"x.{kind}"
    binary = io.BytesIO()
    np.save(binary, x)
    if form == "npy":
        path.write_bytes(binary.getvalue())
    elif form == "npz":
        np.savez(path, x=x)
    elif form == "npz:test_x":
        np.savez(path, train_x=x * 0, test_x=x, test_y=[0, 1])
    elif form == "csv":
        path.write_text("0.75, 0.25\n\n0.75\t0.25\n")
    else:
        data = binary.getvalue() if form == "stdin npy" else b"[[0.75, 0.25], [0.75, 0.25]]"
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    source = "-" if form.startswith("stdin") else f"{path}:{member}" if member else path
    code, out, err = nmtune("predict", "pets", source, "--top-k", "2")
    assert code == 0
    assert out == "0\tcat\t0.7500\tdog\t0.2500\n1\tcat\t0.7500\tdog\t0.2500\n"
    assert err == "pets@3: 2 rows\n"


def test_predict_as_json_keeps_short_numbers(
    server: Any, nmtune: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("POST", "/predict", echo_shape(server))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"0.1 0.9")))
    assert json.loads(nmtune("predict", "pets", "-", "--json")[1]) == {
        "head": {"name": "pets", "version": 3},
        "classes": ["cat", "dog"],
        "labels": ["cat"],
        "probabilities": [[0.1, 0.9]],
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"", "is empty: it holds no numbers"),
        ("x.txt", b"\n", "holds no numbers"),
        ("x.txt", b"1 2\n1 two\n", "line 2: could not convert string to float: 'two'"),
        ("x.txt", b"1 2\n3\n", "row 1: has 1 values where row 0 has 2"),
        ("x.json", b"[[1, 2", "is not JSON"),
        ("x.bin", b"\xff\xfe\x00\x01", "is neither npy, npz nor text"),
        ("x.npy", b"\x93NUMPY\x01\x00", "x.npy cannot be read as npy: EOF"),
        ("x.npz", b"PK\x03\x04 broken", "cannot be read as npz: File is not a zip file"),
    ],
)
def test_rows_that_cannot_be_read_are_told(
    nmtune: Any, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    code, out, err = nmtune("predict", "pets", path)
    assert (code, out) == (2, "")
    assert message in err


def test_npz_with_several_matrices_asks_which(nmtune: Any, npz: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    np.savez(path, train_x=[[1.0]], test_x=[[1.0]], test_y=[0])
    code, _, err = nmtune("predict", "pets", path)
    assert code == 2
    assert f"choose one, e.g. {path}:test_x" in err
    err = nmtune("predict", "pets", f"{npz}:test_x")[2]
    assert "has no member 'test_x', but train_x, train_y" in err


def test_each_wrong_call_names_the_right_one(
    server: Any, nmtune: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", [[1.0, 2.0]])
    pq.write_table(pa.table({"embedding": [[1.0, 2.0]]}), "rows.parquet")
    Path("rows.csv").write_text("id,embedding\n1,2\n")
    Path("rows.jsonl").write_text('{"embedding": [1, 2]}\n')
    Path("rows").write_bytes(Path("rows.parquet").read_bytes())
    Path("rows.csv.gz").write_bytes(b"\x1f\x8b")
    Path("empty.npy").touch()
    Path("folder").mkdir()
    right = "nmtune predict pets@prod {} --output OUT.parquet"
    calls = {
        ("pets@prod", "rows.parquet"): right.format("rows.parquet"),
        ("pets@prod", "rows.csv"): right.format("rows.csv"),
        ("pets@prod", "rows.jsonl"): right.format("rows.jsonl"),
        ("pets@prod", "rows.csv.gz"): right.format("rows.csv.gz"),
        ("pets@prod", "rows"): right.format("rows"),
        ("rows.npy", "pets@prod"): "the head comes first: nmtune predict pets@prod rows.npy",
        ("rows.parquet", "pets@prod"): "nmtune predict pets@prod rows.parquet",
        ("rows.parquet", "pets", "--output", "o.csv"): "nmtune predict pets rows.parquet",
        ("rows.npy",): "say which head: nmtune predict HEAD rows.npy",
        ("rows.npy", "--text", "x"): "the head comes first: nmtune predict HEAD --text",
        ("pets",): "nmtune predict pets FILE",
        (): "nmtune predict HEAD FILE",
        ("pets", "nowhere.npy"): "there is no file nowhere.npy",
        ("pets", "nowhere.parquet", "--output", "o.csv"): "there is no file nowhere.parquet",
        ("pets", "folder"): "folder is a folder",
        ("pets", "folder", "--output", "o.csv"): "folder is a folder",
        ("pets", "empty.npy"): "empty.npy is empty",
        ("pets", "empty.npy", "--output", "o.csv"): "empty.npy is empty",
        ("pets", "rows.npy", "--output", "o.txt"): "shows no format",
        ("pets", "rows.npy", "--head", "pets", "--output", "o.csv"): "name the head once",
        ("rows.npy", "--head", "pets"): "--head goes with --output",
        ("pets", "--text", "x", "--output", "o.csv"): "leave out --text",
    }
    for arguments, says in calls.items():
        code, out, err = nmtune("predict", *arguments)
        assert (code, out) == (2, ""), arguments
        assert says in err, (arguments, err)
        assert len(err.splitlines()) == 1, arguments
        assert "Errno" not in err
    for arguments in (("tune", "nowhere.csv"), ("tune", "folder"), ("datasets", "upload", "nope")):
        code, _, err = nmtune(*arguments, *(("--name", "x") if "tune" in arguments else ()))
        assert code == 2
        assert len(err.splitlines()) == 1
    assert server.requests == []


def test_rows_one_json_list_a_line_are_read(server: Any, nmtune: Any, tmp_path: Path) -> None:
    server.on("POST", "/predict", echo_shape(server))
    path = tmp_path / "rows.jsonl"
    path.write_text("[0.75, 0.25]\n[0.75, 0.25]\n")
    code, out, _ = nmtune("predict", "pets", path)
    assert (code, out) == (0, "0\tcat\t0.7500\n1\tcat\t0.7500\n")


@pytest.mark.parametrize(
    "option",
    [
        ("--queue", "cpu"),
        ("--priority", "5"),
        ("--text-column", "text"),
        ("--id-column", "id"),
        ("--timeout", "5"),
    ],
)
def test_an_option_of_whole_files_is_refused_without_an_output(
    server: Any, nmtune: Any, tmp_path: Path, option: tuple[str, ...]
) -> None:
    server.on("POST", "/predict", echo_shape(server))
    np.save(tmp_path / "x.npy", np.ones((2, 2), np.float32))
    code, out, err = nmtune("predict", "pets", tmp_path / "x.npy", *option)
    assert (code, out) == (2, "")
    assert f"{option[0]} is for a whole file: nmtune predict pets" in err
    assert "--output OUT.parquet" in err


ANSWERED = {
    "head": {"name": "pets", "version": 3},
    "classes": ["cat", "dog"],
    "labels": ["cat", None],
    "probabilities": [[0.75, 0.25], [0.5, 0.5]],
    "sets": [["cat"], ["cat", "dog"]],
    "ood": {"scores": [0.5, 2.25], "is_ood": [False, True], "threshold": 1.5},
}
ALL_OPTIONS = ("--abstain-below", "0.7", "--conformal-level", "0.9", "--ood")


def test_rows_are_given_all_that_the_api_serves(server: Any, nmtune: Any, tmp_path: Path) -> None:
    server.on("POST", "/predict", server.ok(ANSWERED))
    np.save(tmp_path / "x.npy", np.ones((2, 2), np.float32))
    code, out, _ = nmtune("predict", "pets", tmp_path / "x.npy", *ALL_OPTIONS)
    assert code == 0
    assert out.splitlines() == [
        "0\tcat\t0.7500\tcat\tID\t0.5000",
        "1\t-\t0.5000\tcat,dog\tOOD\t2.2500",
    ]
    (asked,) = server.seen("POST", "/predict")
    wanted = {"abstain_below": "0.7", "conformal_level": "0.9", "ood": "true"}
    assert asked.query == {"head": "pets"} | wanted


def test_rows_as_json_are_the_answer_of_the_api(server: Any, nmtune: Any, tmp_path: Path) -> None:
    server.on("POST", "/predict", server.ok(ANSWERED))
    np.save(tmp_path / "x.npy", np.ones((2, 2), np.float32))
    code, out, _ = nmtune("predict", "pets", tmp_path / "x.npy", *ALL_OPTIONS, "--json")
    assert (code, json.loads(out)) == (0, ANSWERED)


@pytest.mark.parametrize(
    ("values", "answer", "lines"),
    [
        (
            "logits",
            {"labels": ["cat", "dog"], "logits": [[1.5, -1.0], [0.0, 2.0]]},
            ["0\tcat\t1.5\t-1", "1\tdog\t0\t2"],
        ),
        ("labels", {"labels": ["cat", "dog"]}, ["0\tcat", "1\tdog"]),
        ("embeddings", {"embeddings": [[0.5], [0.25]]}, ["0\t0.5", "1\t0.25"]),
    ],
)
def test_values_of_rows_are_chosen(
    server: Any, nmtune: Any, tmp_path: Path, values: str, answer: Any, lines: list[str]
) -> None:
    known = {"head": ANSWERED["head"], "classes": ANSWERED["classes"]}
    server.on("POST", "/predict", server.ok(known | answer))
    np.save(tmp_path / "x.npy", np.ones((2, 2), np.float32))
    code, out, _ = nmtune("predict", "pets", tmp_path / "x.npy", "--values", values)
    assert (code, out.splitlines()) == (0, lines)
    assert server.seen("POST", "/predict")[0].query["output"] == values
    code, _, err = nmtune("predict", "pets", tmp_path / "x.npy", "--values", values, "--top-k", "2")
    assert code == 2
    assert f"leave it out, or --values {values}" in err


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_sent(
    server: Any, nmtune: Any, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 2), np.float32))
    to = tmp_path / "absent" / "out.parquet"
    code, out, err = nmtune("predict", "pets", tmp_path / "x.npy", "--output", to)
    assert (code, out) == (2, "")
    assert err == f"nmtune: there is no folder {to.parent} to write out.parquet into\n"
    folder = tmp_path / "out.csv"
    folder.mkdir()
    err = nmtune("predict", "pets", tmp_path / "x.npy", "--output", folder)[2]
    assert err == f"nmtune: {folder} is a folder: name a file in it\n"
    assert not server.requests


def test_the_output_of_a_job_is_fetched(
    server: Any, nmtune: Any, job_json: Callable[..., Any], tmp_path: Path
) -> None:
    job = job_json(status="succeeded", kind="prediction", output={"format": "csv"})
    server.on("GET", "/jobs/job_1", server.ok(job))
    server.on("GET", "/jobs/job_1/output", server.ok({"rows": 2}))
    to = tmp_path / "out.csv"
    assert nmtune("jobs", "output", "job_1", to)[:2] == (0, f"{to}\n")
    assert json.loads(to.read_bytes()) == {"rows": 2}
    size = to.stat().st_size
    told = json.loads(nmtune("jobs", "output", "job_1", to, "--json")[1])
    assert told == {"path": str(to), "size_bytes": size}
    code, out, err = nmtune("jobs", "output", "job_1", tmp_path / "out.parquet")
    assert (code, out) == (2, "")
    assert "out.parquet says parquet, and the job wrote csv" in err
    code, out, err = nmtune("jobs", "output", "job_1", tmp_path / "absent" / "out.csv")
    assert (code, out) == (2, "")
    assert "there is no folder" in err
    assert [one.name for one in tmp_path.iterdir()] == ["out.csv"]


def test_a_job_that_outlasts_the_patience_says_how_to_fetch_its_output(
    server: Any, nmtune: Any, job_json: Callable[..., Any], tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 2), np.float32))
    dataset = {"id": "ds_1", "name": "x", "n_rows": 2, "n_columns": 2}
    running = job_json(status="running", kind="prediction")
    server.on("POST", "/datasets", server.ok(dataset, status=201))
    server.on("POST", "/predictions", server.ok(running, status=202))
    server.on("GET", "/jobs/job_1", server.ok(running))
    server.on("GET", "/jobs/job_1/events", server.ok({"items": [], "next_cursor": None}))
    to = tmp_path / "o.csv"
    options = ("--output", to, "--timeout", "0.01")
    server.on("DELETE", "/datasets/ds_1", server.problem(409, "dataset_in_use", "A job needs it."))
    code, out, err = nmtune("predict", "pets", tmp_path / "x.npy", *options)
    assert (code, out) == (4, "")
    assert f"Once it has ended, fetch its output with: nmtune jobs output job_1 {to}\n" in err


def test_verify_names_what_is_no_bundle(nmtune: Any, tmp_path: Path) -> None:
    assert nmtune("verify", tmp_path / "x.zip")[2] == f"nmtune: there is no file {tmp_path}/x.zip\n"
    assert nmtune("verify", tmp_path)[2] == f"nmtune: {tmp_path} is a folder: name a file in it\n"
    (tmp_path / "x.zip").touch()
    assert "x.zip is empty: it holds no files" in nmtune("verify", tmp_path / "x.zip")[2]
