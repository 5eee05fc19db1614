"""Predictions of whole files at the HTTP door: rows without labels, the job, its output."""

import asyncio
import base64
import hashlib
import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI

from store import datasets, jobs, transitions
from store.files.rows import RowsFile
from store.files.texts import TextsFile
from store.jobs import Job
from store.store import Store
from tests.service.in_process import (
    N_COLUMNS,
    InProcess,
    RecordingQueue,
    add_job,
    assert_problem,
    claim,
    publish,
)
from tests.store.made_rows import flip
from tests.support.files.arrays import npy, npz

X = np.random.default_rng(3).normal(size=(7, N_COLUMNS)).astype(np.float32)
IDS = [f"row {number}" for number in range(7)]
PARQUET = "application/vnd.apache.parquet"


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def csv(*, label: bool = False) -> bytes:
    names = ["id", *(f"dim_{at}" for at in range(N_COLUMNS)), *(["label"] if label else [])]
    lines = [",".join(names)]
    for name, row in zip(IDS, X.tolist(), strict=True):
        lines.append(",".join([name, *map(repr, row), *(["cat"] if label else [])]))
    return "\n".join(lines).encode()


def jsonl() -> bytes:
    rows = [{"id": name, "embedding": x} for name, x in zip(IDS, X.tolist(), strict=True)]
    return "\n".join(map(json.dumps, rows)).encode()


def safetensors(name: str = "embeddings") -> bytes:
    header = json.dumps(
        {name: {"dtype": "F32", "shape": list(X.shape), "data_offsets": [0, X.nbytes]}}
    ).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + X.tobytes()


def upload(client: InProcess, content: bytes, kind: str, query: str = "unlabelled=true") -> Any:
    return client.post(f"/datasets?{query}", content=content, headers={"Content-Type": kind})


def rows_of(store: Store, dataset_id: str) -> RowsFile:
    with store.database.read() as tx:
        dataset = datasets.get(tx, "default", dataset_id)
    return RowsFile.open(store.artifacts.open_path("default", dataset.sha256))


@pytest.fixture
def dataset_id(client: InProcess) -> str:
    stored = upload(client, csv(), "text/csv")
    assert stored.status_code == 201, stored.text
    return str(stored.json()["id"])


@pytest.fixture
def head(store: Store, trained: bytes) -> str:
    publish(store, trained, alias="prod")
    return "pets@prod"


@pytest.mark.parametrize(
    ("content", "kind", "has_ids"),
    [
        (csv(), "text/csv", True),
        (csv(label=True), "text/csv", True),
        (jsonl(), "application/x-ndjson", True),
        (parquet(id=IDS, embedding=X.tolist()), PARQUET, True),
        (parquet(embedding=X.tolist()), PARQUET, False),
        (npy(X), "application/x-npy", False),
        (npz({"embeddings": X}), "application/x-npz", False),
        (npz({"whatever": X}), "application/x-npz", False),
        (safetensors(), "application/vnd.safetensors", False),
    ],
)
def test_no_format_needs_labels_to_be_predicted(
    client: InProcess, store: Store, content: bytes, kind: str, has_ids: bool
) -> None:
    stored = upload(client, content, kind)
    assert stored.status_code == 201, stored.text
    body = stored.json()
    assert (body["n_rows"], body["n_columns"], body["classes"]) == (7, N_COLUMNS, [])
    assert body["splits"] == [{"name": "rows", "n_rows": 7, "class_counts": {}}]
    assert client.get(f"/datasets/{body['id']}").json() == body
    (block,) = rows_of(store, body["id"]).blocks(100)
    assert np.allclose(block.x, X, atol=1e-6)
    assert block.ids == (IDS if has_ids else None)


def test_ids_may_be_numbers_repeat_and_be_called_otherwise(client: InProcess, store: Store) -> None:
    content = parquet(customer=[11, 11, 5], vector=X[:3].tolist())
    stored = upload(client, content, PARQUET, "unlabelled=true&id=customer&embedding=vector")
    assert stored.status_code == 201, stored.text
    (block,) = rows_of(store, stored.json()["id"]).blocks(100)
    assert block.ids == ["11", "11", "5"]


def test_texts_without_labels_are_stored_with_their_ids(client: InProcess, store: Store) -> None:
    stored = upload(client, parquet(id=["a", "b"], text=["one", "two"]), PARQUET)
    assert stored.status_code == 201, stored.text
    assert stored.json()["content"] == "texts"
    with store.database.read() as tx:
        dataset = datasets.get(tx, "default", stored.json()["id"])
    file = TextsFile.from_bytes(store.artifacts.get_bytes("default", dataset.sha256))
    assert file.classes == []
    assert (file.splits[0].texts, file.splits[0].ids) == (["one", "two"], ["a", "b"])


