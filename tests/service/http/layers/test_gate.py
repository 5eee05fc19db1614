"""A web page of another site can make a browser send requests; none changes anything."""

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.listen import protocol
from service.settings import ServiceSettings
from store.names import DEFAULT_TENANT
from store.queue import LocalQueue
from store.registry import heads
from store.store import Store
from tests.service.in_process import InProcess, add_dataset, add_job, assert_problem, publish
from tests.support.places import ROOT

EVIL = {"host": "evil.example"}
CROSS_SITE = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
FILL_IN = {
    "name": "pets",
    "alias": "prod",
    "version": "1",
    "model": "pets",
    "upload_id": "upl_none",
    "dataset_id": "ds_none",
    "job_id": "job_none",
    "key_id": "key_none",
    "webhook_id": "ep_none",
    "delivery_id": "dlv_none",
    "encoder_name": "none",
}


def _paths(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path of the API, with something in place of each parameter."""
    for path, methods in app.openapi()["paths"].items():
        for name, value in FILL_IN.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, path
        for method in methods:
            yield method.upper(), path


def _ask(app: FastAPI, method: str, path: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
    """One request with exactly these headers; its status, headers and body."""
    answer: dict[str, Any] = {"body": b""}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "http_version": "1.1",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer["status"] = message["status"]
            answer["headers"] = message["headers"]
        else:
            answer["body"] += message.get("body", b"")

    asyncio.run(app(scope, receive, send))
    return answer


@pytest.fixture
def served(app: FastAPI, store: Store, trained: bytes) -> FastAPI:
    """The app with a head that has two versions and an alias."""
    publish(store, trained, alias="prod")
    publish(store, trained, alias="prod")
    return app


def test_no_route_answers_to_a_foreign_name(app: FastAPI, client: InProcess) -> None:
    routes = [*_paths(app), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/nothing")]
    routes += [("GET", "/docs/static/swagger-ui.css"), ("TRACE", "/heads")]
    assert len(routes) > 40
    for method, path in routes:
        response = client(method, path, headers=EVIL)
        assert response.status_code == 421, (method, path)
        if path.startswith("/v2"):
            assert "NMTUNE_ALLOWED_HOSTS" in response.json()["error"]
        elif method != "HEAD":
            problem = assert_problem(response, 421, "unknown_host", "Host")
            assert "NMTUNE_ALLOWED_HOSTS" in problem["detail"]
            assert "evil" not in response.text


def test_a_foreign_name_cannot_write(client: InProcess, served: FastAPI, store: Store) -> None:
    del served
    response = client.post("/heads/pets/aliases/prod/rollback", headers=EVIL)
    assert_problem(response, 421, "unknown_host")
    assert _version_of_prod(store) == 2


@pytest.mark.parametrize("header", ["x-forwarded-host", "forwarded", "x-host", "x-original-host"])
def test_no_other_header_names_the_host(client: InProcess, header: str) -> None:
    value = "host=localhost" if header == "forwarded" else "localhost"
    assert client.get("/heads", headers=EVIL | {header: value}).status_code == 421
    value = value.replace("localhost", "evil.example")
    assert client.get("/heads", headers={header: value}).status_code == 200


@pytest.mark.parametrize(
    "hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]], ids=str
)
def test_a_request_names_its_host_once(app: FastAPI, hosts: list[str]) -> None:
    answer = _ask(app, "GET", "/heads", [("host", host) for host in hosts])
    assert answer["status"] == 400
    assert b'"code":"invalid_host"' in answer["body"]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("host", ["10.1.2.3:8000", "[fd00::7]", None])
def test_a_health_probe_asks_by_address_or_without_a_name(
    app: FastAPI, path: str, host: str | None
) -> None:
    headers = [("host", host)] if host else []
    assert _ask(app, "GET", path, headers)["status"] == 200
    assert _ask(app, "GET", "/heads", headers)["status"] in {400, 421}
    assert _ask(app, "GET", f"{path}/", headers)["status"] in {400, 421}


def test_the_operators_names_are_answered(settings: ServiceSettings, store: Store) -> None:
    changed = settings.model_copy(update={"allowed_hosts": "nmtune.corp,*.lab.example"})
    client = InProcess(create_app(changed, store=store, queue=LocalQueue()))
    for host in ("nmtune.corp", "gpu.lab.example:8443", "localhost"):
        assert client.get("/heads", headers={"host": host}).status_code == 200
    assert client.get("/heads", headers={"host": "lab.example"}).status_code == 421


def test_no_route_that_changes_something_takes_it_from_another_site(
    app: FastAPI, client: InProcess
) -> None:
    writing = [one for one in _paths(app) if one[0] not in {"GET", "HEAD", "OPTIONS"}]
    assert len(writing) > 15
    for method, path in [*writing, ("POST", "/nothing"), ("TRACE", "/heads")]:
        response = client(method, path, headers=CROSS_SITE)
        if path.startswith("/v2"):
            assert response.status_code == 403
        else:
            assert_problem(response, 403, "cross_site")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "something-new"},
        {"sec-fetch-site": ""},
        {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost:3000"},
        {"origin": "http://localhost.evil.example"},
    ],
)
def test_a_page_of_another_site_cannot_cancel_a_job(
    client: InProcess, store: Store, headers: dict[str, str]
) -> None:
    job_id = add_job(store)
    response = client.post(
        f"/jobs/{job_id}/cancel", headers={"content-type": "text/plain", **headers}
    )
    assert_problem(response, 403, "cross_site")
    assert client.get(f"/jobs/{job_id}").json()["status"] == "queued"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin", "origin": "http://localhost"},
        {"sec-fetch-site": "same-origin", "origin": "https://proxy.example"},
        {"sec-fetch-site": "none"},
        {"origin": "http://localhost"},
        {"origin": "https://localhost"},
    ],
)
def test_programs_and_own_pages_can(
    client: InProcess, store: Store, headers: dict[str, str]
) -> None:
    job_id = add_job(store)
    assert client.post(f"/jobs/{job_id}/cancel", headers=headers).status_code == 200


def test_a_form_of_another_site_stores_no_dataset(client: InProcess, content: bytes) -> None:
    response = client.post(
        "/datasets?name=evil", files={"file": ("s.npz", content)}, headers=CROSS_SITE
    )
    assert_problem(response, 403, "cross_site")
    assert client.get("/datasets").json()["items"] == []


def test_a_foreign_page_cannot_move_an_alias_but_may_have_the_browser_get(
    client: InProcess, served: FastAPI, store: Store
) -> None:
    del served
    for method, path in [
        ("POST", "/heads/pets/aliases/prod/rollback"),
        ("PUT", "/heads/pets/aliases/prod"),
        ("DELETE", "/heads/pets/aliases/prod"),
        ("DELETE", "/heads/pets?force=true"),
        ("POST", "/predict"),
        ("POST", "/v2/models/pets/infer"),
    ]:
        assert client(method, path, headers=CROSS_SITE).status_code == 403
    assert _version_of_prod(store) == 2
    response = client.get("/heads", headers=CROSS_SITE)
    assert response.status_code == 200
    # It was sent, and the page cannot read it.
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert response.headers["cross-origin-resource-policy"] == "same-origin"


def test_no_preflight_is_granted(app: FastAPI, client: InProcess) -> None:
    asks = {
        "origin": "http://evil.example",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "content-type",
        "access-control-request-private-network": "true",
    }
    for _, path in _paths(app):
        response = client("OPTIONS", path, headers=asks)
        assert response.status_code in {204, 404, 405}, path
        assert not [name for name in response.headers if name.startswith("access-control-")]


def test_no_get_changes_anything(
    served: FastAPI, client: InProcess, store: Store, settings: ServiceSettings
) -> None:
    """GET is free to any page, so it must be safe: rows and bytes stay as they are."""
    dataset_id, job_id = add_dataset(store), add_job(store)
    upload = client.post(
        "/uploads", headers={"tus-resumable": "1.0.0", "upload-length": "10"}
    ).headers["location"]
    real = {"ds_none": dataset_id, "job_none": job_id, "upl_none": upload.rpartition("/")[2]}
    before = _rows(settings.data_dir), _files(settings.data_dir)
    n_fine = 0
    for method, path in _paths(served):
        if method != "GET":
            continue
        for placeholder, found in real.items():
            path = path.replace(placeholder, found)
        for query in ("", "?head=pets@prod&embedding=0.1,0.2,0.3", "?from=1&to=2", "?format=onnx"):
            n_fine += client.get(path + query).status_code == 200
    assert n_fine > 30
    assert (_rows(settings.data_dir), _files(settings.data_dir)) == before


def _rows(data_dir: Path) -> list[str]:
    connection = sqlite3.connect(data_dir / "nmtune.db")
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def _files(data_dir: Path) -> list[str]:
    return sorted(str(path) for path in data_dir.rglob("*") if "nmtune.db" not in path.name)


def _version_of_prod(store: Store) -> int:
    with store.database.read() as tx:
        return heads.resolve(tx, DEFAULT_TENANT, "pets@prod").version


def _has_security_headers(response: httpx.Response) -> bool:
    for name, value in SECURITY_HEADERS.items():
        assert response.headers.get_list(name) == [value], name
    (policy,) = response.headers.get_list("content-security-policy")
    return "frame-ancestors 'none'" in policy and "default-src 'none'" in policy


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/livez"),
        ("GET", "/heads"),
        ("GET", "/nothing"),
        ("PUT", "/heads"),
        ("POST", "/jobs"),
        ("POST", "/predict"),
        ("GET", "/predict"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/docs/static/swagger-ui.css"),
        ("OPTIONS", "/uploads"),
        ("GET", "/v2"),
        ("GET", "/v2/models/none"),
    ],
)
def test_every_answer_says_what_browsers_may_not_do(
    client: InProcess, method: str, path: str
) -> None:
    for headers in ({}, EVIL, CROSS_SITE):
        for _ in range(2):  # an answer that is kept must not gather headers
            assert _has_security_headers(client(method, path, headers=headers))


def test_predictions_and_bugs_say_it_too(client: InProcess, served: FastAPI) -> None:
    @served.get("/broken")
    def broken() -> None:
        raise RuntimeError

    assert _has_security_headers(client.get("/broken"))
    asked = {"head": "pets@prod", "embeddings": [[0.1, 0.2, 0.3]]}
    found = client.post("/predict", json=asked)
    assert found.status_code == 200
    assert _has_security_headers(found)


def test_the_docs_page_may_run_its_own_scripts_and_nobody_elses(client: InProcess) -> None:
    response = client.get("/docs")
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in response.headers["content-security-policy"].split(";")
    )
    scripts = policy["script-src"].split()
    assert scripts[0] == "'self'"
    assert all(one.startswith("'sha256-") for one in scripts[1:])
    inline = response.text.count("<script>")
    assert inline == len(scripts) - 1 == 1
    assert "unsafe" not in policy["script-src"]
    assert policy["connect-src"] == "'self'"
    assert "onload=" not in response.text
    assert "http" not in response.text.replace("<!DOCTYPE html>", "").replace("http-equiv", "")
    for path in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        found = client.get(f"/docs/static/{path}")
        assert found.status_code == 200
        assert found.headers["content-type"].partition(";")[0] != "text/plain"


def test_every_refusal_is_documented() -> None:
    page = (ROOT / "docs/reference/api.md").read_text()
    files = ("http/layers/gate.py", "listen/refusals.py")
    source = "".join((ROOT / "service" / name).read_text() for name in files)
    codes = re.findall(r'HTTPStatus\.([A-Z_]+),\s+"([a-z_]+)"', source)
    assert len(codes) >= 9
    for status, code in codes:
        assert f"`{code}`" in page, code
        assert re.search(rf"^\| [^|]*{HTTPStatus[status].value}[^|]* \|.*`{code}`", page, re.M), (
            code
        )
    assert f"{protocol.MOST_HEADER_BYTES // 1024} KiB for all headers" in page
    assert f"{protocol.MOST_TARGET_BYTES:,} bytes for the target" in page
    assert f"At most {protocol.MOST_PIPELINED} requests may wait" in " ".join(page.split())
