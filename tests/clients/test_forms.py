"""Embeddings in every form, through the clients: what is sent, and what is refused unsent."""

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from nmtune_client import AsyncClient, Client
from nmtune_client._datasets.files import write_rows

X = np.array([[1.0, 2.5], [3.0, 4.0], [0.5, 6.0]], np.float32)
LABELS = ["a", "b", "a"]
FORMS: dict[str, Callable[[], Any]] = {
    "a Series of lists": lambda: pd.DataFrame({"embedding": X.tolist()})["embedding"],
    "a Series of arrays": lambda: pd.Series(list(X), index=[7, 8, 9]),
    "a frame of one column": lambda: pd.DataFrame({"embedding": list(X)}),
    "a polars column": lambda: pl.Series(X.tolist()),
    "a pyarrow column": lambda: pa.table({"embedding": X.tolist()})["embedding"],
    "tensors": lambda: [torch.tensor(row, requires_grad=True) for row in X],
    "bfloat16": lambda: torch.tensor(X).bfloat16(),
    "a generator": lambda: (row for row in X),
}


def both(server: Any, call: Callable[[Any], Any]) -> list[Any]:
    """What the call gives with either client."""
    with Client(server.url) as client:
        found = [call(client)]

    async def ask() -> Any:
        async with AsyncClient(server.url) as client:
            return await call(client)

    return [*found, asyncio.run(ask())]


def sent_rows(request: Any) -> np.ndarray:
    shape = tuple(map(int, request.headers["x-shape"].split(",")))
    return np.frombuffer(request.body, "<f4").reshape(shape)


@pytest.mark.parametrize("form", FORMS)
def test_predict_takes_it(server: Any, form: str) -> None:
    def answer(request: Any) -> Any:
        rows = sent_rows(request)
        head = {"name": "pets", "version": 3}
        probabilities = [[0.75, 0.25]] * len(rows)
        return server.ok(
            {
                "head": head,
                "classes": ["a", "b"],
                "labels": ["a"] * len(rows),
                "probabilities": probabilities,
            }
        )

    server.on("POST", "/predict", answer)
    for prediction in both(server, lambda client: client.predict("pets", FORMS[form]())):
        assert len(prediction) == 3
        assert len(repr(prediction)) < 200
    for request in server.seen("POST", "/predict"):
        np.testing.assert_array_equal(sent_rows(request), X)


@pytest.mark.parametrize("form", FORMS)
def test_a_job_takes_it(server: Any, job_json: Callable[..., Any], form: str) -> None:
    server.on("POST", "/jobs", server.ok(job_json(), status=202))
    both(
        server,
        lambda client: client.jobs.create(name="pets", embeddings=FORMS[form](), labels=LABELS),
    )
    first, second = server.seen("POST", "/jobs")
    assert first.json["embeddings"] == second.json["embeddings"]
    assert first.json["embeddings"]["shape"] == [3, 2]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (pd.Series([[1.0, 2.0], [3.0]]), "row 1: has 1 values where row 0 has 2"),
        (pd.Series([[1.0, 2.0], None]), "row 1: None is no vector"),
        (pd.Series(["[1, 2]", "[3, 4]"]), "row 0: .* parse it first"),
        ("rows.parquet", r"predict_file\('rows.parquet'|datasets.upload\('rows.parquet'"),
        (Path("rows.npy"), r"predict_file\('rows.npy'|datasets.upload\('rows.npy'"),
        ({"a": [1.0]}, "got a dict"),
    ],
)
def test_what_is_wrong_is_named_and_not_sent(server: Any, rows: Any, says: str) -> None:
    with Client(server.url) as client:
        with pytest.raises(ValueError, match=says):
            client.predict("pets", rows)
        with pytest.raises(ValueError, match=says):
            client.jobs.create(name="pets", embeddings=rows, labels=["a", "b"])
    assert server.requests == []


TEXTS = ["one", "two", "three"]


@pytest.mark.parametrize(
    "texts",
    [TEXTS, tuple(TEXTS), pd.Series(TEXTS), pl.Series(TEXTS), pa.array(TEXTS), np.array(TEXTS)],
    ids=lambda texts: type(texts).__module__,
)
def test_a_column_of_texts_is_taken(server: Any, job_json: Callable[..., Any], texts: Any) -> None:
    server.on("POST", "/jobs", server.ok(job_json(), status=202))
    with Client(server.url) as client:
        client.jobs.create(name="r", texts=texts, labels=LABELS, provider="local-minilm")
    assert server.requests[0].json["texts"] == TEXTS


def test_swapped_arguments_are_told(server: Any) -> None:
    with Client(server.url) as client, pytest.raises(ValueError, match="the head comes first"):
        client.predict(X, "pets")  # type: ignore[arg-type]  # what is tested
    assert server.requests == []


TABLES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame({"embedding": X.tolist(), "label": LABELS}),
    "pandas with tensors": lambda: pd.DataFrame(
        {"embedding": [torch.tensor(row) for row in X], "label": LABELS}
    ),
    "polars": lambda: pl.DataFrame({"embedding": X.tolist(), "label": LABELS}),
    "polars, lazy": lambda: pl.DataFrame({"embedding": X.tolist(), "label": LABELS}).lazy(),
    "pyarrow": lambda: pa.table({"embedding": X.tolist(), "label": LABELS}),
    "pyarrow, a batch": lambda: pa.table({"embedding": X.tolist(), "label": LABELS}).to_batches()[
        0
    ],
}