def test_labels_are_still_required_to_train(client: InProcess, dataset_id: str) -> None:
    problem = assert_problem(upload(client, csv(), "text/csv", ""), 422, "missing_column", "label")
    assert "unlabelled=true" in problem["detail"]
    refused = assert_problem(upload(client, npy(X), "application/x-npy", ""), 422, "missing_labels")
    assert "unlabelled=true" in refused["detail"]
    job = {"name": "pets", "dataset_id": dataset_id}
    assert_problem(client.post("/jobs", json=job), 422, "unlabelled_dataset", "dataset_id")
    assert_problem(client.post("/jobs?plan=true", json=job), 422, "unlabelled_dataset")


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("unlabelled=true&label=species", "invalid_request", "label"),
        ("unlabelled=true&id=customer", "missing_column", "id"),
        ("id=customer", "missing_column", "id"),  # rows with labels may have ids too
    ],
)
def test_what_does_not_go_with_rows_to_predict_is_named(
    client: InProcess, query: str, code: str, field: str
) -> None:
    assert_problem(upload(client, csv(), "text/csv", query), 422, code, field)


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (npz({"a": X, "b": X}), "application/x-npz", "missing_array"),
        (npz({"embeddings": np.where(X > 1, np.nan, X)}), "application/x-npz", "not_finite"),
        (safetensors("train_x"), "application/vnd.safetensors", "missing_array"),
        (parquet(id=[None, "b"], embedding=X[:2].tolist()), PARQUET, "invalid_id"),
        (parquet(id=["a" * 300], embedding=X[:1].tolist()), PARQUET, "invalid_id"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(
    client: InProcess, content: bytes, kind: str, code: str
) -> None:
    assert_problem(upload(client, content, kind), 422, code)


def test_a_prediction_is_a_job_with_its_version_pinned(
    client: InProcess,
    store: Store,
    trained: bytes,
    head: str,
    dataset_id: str,
    queue: RecordingQueue,
) -> None:
    asked = {"head": head, "dataset_id": dataset_id, "format": "csv", "top_k": 2, "priority": 3}
    answer = client.post("/predictions", json=asked)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert answer.headers["location"] == f"/jobs/{body['id']}"
    assert (body["kind"], body["status"], body["priority"]) == ("prediction", "queued", 3)
    assert body["head"] == {"name": "pets", "version": 1}
    assert body["config"]["top_k"] == 2
    assert queue.rung_for == [body["id"]]
    publish(store, trained, alias="prod")
    assert client.get(f"/jobs/{body['id']}").json()["head"]["version"] == 1
    assert_problem(client.delete(f"/datasets/{dataset_id}"), 409, "dataset_in_use")


def test_a_key_makes_one_job(client: InProcess, head: str, dataset_id: str) -> None:
    asked = {"head": head, "dataset_id": dataset_id}
    key = {"Idempotency-Key": "one"}
    first, again = (client.post("/predictions", json=asked, headers=key) for _ in range(2))
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"head": "pets@7"}, 404, "not_found", None),
        ({"head": "a b"}, 422, "invalid_head_reference", "head"),
        ({"dataset_id": "ds_00000000000000000000000000"}, 404, "not_found", None),
        ({"format": "xlsx"}, 422, "invalid_request", "format"),
        ({"top_k": 0}, 422, "invalid_request", "top_k"),
        ({"output": "embeddings", "ood": True}, 422, "invalid_request", "ood"),
        ({"unknown": 1}, 422, "invalid_request", "unknown"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    client: InProcess, head: str, dataset_id: str, changes: Any, status: int, code: str, field: Any
) -> None:
    asked = {"head": head, "dataset_id": dataset_id} | changes
    assert_problem(client.post("/predictions", json=asked), status, code, field)


def test_rows_of_another_width_and_texts_are_refused(client: InProcess, head: str) -> None:
    wide = upload(client, npz({"embeddings": np.hstack([X, X])}), "application/x-npz").json()["id"]
    problem = client.post("/predictions", json={"head": head, "dataset_id": wide})
    detail = assert_problem(problem, 422, "width_mismatch", "dataset_id")["detail"]
    assert "6 columns" in detail
    texts = upload(client, parquet(text=["one"]), PARQUET).json()["id"]
    problem = client.post("/predictions", json={"head": head, "dataset_id": texts})
    assert_problem(problem, 422, "text_not_supported", "dataset_id")


def delivered(client: InProcess, store: Store, head: str, dataset_id: str, data: bytes) -> Job:
    asked = {"head": head, "dataset_id": dataset_id, "format": "csv"}
    job_id = client.post("/predictions", json=asked).json()["id"]
    reference = store.artifacts.put_bytes("default", data)
    output = {"format": "csv", "n_rows": 7, "size_bytes": len(data)}
    claimed = claim(store, job_id)
    with store.database.begin() as tx:
        return transitions.deliver(tx, claimed, output_sha256=reference.sha256, output=output)


