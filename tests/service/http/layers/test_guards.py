"""Request ids, one log line a request, and bodies that are too large or too slow."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request

from service.app import create_app
from service.http.layers import request_id
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.service.in_process import InProcess, assert_problem, in_chunks

JSON = {"content-type": "application/json"}


def test_a_sane_request_id_is_kept(client: InProcess) -> None:
    response = client.get("/livez", headers={"x-request-id": "trace-1.A_b"})
    assert response.headers["x-request-id"] == "trace-1.A_b"


@pytest.mark.parametrize(
    "given", ["", "a b", "x" * 65, "é".encode("latin-1").decode("latin-1"), "a\tb"]
)
def test_another_request_id_is_replaced(client: InProcess, given: str) -> None:
    response = client.get("/livez", headers={"x-request-id": given.encode("latin-1")})
    assert re.fullmatch(r"req_[0-9a-f]{24}", response.headers["x-request-id"])


def test_each_request_is_one_log_line_with_its_id_and_no_query(
    client: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    current: list[str | None] = []
    caplog.handler.addFilter(lambda _: current.append(request_id.current()) or True)
    response = client.get("/jobs/a%0Ab?secret=1", headers={"x-request-id": "me"})
    assert response.status_code == 422
    (record,) = [r for r in caplog.records if r.message.startswith("request.finished")]
    assert re.fullmatch(
        r"request\.finished method=GET path=/jobs/a%0Ab status=422 seconds=\d+\.\d{4} "
        r"request_id=me",
        record.message,
    )
    assert set(current) == {"me"}


def test_a_body_that_announces_too_many_bytes_is_not_read(
    client: InProcess, settings: ServiceSettings
) -> None:
    response = client.post("/jobs", content=b" " * (settings.max_json_bytes + 1), headers=JSON)
    assert_problem(response, 413, "body_too_large")
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/jobs"), ("POST", "/predict"), ("PUT", "/heads/a/aliases/b"), ("POST", "/datasets")],
)
def test_a_chunked_body_is_cut_off_at_the_limit(
    client: InProcess, settings: ServiceSettings, method: str, path: str
) -> None:
    n_sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal n_sent
        while n_sent < 100 * settings.max_json_bytes:  # or a missing limit would end the machine
            n_sent += 10_000
            yield b" " * 10_000

    response = client(method, path, content=endless(), headers=JSON)
    assert_problem(response, 413, "body_too_large")
    assert n_sent <= settings.max_json_bytes + 20_000


def test_uploads_have_a_limit_of_their_own(client: InProcess, settings: ServiceSettings) -> None:
    headers = {"content-type": "application/octet-stream"}
    content = b"x" * (settings.max_json_bytes * 2)
    within = client.post("/datasets", content=in_chunks(content), headers=headers)
    assert within.json()["code"] != "body_too_large"
    content = b"x" * (settings.max_upload_bytes + 1)
    beyond = client.post("/datasets", content=in_chunks(content), headers=headers)
    problem = assert_problem(beyond, 413, "body_too_large")
    assert "POST /datasets" not in problem["detail"]  # that is what was done


def _impatient(settings: ServiceSettings, store: Store) -> FastAPI:
    changes = {"body_seconds": 1.0, "body_bytes_per_second": 50_000}
    return create_app(settings.model_copy(update=changes), store=store, queue=LocalQueue())


async def _drops(n: int, seconds: float) -> AsyncIterator[bytes]:
    for _ in range(n):
        await asyncio.sleep(seconds)
        yield b" "


def test_a_body_that_only_drips_is_refused(settings: ServiceSettings, store: Store) -> None:
    response = InProcess(_impatient(settings, store)).post(
        "/jobs", content=_drops(200, 0.02), headers=JSON
    )
    assert_problem(response, 408, "body_too_slow")
    assert response.headers["connection"] == "close"


def test_a_large_body_has_the_time_that_its_bytes_need(
    settings: ServiceSettings, store: Store
) -> None:
    async def steady() -> AsyncIterator[bytes]:
        for _ in range(20):  # 2 s in all, against 1 s of patience and 0.2 s for each part
            await asyncio.sleep(0.1)
            yield b" " * 10_000

    response = InProcess(_impatient(settings, store)).post("/jobs", content=steady(), headers=JSON)
    assert_problem(response, 400, "invalid_json")


def test_time_in_which_nobody_reads_is_not_the_clients(
    settings: ServiceSettings, store: Store
) -> None:
    app = _impatient(settings, store)

    @app.post("/slow-reader")
    async def slow_reader(request: Request) -> int:
        n_bytes = 0
        async for chunk in request.stream():
            await asyncio.sleep(0.5)
            n_bytes += len(chunk)
        return n_bytes

    response = InProcess(app).post("/slow-reader", content=in_chunks(b"abc", size=1))
    assert response.json() == 3