class HuggingFaceLike:
    """A dataset of the library `datasets`, whose to_parquet knows no `index`."""

    def to_parquet(self, path: Path) -> None:
        TABLES["polars"]().write_parquet(path)


@pytest.mark.parametrize("make", [*TABLES.values(), HuggingFaceLike])
def test_every_table_is_written_as_parquet(tmp_path: Path, make: Callable[[], Any]) -> None:
    path = write_rows(make(), tmp_path, unlabelled=False)
    assert path is not None
    table = pq.read_table(path)
    assert table.column_names == ["embedding", "label"]
    assert table["embedding"].to_pylist() == X.tolist()


def test_a_frame_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    frame = pd.DataFrame({"embedding": [[1.0], "x"]})
    with pytest.raises(ValueError, match="the DataFrame cannot be sent"):
        write_rows(frame, tmp_path, unlabelled=False)


@pytest.mark.parametrize("form", FORMS)
def test_rows_to_be_predicted_as_a_file_are_sent_as_an_array(tmp_path: Path, form: str) -> None:
    rows = FORMS[form]()
    path = write_rows(rows, tmp_path, unlabelled=True)
    assert path is not None
    if path.suffix == ".npy":
        np.testing.assert_array_equal(np.load(path), X)
    else:  # a frame goes as the table that it is
        assert pq.read_table(path)["embedding"].to_pylist() == X.tolist()


def test_a_listing_shows_its_beginning_and_loses_nothing(
    server: Any, job_json: Callable[..., Any]
) -> None:
    heads = [
        {
            "name": f"head-{number}",
            "latest_version": 2,
            "aliases": {"prod": 1},
            "versions": [
                {
                    "name": f"head-{number}",
                    "version": 2,
                    "metrics": {
                        "test": {"accuracy": 0.9, "macro_f1": 0.9},
                        "ood/a": {"accuracy": 0.5},
                        "ood/b": {"accuracy": 0.7},
                    },
                    "encoder": {"provider": "openai", "model": "text-embedding-3-small"},
                    "tags": {"ticket": "ML-12"},
                    "created_at": "2026-11-24T03:21:46Z",
                }
            ],
        }
        for number in range(25)
    ]
    server.on("GET", "/heads", server.ok({"items": heads, "next_cursor": None}))
    jobs = {"items": [job_json()], "next_cursor": None}
    server.on("GET", "/jobs", server.ok(jobs))
    with Client(server.url) as client:
        listing = client.heads.list()
        lines = repr(listing).splitlines()
        assert len(lines) == 1 + 20 + 1
        assert lines[1].split()[:5] == [
            "head-0@2",
            "0.900",
            "0.600",
            "openai",
            "text-embedding-3-small",
        ]
        assert "prod -> 1" in lines[1]
        assert "ticket=ML-12" in lines[1]
        assert [head.name for head in listing] == [f"head-{number}" for number in range(25)]
        assert repr(listing) == "(none)"
        assert "job_1" in repr(client.jobs.list())


class Kernel:
    """As much of IPython as shows an output and writes it anew."""

    def __init__(self) -> None:
        self.outputs: list[str] = []
        self.kernel = self

    def get_ipython(self) -> Any:
        return self

    def display(self, data: Any, *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        self.outputs.append(data["text/plain"])
        return self

    def update(self, data: Any, *, raw: bool) -> None:
        assert raw
        self.outputs[-1] = data["text/plain"]


def test_a_notebook_has_one_output_that_moves_and_no_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    from nmtune_client import JobData
    from nmtune_client._datasets.upload_bar import UploadBar
    from nmtune_client._jobs.progress import ProgressBar

    kernel = Kernel()
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", kernel)
    bar = ProgressBar()
    for fraction in (0.1, 0.4, 0.9):
        progress = {"candidate": "mlp", "fraction": fraction, "eta_seconds": 60}
        data = {"id": "job_1", "name": "pets", "status": "running", "stage": "training"}
        bar.update(JobData.from_json(data | {"progress": progress}))
    assert len(kernel.outputs) == 1
    assert "90%  ETA 1:00" in kernel.outputs[0]
    bar.update(JobData(id="job_1", name="pets", status="succeeded"))
    bar.close()
    assert len(kernel.outputs) == 1
    assert kernel.outputs[0].startswith("succeeded")
    upload = UploadBar()
    upload.begin(0, 100)
    upload.update(50)
    upload.complete()
    assert len(kernel.outputs) == 2
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_a_line_with_share_and_time_for_each_tenth() -> None:
    from nmtune_client import JobData
    from nmtune_client._jobs.progress import ProgressBar

    pipe = io.StringIO()
    bar = ProgressBar(pipe)
    for hundredth in range(101):
        progress = {"candidate": "mlp", "fraction": hundredth / 100, "eta_seconds": 100 - hundredth}
        data = {"id": "job_1", "name": "pets", "status": "running", "stage": "training"}
        bar.update(JobData.from_json(data | {"progress": progress}))
    lines = pipe.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[0] == "job_1 training mlp  0%  ETA 1:40"
    assert lines[5] == "job_1 training mlp  50%  ETA 0:50"