def test_the_output_comes_whole_in_parts_or_not_again(
    client: InProcess, store: Store, head: str, dataset_id: str
) -> None:
    data = b"id,label\n" + b"0,cat\n" * 5000
    job = delivered(client, store, head, dataset_id, data)
    path = f"/jobs/{job.id}/output"
    whole = client.get(path)
    assert whole.content == data
    assert whole.headers["content-type"].startswith("text/csv")
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    assert whole.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert f"{job.id}.csv" in whole.headers["content-disposition"]
    part = client.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    rest = client.get(path, headers={"Range": f"bytes={len(data) - 5}-"})
    assert rest.content == data[-5:]
    again = client.get(path, headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for wrong in ("bytes=999999-", "lines=1-2", "bytes=9-3", "bytes=-", "bytes=0-1,3-4"):
        refused = client.get(path, headers={"Range": wrong})
        assert_problem(refused, 416, "range_not_satisfiable", "Range")
    shown = client.get(f"/jobs/{job.id}").json()["output"]
    assert (shown["format"], shown["size_bytes"]) == ("csv", len(data))


def test_a_deleted_output_is_gone_and_its_job_stays(
    client: InProcess, store: Store, head: str, dataset_id: str
) -> None:
    job = delivered(client, store, head, dataset_id, b"id,label\n")
    path = f"/jobs/{job.id}/output"
    assert client.delete(path).status_code == 204
    assert job.output_sha256 is not None
    assert not store.artifacts.exists("default", job.output_sha256)
    detail = assert_problem(client.get(path), 409, "output_not_ready")["detail"]
    assert "deleted" in detail
    assert_problem(client.delete(path), 409, "output_not_ready")
    assert client.get(f"/jobs/{job.id}").json()["output"] is None


def test_there_is_no_output_before_its_time_nor_of_a_training(
    client: InProcess, store: Store, head: str, dataset_id: str
) -> None:
    asked = {"head": head, "dataset_id": dataset_id}
    queued = client.post("/predictions", json=asked).json()["id"]
    assert_problem(client.get(f"/jobs/{queued}/output"), 409, "output_not_ready")
    detail = assert_problem(client.get(f"/jobs/{queued}/report"), 409, "report_not_ready")["detail"]
    assert "output" in detail
    training = add_job(store)
    assert_problem(client.get(f"/jobs/{training}/output"), 409, "output_not_ready")
    nowhere = "/jobs/job_00000000000000000000000000/output"
    assert_problem(client.get(nowhere), 404, "not_found")


def test_a_queued_prediction_is_cancelled_as_any_job(
    client: InProcess, store: Store, head: str, dataset_id: str
) -> None:
    asked = {"head": head, "dataset_id": dataset_id}
    job_id = client.post("/predictions", json=asked).json()["id"]
    assert client.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    with store.database.read() as tx:
        assert jobs.get(tx, "default", job_id).output_sha256 is None


@pytest.mark.parametrize("at", [0, 9, 3_000_000, -1])
def test_an_output_that_was_changed_in_place_is_not_sent(
    client: InProcess, store: Store, head: str, dataset_id: str, at: int
) -> None:
    data = b"id,label\n" + b"0,cat\n" * 500_000
    job = delivered(client, store, head, dataset_id, data)
    url = f"/jobs/{job.id}/output"
    assert client.get(url).content == data
    assert job.output_sha256 is not None
    path = store.artifacts.open_path("default", job.output_sha256)
    flip(path, at)
    assert_problem(client.get(url), 503, "artifact_corrupt")
    first = at % len(data)
    damaged = client.get(url, headers={"Range": f"bytes={first}-{first + 1}"})
    assert_problem(damaged, 503, "artifact_corrupt")
    flip(path, at)
    assert client.get(url, headers={"Range": f"bytes={first}-"}).content == data[first:]
    assert client.get(url, headers={"Range": "bytes=-7"}).content == data[-7:]


def test_a_part_asked_for_if_nothing_changed_comes_whole_otherwise(
    client: InProcess, store: Store, head: str, dataset_id: str
) -> None:
    job = delivered(client, store, head, dataset_id, b"id,label\n0,cat\n")
    url = f"/jobs/{job.id}/output"
    tag = client.get(url).headers["etag"]
    same = client.get(url, headers={"Range": "bytes=3-7", "If-Range": tag})
    assert (same.status_code, same.content) == (206, b"label")
    assert same.headers["content-range"] == "bytes 3-7/15"
    other = client.get(url, headers={"Range": "bytes=3-7", "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, b"id,label\n0,cat\n")


def test_damage_while_an_output_is_sent_ends_it_before_its_end(
    app: FastAPI, client: InProcess, store: Store, head: str, dataset_id: str
) -> None:
    data = b"id,label\n" + b"0,cat\n" * 700_000
    job = delivered(client, store, head, dataset_id, data)
    assert job.output_sha256 is not None
    path = store.artifacts.open_path("default", job.output_sha256)
    sent: list[dict[str, Any]] = []

    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and not any("body" in one for one in sent):
            flip(path)  # after the first block was given out
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": f"/jobs/{job.id}/output",
        "raw_path": b"",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    body = b"".join(one.get("body", b"") for one in sent)
    assert 0 < len(body) < len(data)
    assert data.startswith(body), "what came was right"
    assert sent[-1].get("more_body", True), "without an end: the server breaks the connection"
