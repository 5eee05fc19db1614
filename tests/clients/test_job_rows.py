"""A job's rows and map: pages, files, the command, and answers that are something else."""

import asyncio
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from nmtune_client import (
    AsyncClient,
    BadResponseError,
    Client,
    Job,
    JobData,
    JobMap,
    JobRow,
    Neighbour,
    NMTuneError,
)

from tests.clients.conftest import Reply
from tests.store.files.test_job_map import made

JOB = "/jobs/job_1"
ROWS = f"{JOB}/rows"


def row_json(row: int, **changes: Any) -> dict[str, Any]:
    values = {
        "split": "test",
        "row": row,
        "file_row": row + 100,
        "id": f"ticket-{row}",
        "text": 'late, "again"\n',
        "label": "a",
        "predicted": "b",
        "label_probability": 0.25,
        "predicted_probability": 0.75,
        "ood_score": 1.5,
        "set_size": 2,
        "suggested": None,
        "neighbours": None,
        "newer": "left alone",
    }
    return values | changes


@pytest.fixture
def job(client: Client, server: Any, job_json: Callable[..., Any]) -> Job:
    """A job that has succeeded, at a server with two pages of rows."""
    server.on("GET", JOB, server.ok(job_json(status="succeeded")))
    server.on(
        "GET",
        ROWS,
        server.ok({"items": [row_json(0), row_json(1)], "n_matching": 3, "next_cursor": "c2"}),
        server.ok({"items": [row_json(7)], "n_matching": 3, "next_cursor": None}),
    )
    return Job(client, JobData.from_json(job_json(status="succeeded")))


def test_rows_come_from_all_pages_with_the_filters(server: Any, job: Job) -> None:
    rows = list(job.rows(only="gained", candidate="mlp", against="auto", sort="-ood_score"))
    assert [row.row for row in rows] == [0, 1, 7]
    assert rows[0] == JobRow(**{key: one for key, one in row_json(0).items() if key != "newer"})
    first, second = server.seen("GET", ROWS)
    asked = {"only": "gained", "candidate": "mlp", "against": "auto", "sort": "-ood_score"}
    assert first.query == asked
    assert second.query == asked | {"cursor": "c2"}
    assert first.headers["accept"] == "application/json"


def test_a_limit_asks_for_no_more_than_it_needs(server: Any, job: Job) -> None:
    assert len(list(job.rows(limit=2))) == 2
    [request] = server.seen("GET", ROWS)
    assert request.query == {"limit": "2"}


def test_neighbours_are_values_of_their_own(server: Any, job: Job) -> None:
    near = {"row": 3, "file_row": None, "id": None, "text": None, "label": "b", "similarity": 0.9}
    items = [row_json(0, split="train", suggested="b", neighbours=[near])]
    server.on("GET", ROWS, server.ok({"items": items, "next_cursor": None}))
    [row] = job.rows(only="suspected", neighbours=True)
    assert row.neighbours == (Neighbour(row=3, label="b", similarity=0.9),)
    assert server.seen("GET", ROWS)[0].query == {"only": "suspected", "neighbours": "true"}


def test_rows_are_a_frame_and_a_table(job: Job) -> None:
    listed = job.rows()
    assert "P(label)" in repr(listed)
    assert "ticket-7" in repr(listed)
    frame = pd.DataFrame(listed)
    assert frame["row"].tolist() == [0, 1, 7]
    assert frame["file_row"].tolist() == [100, 101, 107]


def test_the_file_is_written_whole_or_not_at_all(server: Any, job: Job, tmp_path: Path) -> None:
    server.on(
        "GET", ROWS, Reply(body=b"PAR1", headers={"Content-Type": "application/x"}, fault="cut")
    )
    with pytest.raises(NMTuneError):
        job.save_rows(tmp_path / "rows.parquet", only="errors")
    assert list(tmp_path.iterdir()) == []
    server.on("GET", ROWS, Reply(body=b"PAR1...PAR1"))
    path = job.save_rows(tmp_path / "rows.parquet", only="errors")
    assert path.read_bytes() == b"PAR1...PAR1"
    request = server.seen("GET", ROWS)[-1]
    assert request.headers["accept"] == "application/vnd.apache.parquet"
    assert request.query == {"only": "errors"}


