"""Two tenants, and every route of the API: what belongs to one is not there for the other.

The routes are found by walking the OpenAPI document, not by a list: a new one is asked too.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from store import uploads
from store.access import audit, tenants
from store.embedding import local_encoders, provider_keys
from store.store import Store
from store.webhooks import endpoints
from tests.service.access.asking import Asking
from tests.service.in_process import N_COLUMNS, add_job, claim, publish, succeed
from tests.store.access.access_calls import make_key

THEIRS = "theirs"
ROW = [0.1, 0.2, 0.3]
INFER = {
    "inputs": [
        {"name": "embeddings", "datatype": "FP32", "shape": [1, N_COLUMNS], "data": ROW},
    ]
}
# What a request must bring to get as far as looking the thing up.
BROUGHT: dict[str, dict[str, Any]] = {
    "POST /jobs": {"json": {"name": "a", "dataset_id": "{dataset_id}"}},
    "POST /predictions": {
        "json": {"dataset_id": "{dataset_id}", "head": "pets@1", "format": "csv"}
    },
    "PATCH /datasets/{dataset_id}": {"json": {"keep_seconds": 60}},
    "PATCH /heads/{name}/versions/{version}": {"json": {"description": "mine now"}},
    "PUT /heads/{name}/aliases/{alias}": {"json": {"version": 1}},
    "POST /heads/{name}/adapt": {"json": {"embeddings": [ROW] * 10, "labels": ["cat"] * 10}},
    "POST /heads/{name}/migrate": {"json": {"provider": {"name": "local-minilm"}}},
    "POST /heads/{name}/select": {"json": {"dataset_id": "{dataset_id}"}},
    "GET /heads/{name}/compare": {"params": {"from": "1", "to": "1"}},
    "GET /predict": {"params": {"head": "pets", "embedding": "0.1,0.2,0.3"}},
    "POST /predict": {"json": {"head": "pets@prod", "embeddings": [ROW]}},
    "POST /v2/models/{name}/infer": {"json": INFER},
    "POST /v2/models/{name}/versions/{version}/infer": {"json": INFER},
    "POST /keys/{key_id}/rotate": {"json": {}},
    "PATCH /webhooks/{webhook_id}": {"json": {"description": "mine now"}},
    "POST /webhooks/{webhook_id}/replay": {"params": {"since": "2026-01-01T00:00:00Z"}},
    "PUT /encoders/{encoder_name}": {"params": {"upload": "{upload_id}"}},
    "POST /jobs/{job_id}/publish": {"json": {"candidate": "nmtune"}},
    "POST /datasets/{dataset_id}/corrections": {"json": {"drop": [{"split": "train", "row": 0}]}},
    "POST /datasets/{dataset_id}/rows": {"json": {"embeddings": [ROW], "labels": ["cat"]}},
    "PATCH /uploads/{upload_id}": {
        "content": b"x",
        "headers": {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    },
    "DELETE /provider-keys": {"params": {"origin": "https://api.openai.com"}},
}
# These name nothing of anybody.
NAMES_NOTHING = {
    "POST /datasets", "POST /uploads", "OPTIONS /uploads", "PUT /provider-keys", "POST /keys",
    "POST /webhooks",
    "POST /session", "DELETE /session", "GET /identity", "GET /usage", "GET /livez", "GET /readyz",
    "GET /metrics", "GET /v2", "GET /v2/health/live", "GET /v2/health/ready",
}  # fmt: skip
LISTS = {
    "GET /audit",
    "GET /datasets",
    "GET /encoders",
    "GET /jobs",
    "GET /heads",
    "GET /uploads",
    "GET /provider-keys",
    "GET /webhooks",
}


@pytest.fixture
def theirs(store: Store) -> str:
    """The admin key of another tenant, which has nothing."""
    with store.database.begin() as tx:
        tenants.create(tx, THEIRS)
    return make_key(store, THEIRS).secret


@pytest.fixture
def ids(store: Store, trained: bytes, head: str) -> dict[str, str]:
    """Something of each kind that belongs to the first tenant."""
    job = succeed(store, claim(store, add_job(store, name=head)), trained)
    with store.database.begin() as tx:
        upload = uploads.create(tx, "default", size_bytes=10, keep_seconds=60, metadata="")
        provider_keys.put(tx, "default", "https://api.openai.com", b"sealed")
        webhook = endpoints.add(
            tx,
            "default",
            endpoints.new_endpoint_id(),
            url="https://hooks.example/",
            events=["job.succeeded"],
            sealed=b"sealed",
        )
        local_encoders.add(
            tx, "default", "mine", sha256="a" * 64, size_bytes=9, description={"n_columns": 3}
        )
        delivery_id = endpoints.ping(tx, "default", webhook.id)
        audit.note(tx, audit.operator("default"), "head.described", "pets@1")
    return {
        "job_id": job.id,
        "dataset_id": job.dataset_id,
        "upload_id": upload.id,
        "webhook_id": webhook.id,
        "delivery_id": delivery_id,
        "key_id": make_key(store).key.id,
        "name": head,
        "model": head,
        "version": "1",
        "alias": "prod",
        "encoder_name": "mine",
    }


def operations(ask: Asking) -> Iterator[tuple[str, str]]:
    for path, methods in ask.app.openapi()["paths"].items():
        for method in methods:
            yield method.upper(), path


def filled(text: Any, ids: dict[str, str]) -> Any:
    """With an id in place of each {name}, anywhere in what a request brings."""
    if isinstance(text, dict):
        return {key: filled(value, ids) for key, value in text.items()}
    if isinstance(text, str):
        return re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], text)
    return text


def test_what_belongs_to_another_tenant_is_not_there(
    ask: Asking, ids: dict[str, str], theirs: str, store: Store
) -> None:
    mine = make_key(store).secret
    asked = 0
    for method, path in operations(ask):
        name = f"{method} {path}"
        if name in NAMES_NOTHING | LISTS | {"GET /keys"}:
            continue
        brought = filled(BROUGHT.get(name, {}), ids)
        headers = {"Tus-Resumable": "1.0.0"} | brought.pop("headers", {})
        address = filled(path, ids)
        answer = ask.with_key(theirs, method, address, headers=headers, **brought)
        assert answer.status_code == 404, (name, answer.status_code, answer.text)
        for value in (ids["dataset_id"], "cat", "api.openai.com"):
            assert value not in answer.text or value in address + str(brought), name
        asked += 1
    assert asked > 30
    # Nothing of it was touched.
    for path in ("/jobs/{job_id}", "/datasets/{dataset_id}", "/heads/{name}", "/keys/{key_id}"):
        assert ask.with_key(mine, "GET", filled(path, ids)).status_code == 200
    assert ask.with_key(mine, "GET", "/provider-keys").json()["items"]
    assert ask.with_key(mine, "GET", filled("/uploads/{upload_id}", ids)).status_code == 200
    head = ask.with_key(mine, "GET", "/heads/pets").json()
    assert head["aliases"] == {"prod": 1}
    assert {one["description"] for one in head["versions"]} == {None}


def test_lists_hold_nothing_of_another_tenant(
    ask: Asking, ids: dict[str, str], theirs: str, store: Store
) -> None:
    mine = make_key(store).secret
    assert ids
    for name in LISTS:
        path = name.partition(" ")[2]
        assert ask.with_key(theirs, "GET", path).json()["items"] == [], name
        assert ask.with_key(mine, "GET", path).json()["items"] != [], name


def test_every_list_is_asked(ask: Asking) -> None:
    lists = {
        f"{method} {path}"
        for method, path in operations(ask)
        if method == "GET" and "{" not in path and f"GET {path}" not in NAMES_NOTHING
    }
    assert lists == LISTS | {"GET /predict", "GET /keys"}


def test_a_cursor_of_another_tenant_leads_into_ones_own_list(
    ask: Asking, ids: dict[str, str], theirs: str, store: Store
) -> None:
    mine = make_key(store).secret
    assert ids
    cursor = ask.with_key(mine, "GET", "/jobs?limit=1").json()["next_cursor"]
    assert cursor is not None
    found = ask.with_key(theirs, "GET", "/jobs", params={"cursor": cursor}).json()
    assert found == {"items": [], "next_cursor": None}


def test_an_idempotency_key_is_ones_own(ask: Asking, theirs: str, store: Store) -> None:
    mine = make_key(store).secret
    rows = np.random.default_rng(0).normal(size=(8, 3)).round(3).tolist()
    body = {"name": "pets", "embeddings": rows, "labels": ["a", "b"] * 4}
    headers = {"Idempotency-Key": "same"}
    first = ask.with_key(mine, "POST", "/jobs", json=body, headers=headers)
    again = ask.with_key(mine, "POST", "/jobs", json=body, headers=headers)
    other = ask.with_key(theirs, "POST", "/jobs", json=body, headers=headers)
    assert first.status_code == other.status_code == 202, other.text
    assert again.json()["id"] == first.json()["id"] != other.json()["id"]
    listed = ask.with_key(theirs, "GET", "/jobs").json()["items"]
    assert [job["id"] for job in listed] == [other.json()["id"]]


def test_the_same_name_means_each_ones_own_head(
    ask: Asking, theirs: str, store: Store, trained: bytes
) -> None:
    publish(store, trained)
    mine = make_key(store).secret
    body = {"head": "pets", "embeddings": [ROW]}
    assert ask.with_key(mine, "POST", "/predict", json=body).status_code == 200
    # The first tenant's head is loaded and its reference fresh by now.
    assert ask.with_key(theirs, "POST", "/predict", json=body).status_code == 404
