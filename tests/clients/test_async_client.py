"""The asynchronous client over real connections, with faults, many tasks and cancellations."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nmtune_client import (
    APIConnectionError,
    APITimeoutError,
    AsyncClient,
    AsyncJob,
    BadResponseError,
    JobData,
    JobFailed,
    NotFoundError,
    RetryPolicy,
    ServerError,
    ValidationError,
    WaitTimeout,
)
from nmtune_client._async import client as _async_client
from nmtune_client._jobs import following as _following
from nmtune_client._jobs import submission as _submission

JOB = "/jobs/job_1"
EVENTS = "/jobs/job_1/events"
DATASET = {"id": "ds_1", "name": "clinc", "n_rows": 4, "n_columns": 2, "classes": ["a", "b"]}
X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=np.float32)


@asynccontextmanager
async def connected(server: Any, **arguments: Any) -> AsyncIterator[AsyncClient]:
    retry = RetryPolicy(first_delay_seconds=0.01, longest_delay_seconds=0.02)
    async with AsyncClient(server.url, **({"retry": retry, "timeout": 10} | arguments)) as client:
        yield client


@pytest.fixture(autouse=True)
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_following, "_FIRST_POLL_SECONDS", 0.005)
    monkeypatch.setattr(_following, "_LONGEST_POLL_SECONDS", 0.01)


def event(number: int, type_: str, **data: object) -> dict[str, Any]:
    return {
        "id": f"evt_{number:06d}",
        "type": type_,
        "data": data,
        "created_at": "2026-11-24T03:21:47.020000Z",
    }


STARTED = event(2, "job.started", attempt=1)
EPOCH = event(3, "job.progress", stage="training", candidate="nmtune", fraction=0.5)
DONE = event(4, "job.succeeded")


def test_busy_server_is_asked_again_with_the_same_key(
    server: Any, job_json: Callable[..., Any]
) -> None:
    busy = server.problem(503, "database_unavailable", "Try again shortly.")
    server.on("POST", "/jobs", busy, server.DROP, server.ok(job_json(), status=202))

    async def create() -> AsyncJob:
        async with connected(server) as client:
            return await client.jobs.create(name="pets", dataset="ds_1", alias="prod")

    job = asyncio.run(create())
    assert repr(job) == "AsyncJob(id='job_1', name='pets', status='queued')"
    tries = server.seen("POST", "/jobs")
    assert len({request.headers["idempotency-key"] for request in tries}) == 1
    assert [request.json for request in tries] == [
        {"name": "pets", "dataset_id": "ds_1", "alias": "prod"}
    ] * 3
    assert tries[0].headers["user-agent"].startswith("nmtune-client/")


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        ("busy", ServerError, "Try again shortly"),
        ("drop", APIConnectionError, "the connection broke"),
        ("hang", APITimeoutError, "took too long"),
        ("hotel", BadResponseError, "something else than expected"),
        ("gone", NotFoundError, "no job"),
    ],
)
def test_failures_are_those_of_the_other_client(
    server: Any, reply: str, error: type[Exception], message: str
) -> None:
    replies = {
        "busy": server.problem(503, "busy", "Try again shortly."),
        "drop": server.DROP,
        "hang": server.HANG,
        "hotel": type(server.DROP)(body=b"<html>"),
        "gone": server.problem(404, "not_found", "There is no job job_1."),
    }
    server.on("GET", JOB, replies[reply])

    async def get() -> None:
        timeout = 0.1 if reply == "hang" else 10
        retry = RetryPolicy(tries=2, first_delay_seconds=0.01)
        async with connected(server, timeout=timeout, retry=retry) as client:
            with pytest.raises(error, match=message):
                await client.jobs.get("job_1")

    asyncio.run(get())
    assert len(server.requests) == (1 if reply in ("hotel", "gone") else 2)


def test_listing_follows_the_pages_only_as_far_as_it_is_read(
    server: Any, job_json: Callable[..., Any]
) -> None:
    def page(request: Any) -> Any:
        number = int(request.query.get("cursor", "0"))
        items = [job_json(id=f"job_{number}_{place}") for place in range(2)]
        return server.ok({"items": items, "next_cursor": str(number + 1) if number < 2 else None})

    server.on("GET", "/jobs", page)

    async def ids(**arguments: Any) -> list[str]:
        async with connected(server) as client:
            return [job.id async for job in client.jobs.list(**arguments)]

    assert asyncio.run(ids(limit=3)) == ["job_0_0", "job_0_1", "job_1_0"]
    assert asyncio.run(ids(limit=2)) == ["job_0_0", "job_0_1"]
    assert asyncio.run(ids(limit=0)) == []
    assert len(server.requests) == 3
    assert len(asyncio.run(ids(status="queued"))) == 6


def test_large_rows_go_up_as_a_dataset_first(
    server: Any,
    job_json: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(_submission, "MOST_INLINE_BYTES", 16)
    refusal = server.problem(422, "invalid_config", "epochs must be 1 or more.")
    server.on("POST", "/datasets", server.ok(DATASET, status=201))
    server.on("POST", "/jobs", server.ok(job_json(), status=202), refusal)

    async def create() -> None:
        async with connected(server) as client:
            rows = {"embeddings": X, "labels": ["b", "a", "b"]}
            await client.jobs.create(name="pets", **rows, idempotency_key="mine")
            with pytest.raises(ValidationError) as caught:
                await client.jobs.create(name="pets", **rows)
            assert caught.value.__notes__ == ["The rows were stored: dataset_id='ds_1' has them."]

    asyncio.run(create())
    upload = server.seen("POST", "/datasets")[0]
    assert upload.headers["idempotency-key"] == "mine.dataset"
    file = tmp_path / "sent.npz"
    file.write_bytes(upload.body)
    with np.load(file) as archive:
        assert archive["class_names"].tolist() == ["a", "b"]


def test_file_is_streamed_and_read_anew_on_each_try(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_async_client, "_UPLOAD_CHUNK_BYTES", 1000)
    server.on("POST", "/datasets", server.DROP, server.ok(DATASET, status=201))
    file = tmp_path / "pets.npz"
    file.write_bytes(bytes(range(256)) * 20)

    async def upload() -> str:
        async with connected(server) as client:
            with pytest.raises(FileNotFoundError):
                await client.datasets.upload("nowhere.npz")
            return (await client.datasets.upload(file)).id

    assert asyncio.run(upload()) == "ds_1"
    for request in server.seen("POST", "/datasets"):
        assert request.body == file.read_bytes()
        assert "transfer-encoding" not in request.headers


def test_a_job_is_watched_to_its_end_over_a_cut_stream(
    server: Any, job_json: Callable[..., Any]
) -> None:
    queued, running = server.ok(job_json()), server.ok(job_json(status="running"))
    server.on("GET", JOB, queued, queued, running, server.ok(job_json(status="succeeded")))
    server.on("GET", EVENTS, server.ok({"items": [], "next_cursor": None}))
    server.on("STREAM", EVENTS, server.stream(STARTED, cut=True), server.stream(EPOCH, DONE))
    seen: list[JobData] = []

    async def wait() -> AsyncJob:
        async with connected(server) as client:
            job = await client.jobs.get("job_1")
            assert await job.wait(progress=seen.append) is job
            return job

    job = asyncio.run(wait())
    assert str(job.head) == "pets@3"
    assert list(dict.fromkeys(data.status for data in seen)) == ["queued", "running", "succeeded"]
    assert 0.5 in [data.progress.fraction for data in seen if data.progress]
    assert server.seen("STREAM", EVENTS)[1].headers["last-event-id"] == "evt_000002"


def test_without_a_stream_the_job_is_asked_for(server: Any, job_json: Callable[..., Any]) -> None:
    server.on("STREAM", EVENTS, server.problem(406, "not_acceptable", "No streams here."))
    server.on("GET", EVENTS, server.ok({"items": [], "next_cursor": None}))
    error = {"code": "training_diverged", "message": "The loss became infinite."}
    running = [server.ok(job_json(status="running"))] * 6
    server.on("GET", JOB, *running, server.ok(job_json(status="failed", error=error)))

    async def wait() -> None:
        async with connected(server) as client:
            job = await client.jobs.get("job_1")
            with pytest.raises(JobFailed, match="became infinite"):
                await job.wait()

    asyncio.run(wait())
    assert len(server.seen("STREAM", EVENTS)) == 3


def test_patience_ends_and_the_job_goes_on(server: Any, job_json: Callable[..., Any]) -> None:
    server.on("GET", EVENTS, server.ok({"items": [], "next_cursor": None}))
    server.on("GET", JOB, server.ok(job_json(status="running", stage="training")))

    async def wait() -> None:
        async with connected(server) as client:
            job = await client.jobs.get("job_1")
            with pytest.raises(WaitTimeout, match=r"still running \(training\)"):
                await job.wait(0.05)

    asyncio.run(wait())


def test_events_are_listed_and_followed(server: Any, job_json: Callable[..., Any]) -> None:
    listed = server.ok({"items": [STARTED, EPOCH], "next_cursor": None})
    server.on("GET", EVENTS, listed)
    server.on("GET", JOB, server.ok(job_json(status="succeeded")))
    server.on("STREAM", EVENTS, server.stream(STARTED, EPOCH, DONE))

    async def both() -> tuple[list[str], list[str]]:
        async with connected(server) as client:
            job = await client.jobs.get("job_1")
            past = [found.id async for found in job.events()]
            server.on("GET", EVENTS, server.ok({"items": [], "next_cursor": None}))
            return past, [found.type async for found in job.events(follow=True)]

    past, followed = asyncio.run(both())
    assert past == ["evt_000002", "evt_000003"]
    assert followed == ["job.started", "job.progress", "job.succeeded"]


def test_a_cancelled_wait_leaves_the_job_and_the_client_usable(
    server: Any, job_json: Callable[..., Any]
) -> None:
    server.on("GET", EVENTS, server.ok({"items": [], "next_cursor": None}))
    server.on("GET", JOB, server.ok(job_json(status="running")))
    server.on("STREAM", EVENTS, server.HANG)

    async def give_up() -> AsyncJob:
        async with connected(server) as client:
            job = await client.jobs.get("job_1")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await job.wait()
            return await client.jobs.get("job_1")

    assert asyncio.run(give_up()).status == "running"
    assert server.seen("POST", f"{JOB}/cancel") == []


def parity(server: Any) -> Callable[[Any], Any]:
    """A head for which a row is "odd" or "even" by its first value."""

    def answer(request: Any) -> Any:
        n_rows, n_columns = map(int, request.headers["x-shape"].split(","))
        odd = np.frombuffer(request.body, "<f4").reshape(n_rows, n_columns)[:, 0] % 2
        data = {
            "head": {"name": "parity", "version": 3, "reference": request.query["head"]},
            "classes": ["even", "odd"],
            "labels": np.where(odd == 1, "odd", "even").tolist(),
            "probabilities": np.stack([1 - odd, odd], axis=1).tolist(),
        }
        return server.ok(data)

    return answer


def test_many_rows_are_predicted_in_batches_and_come_back_in_order(server: Any) -> None:
    server.on("POST", "/predict", parity(server))
    x = np.arange(95_000)[:, None].repeat(2, axis=1)

    async def predict() -> Any:
        async with connected(server) as client:
            return await client.predict("parity@prod", x)

    prediction = asyncio.run(predict())
    np.testing.assert_array_equal(prediction.labels, np.where(x[:, 0] % 2, "odd", "even"))
    asked = [request.query["head"] for request in server.requests]
    assert asked == ["parity@prod"] + ["parity@3"] * 46


def test_one_failing_batch_ends_the_prediction(server: Any) -> None:
    good = parity(server)
    broken = server.problem(422, "invalid_data", "Row 7 is broken.")

    def answer(request: Any) -> Any:
        first = np.frombuffer(request.body[:4], "<f4")[0]
        return broken if first == 4096 else good(request)

    server.on("POST", "/predict", answer)
    x = np.arange(1_000_000)[:, None].repeat(2, axis=1)

    async def predict() -> None:
        async with connected(server) as client:
            with pytest.raises(ValidationError, match="Row 7"):
                await client.predict("parity", x)
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(predict())
    assert len(server.requests) < 20


def test_a_prediction_cancelled_in_the_middle_leaves_nothing_behind(server: Any) -> None:
    good = parity(server)
    under_way = asyncio.Event()

    async def predict() -> None:
        loop = asyncio.get_running_loop()

        def answer(request: Any) -> Any:
            if "prod" in request.query["head"]:
                return good(request)
            loop.call_soon_threadsafe(under_way.set)
            return server.HANG

        server.on("POST", "/predict", answer)
        async with connected(server) as client:
            x = np.ones((50_000, 2))
            task = asyncio.create_task(client.predict("parity@prod", x))
            await under_way.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == {asyncio.current_task()}
            server.on("POST", "/predict", good)
            assert len(await client.predict("parity@prod", x)) == 50_000

    asyncio.run(predict())


def test_a_download_that_breaks_is_tried_again_and_leaves_nothing(
    server: Any, tmp_path: Path
) -> None:
    content = b"PK and so on" * 50_000
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    headers = {"Repr-Digest": f"sha-256=:{digest}:"}
    reply = type(server.DROP)
    whole = reply(body=content, headers=headers)
    damaged = reply(body=content[:-1] + b"?", headers=headers)
    cut = reply(body=content, headers=headers, fault="cut")
    route = ("GET", "/heads/pets/versions/3/export")
    path = tmp_path / "it.zip"

    async def export() -> None:
        async with connected(server) as client:
            server.on(*route, damaged, cut, whole)
            assert await client.heads.export("pets", 3, path=path) == path
            assert path.read_bytes() == content
            server.on(*route, damaged)
            with pytest.raises(APIConnectionError, match="damaged"):
                await client.heads.export("pets", 3, path=path)
            server.on(*route, server.problem(500, "export_disagrees", "ONNX differs by 0.1"))
            with pytest.raises(ServerError, match="differs"):
                await client.heads.export("pets", 3, path=path)
            server.on(*route, server.HANG)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.heads.export("pets", 3, path=path)

    asyncio.run(export())
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
