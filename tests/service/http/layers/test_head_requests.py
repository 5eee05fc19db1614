"""HEAD answers as GET does, without a body."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from store.store import Store
from tests.service.in_process import InProcess, add_dataset, add_job, publish
from tests.support.http import serve
from tests.support.waiting import wait_until


@pytest.fixture
def places(store: Store, trained: bytes) -> dict[str, str]:
    publish(store, trained, alias="prod")
    return {"{job_id}": add_job(store), "{dataset_id}": add_dataset(store)} | {
        "{name}": "pets",
        "{version}": "1",
        "{upload_id}": "upl_none",
    }


def test_head_is_get_without_the_body_on_every_route(
    app: FastAPI, client: InProcess, places: dict[str, str]
) -> None:
    with serve(app) as running, httpx.Client(base_url=running.url) as http:
        n_fine = 0
        paths = [path for path, methods in app.openapi()["paths"].items() if "get" in methods]
        for path in [*paths, "/docs", "/openapi.json", "/docs/static/swagger-ui.css"]:
            if path == "/uploads/{upload_id}":
                continue  # tus' own
            for placeholder, value in places.items():
                path = path.replace(placeholder, value)
            for query in ("", "?head=pets&embedding=1,2,3", "?from=1&to=1"):
                got, head = http.get(path + query), http.head(path + query)
                assert head.status_code == got.status_code, path
                assert head.content == b""
                for name in ("content-type", "x-content-type-options", "cache-control", "allow"):
                    assert head.headers.get(name) == got.headers.get(name), (path, name)
                if path != "/metrics" and not path.startswith("/v2"):  # one grows, one is rewritten
                    length = got.headers.get("content-length")
                    assert head.headers.get("content-length") == length, path
                n_fine += head.status_code == 200
        assert n_fine > 30  # each path refuses the parameters that it does not know
        # The connection is still in step: nothing of a body was left on it.
        assert http.get("/livez").json() == {"status": "ok"}
    text = client.get("/metrics").text
    assert 'nmtune_http_requests_total{method="HEAD",route="/livez",status="200"}' in text


@pytest.mark.parametrize("path", ["/jobs/job_none/cancel", "/v2/models/pets/infer"])
def test_head_where_there_is_no_get_is_not_allowed(client: InProcess, path: str) -> None:
    response = client("HEAD", path)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


def test_head_of_an_upload_stays_tus_own(client: InProcess) -> None:
    location = client.post(
        "/uploads", headers={"tus-resumable": "1.0.0", "upload-length": "10"}
    ).headers["location"]
    response = client("HEAD", location, headers={"tus-resumable": "1.0.0"})
    assert (response.status_code, response.headers["upload-offset"]) == (200, "0")
    assert client("HEAD", location).status_code == 412
    assert client("HEAD", "/uploads/upl_none").status_code == 412


def test_head_of_an_event_stream_ends_at_once(app: FastAPI, store: Store) -> None:
    job_id = add_job(store)
    with serve(app) as running:
        response = httpx.head(
            f"{running.url}/jobs/{job_id}/events", headers={"accept": "text/event-stream"}
        )
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        wait_until(lambda: not running.server.server_state.tasks)


def test_a_refused_head_of_the_inference_protocol_has_no_body(app: FastAPI) -> None:
    sent: list[dict[str, Any]] = []

    async def ask() -> None:
        scope = {
            "type": "http",
            "method": "HEAD",
            "path": "/v2/models/none",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 404
    assert dict(sent[0]["headers"])[b"content-type"] == b"application/json"
    assert b"".join(message.get("body", b"") for message in sent) == b""