def test_a_map_is_arrays(server: Any, job: Job) -> None:
    plane = np.array([[0.0, 0], [1, 1], [2, 2], [3, 0]])
    server.on("GET", f"{JOB}/map", Reply(body=made().drawn({"tsne_tuned": plane}).to_bytes()))
    found = job.map()
    assert isinstance(found, JobMap)
    assert len(found) == 4
    assert found.classes == ("ca\u0301t", '"<script>')
    assert set(found.planes) == {"pca_raw", "pca_tuned", "tsne_tuned"}
    np.testing.assert_allclose(found.planes["tsne_tuned"], plane / 3, atol=1e-4)
    assert found.tsne == "drawn"
    assert found.ood_threshold is None
    assert np.isnan(found.ood_score).all()
    assert "4 points" in repr(found)


def test_points_without_a_prediction_are_marked(server: Any, job: Job) -> None:
    one = made()
    predicted = np.array([0, 65_535, 1, 65_535], np.uint16)
    shown = type(one)(columns={**one.columns, "predicted": predicted}, about=one.about)
    server.on("GET", f"{JOB}/map", Reply(body=shown.to_bytes()))
    found = job.map()
    assert found.predicted.tolist() == [0, -1, 1, -1]
    assert np.isnan(found.label_probability).tolist() == [False, True, False, True]


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff" * 40, made().to_bytes()[:60]])
def test_what_is_no_map_is_an_error_in_words(server: Any, job: Job, body: bytes) -> None:
    server.on("GET", f"{JOB}/map", Reply(body=body))
    with pytest.raises(BadResponseError, match="matching version"):
        job.map()


def test_rows_and_map_in_asyncio(server: Any, job: Job) -> None:
    assert job.id == "job_1"
    server.on("GET", f"{JOB}/map", Reply(body=made().to_bytes()))

    async def ask() -> tuple[list[int], int]:
        async with AsyncClient(server.url) as client:
            found = await client.jobs.get("job_1")
            return [row.row async for row in found.rows()], len(await found.map())

    assert asyncio.run(ask()) == ([0, 1, 7], 4)


def test_the_command_shows_rows(nmtune: Any, job: Job, server: Any) -> None:
    assert job.id == "job_1"
    code, out, _ = nmtune("rows", "job_1", "--only", "errors", "--sort=-ood_score")
    assert code == 0
    assert out.splitlines()[0].split()[:3] == ["split", "row", "file"]
    assert "ticket-7" in out
    assert server.seen("GET", ROWS)[0].query == {
        "only": "errors",
        "sort": "-ood_score",
        "limit": "20",
    }


def test_the_command_prints_json(nmtune: Any, job: Job) -> None:
    assert job.id == "job_1"
    _, out, _ = nmtune("rows", "job_1", "--json")
    assert [one["id"] for one in json.loads(out)] == ["ticket-0", "ticket-1", "ticket-7"]


def test_the_command_writes_csv(nmtune: Any, job: Job, tmp_path: Path) -> None:
    assert job.id == "job_1"
    path = tmp_path / "rows.csv"
    code, out, err = nmtune("rows", "job_1", "--out", path)
    assert (code, out) == (0, "")
    assert f"Wrote 3 rows to {path}." in err
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["id"] for line in lines] == ["ticket-0", "ticket-1", "ticket-7"]
    assert lines[0]["text"] == 'late, "again"\n'
    assert lines[0]["suggested"] == ""


def test_the_command_writes_parquet(nmtune: Any, job: Job, server: Any, tmp_path: Path) -> None:
    assert job.id == "job_1"
    server.on("GET", ROWS, Reply(body=b"PAR1...PAR1"))
    path = tmp_path / "rows.parquet"
    code, _, err = nmtune("rows", "job_1", "--split", "test", "--out", path)
    assert code == 0
    assert f"Wrote {path}." in err
    assert path.read_bytes() == b"PAR1...PAR1"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--out", "rows.xlsx"], "end it with .parquet or .csv"),
        (["--out", "rows.parquet", "--limit", "5"], "leave out --sort and --limit"),
        (["--out", "no/rows.csv"], "there is no folder"),
    ],
    ids=["ending", "limit", "folder"],
)
def test_a_file_that_cannot_be_is_an_error_of_usage(
    nmtune: Any,
    job: Job,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    told: str,
) -> None:
    assert job.id == "job_1"
    monkeypatch.chdir(tmp_path)
    code, _, err = nmtune("rows", "job_1", *arguments)
    assert code == 2
    assert told in err
    assert list(tmp_path.iterdir()) == []


def test_what_the_server_refuses_is_told(nmtune: Any, job: Job, server: Any) -> None:
    assert job.id == "job_1"
    gone = server.problem(410, "job_file_expired", "The file 'rows' is no longer kept.")
    server.on("GET", ROWS, gone)
    code, out, err = nmtune("rows", "job_1")
    assert (code, out) == (1, "")
    assert "no longer kept" in err
