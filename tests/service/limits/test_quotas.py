"""Quotas over HTTP: what is refused, with which status, and what the refusal names."""

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from store.access import quotas, tenants, usage
from store.access.usage import Kind
from store.database import tables
from store.database.clock import read_clock
from store.store import Store
from tests.service.access.asking import Asking
from tests.service.in_process import (
    InProcess,
    add_dataset,
    add_job,
    assert_problem,
    claim,
    publish,
    succeed,
)
from tests.service.limits.conftest import ROW, Limited
from tests.store.access.access_calls import make_key

SENT = {"embeddings": np.eye(8, 3).tolist(), "labels": ["a", "b"] * 4}


def use(store: Store, kind: Kind, n: int, tenant_id: str = "default") -> None:
    """Let other processes have used so much this month."""
    with store.database.begin() as tx:
        usage.add(tx, tenant_id, kind, n, at=read_clock(tx))


def kept(store: Store, kind: Kind, tenant_id: str = "default") -> int:
    with store.database.read() as tx:
        month = usage.month_of(read_clock(tx))
        return usage.of_month(tx, [tenant_id], month)[tenant_id][kind]


def n_bytes(store: Store) -> int:
    with store.database.read() as tx:
        return quotas.stored_bytes(tx, "default")


Asked = Callable[[Asking, str, str], httpx.Response]
STORES: dict[str, Asked] = {
    "a dataset": lambda ask, key, _: ask.with_key(
        key, "POST", "/datasets", json={"name": "d", **SENT}
    ),
    "rows of a job": lambda ask, key, _: ask.with_key(
        key, "POST", "/jobs", json={"name": "d", **SENT}
    ),
    "an upload": lambda ask, key, _: ask.with_key(
        key, "POST", "/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "500"}
    ),
    "a job": lambda ask, key, dataset: ask.with_key(
        key, "POST", "/jobs", json={"name": "d", "dataset_id": dataset}
    ),
    "a prediction of a file": lambda ask, key, dataset: ask.with_key(
        key, "POST", "/predictions", json={"head": "pets", "dataset_id": dataset, "format": "csv"}
    ),
}


@pytest.mark.parametrize("what", STORES)
def test_what_would_be_stored_beyond_the_limit(
    limited: Limited, key: str, head: str, store: Store, what: str
) -> None:
    assert head
    dataset = add_dataset(store)
    before = n_bytes(store)
    full = limited(stored_bytes=before)
    body = assert_problem(STORES[what](full, key, dataset), 403, "quota_exceeded")
    assert (body["limit"], body["allowed"], body["used"]) == ("stored_bytes", before, before)
    assert "Delete datasets" in body["detail"]
    assert n_bytes(store) == before
    roomy = limited(stored_bytes=before + 100_000)
    assert STORES[what](roomy, key, dataset).status_code in {201, 202}


def test_corrections_and_additions_are_stored_too(limited: Limited, key: str, store: Store) -> None:
    roomy = limited()
    made = roomy.with_key(key, "POST", "/datasets", json={"name": "d", **SENT}).json()["id"]
    full = limited(stored_bytes=n_bytes(store))
    drop = {"drop": [{"split": "train", "row": 0}]}
    for path, body in ((f"/datasets/{made}/corrections", drop), (f"/datasets/{made}/rows", SENT)):
        answer = full.with_key(key, "POST", path, json=body)
        assert_problem(answer, 403, "quota_exceeded")
        assert roomy.with_key(key, "POST", path, json=body).status_code == 201


def test_an_upload_does_not_count_beside_the_dataset_that_is_made_of_it(
    limited: Limited, key: str, content: bytes, store: Store
) -> None:
    ask = limited(stored_bytes=len(content) + 100_000)
    tus = {"Tus-Resumable": "1.0.0"}
    begun = ask.with_key(
        key, "POST", "/uploads", headers=tus | {"Upload-Length": str(len(content))}
    ).json()["id"]
    ask.with_key(
        key,
        "PATCH",
        f"/uploads/{begun}",
        content=content,
        headers=tus | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
    )
    path = f"/datasets?name=d&upload={begun}"
    made = ask.with_key(key, "POST", path).json()
    ask.with_key(key, "DELETE", f"/datasets/{made['id']}")
    with store.database.begin() as tx:
        tenants.set_limits(tx, "default", {"stored_bytes": made["size_bytes"]}, forget=())
    assert ask.with_key(key, "POST", path).status_code == 201
    assert_problem(ask.with_key(key, "POST", path), 403, "quota_exceeded")


def test_jobs_that_are_queued_or_running(limited: Limited, key: str, store: Store) -> None:
    ask = limited(unfinished_jobs=2)
    claim(store, add_job(store))
    body = {"name": "d", **SENT}
    second = ask.with_key(key, "POST", "/jobs", json=body)
    assert second.status_code == 202
    told = assert_problem(ask.with_key(key, "POST", "/jobs", json=body), 403, "quota_exceeded")
    assert (told["limit"], told["allowed"], told["used"]) == ("unfinished_jobs", 2, 2)
    assert "cancel one" in told["detail"]
    ask.with_key(key, "POST", f"/jobs/{second.json()['id']}/cancel")
    assert ask.with_key(key, "POST", "/jobs", json=body).status_code == 202


def test_heads_that_are_there_or_will_be(
    limited: Limited, key: str, head: str, store: Store
) -> None:
    ask = limited(heads=2)
    dataset = add_dataset(store)

    def train(name: str) -> httpx.Response:
        return ask.with_key(key, "POST", "/jobs", json={"name": name, "dataset_id": dataset})

    assert train("cars").status_code == 202
    told = assert_problem(train("birds"), 403, "quota_exceeded")
    assert (told["limit"], told["allowed"], told["used"]) == ("heads", 2, 2)
    assert "birds would be a new one" in told["detail"]
    for name in (head, "cars"):  # further versions
        assert train(name).status_code == 202


def test_a_training_that_was_let_in_publishes_whatever_the_limit_is_now(
    limited: Limited, key: str, store: Store, trained: bytes
) -> None:
    job = claim(store, add_job(store, name="cars"))
    ask = limited(heads=0, stored_bytes=0)
    assert_problem(
        ask.with_key(key, "POST", "/jobs", json={"name": "d", **SENT}), 403, "quota_exceeded"
    )
    assert succeed(store, job, trained).head_version == 1


def test_rows_of_the_month(limited: Limited, key: str, head: str, store: Store) -> None:
    assert head
    use(store, Kind.PREDICTED_ROWS, 95)
    ask = limited(predicted_rows_per_month=100)
    three = {**ROW, "embeddings": [[0.1, 0.2, 0.3]] * 3}
    assert ask.with_key(key, "POST", "/predict", json=three).status_code == 200
    refused = ask.with_key(key, "POST", "/predict", json=three)
    told = assert_problem(refused, 429, "quota_exceeded")
    assert told["limit"] == "predicted_rows_per_month"
    assert (told["allowed"], told["used"]) == (100, 98)
    assert 0 < int(refused.headers["retry-after"]) <= 31 * 86_400
    assert ask.with_key(key, "GET", "/predict?head=pets&embedding=1,2,3").status_code == 200
    assert ask.with_key(key, "POST", "/predict", json=ROW).status_code == 200
    for method, path in (
        ("GET", "/predict?head=pets&embedding=1,2,3"),
        ("POST", "/predict"),
        ("POST", "/v2/models/pets/infer"),
    ):
        assert ask.with_key(key, method, path, json=ROW).status_code == 429, path
    # A file has no room either; what is no prediction goes on.
    assert ask.with_key(key, "GET", "/jobs").status_code == 200


def test_rows_of_a_file_count_from_the_submission_on(
    limited: Limited, key: str, head: str, store: Store
) -> None:
    assert head
    ask = limited(predicted_rows_per_month=100)
    body = {"head": "pets", "dataset_id": add_dataset(store), "format": "csv"}  # 40 rows
    for _ in range(2):
        assert ask.with_key(key, "POST", "/predictions", json=body).status_code == 202
    refused = ask.with_key(key, "POST", "/predictions", json=body)
    told = assert_problem(refused, 429, "quota_exceeded")
    assert (told["used"], told["allowed"]) == (80, 100)


def test_rows_of_a_file_that_waits_are_not_predicted_twice(
    limited: Limited, key: str, head: str, store: Store
) -> None:
    ask = limited(predicted_rows_per_month=41)
    body = {"head": head, "dataset_id": add_dataset(store), "format": "csv"}  # 40 rows
    assert ask.with_key(key, "POST", "/predictions", json=body).status_code == 202
    ask.app.state.limiter.refresh()
    two = ROW | {"embeddings": ROW["embeddings"] * 2}
    refused = ask.with_key(key, "POST", "/predict", json=two)
    assert assert_problem(refused, 429, "quota_exceeded")["used"] == 40
    assert ask.with_key(key, "POST", "/predict", json=ROW).status_code == 200


def test_tokens_of_the_month(limited: Limited, key: str, store: Store) -> None:
    use(store, Kind.EMBEDDED_TOKENS, 1000)
    body = {
        "name": "d",
        "texts": ["one", "two", "three", "four"],
        "labels": ["a", "b", "a", "b"],
        "provider": {"name": "local-minilm"},
    }
    full = limited(embedded_tokens_per_month=1000)
    told = assert_problem(full.with_key(key, "POST", "/jobs", json=body), 429, "quota_exceeded")
    assert (told["limit"], told["used"]) == ("embedded_tokens_per_month", 1000)
    roomy = limited(embedded_tokens_per_month=1001)
    assert roomy.with_key(key, "POST", "/jobs", json=body).status_code == 202


def test_the_months_counts_begin_anew(limited: Limited, key: str, head: str, store: Store) -> None:
    assert head
    with store.database.begin() as tx:
        tx.execute(
            insert(tables.usage).values(
                tenant_id="default", month="2026-01", kind="predicted_rows", count=10**9
            )
        )
    ask = limited(predicted_rows_per_month=1)
    assert ask.with_key(key, "POST", "/predict", json=ROW).status_code == 200


def test_a_tenants_own_limits_go_before_the_settings(
    limited: Limited, key: str, store: Store
) -> None:
    with store.database.begin() as tx:
        tenants.create(tx, "lab")
    theirs = make_key(store, "lab").secret
    ask = limited(unfinished_jobs=0)
    with store.database.begin() as tx:
        tenants.set_limits(tx, "lab", {"unfinished_jobs": None, "reads_per_second": 1.0}, forget=())
    body = {"name": "d", **SENT}
    assert_problem(ask.with_key(key, "POST", "/jobs", json=body), 403, "quota_exceeded")
    assert ask.with_key(theirs, "POST", "/jobs", json=body).status_code == 202
    answer = ask.with_key(theirs, "GET", "/jobs")
    assert answer.headers["ratelimit-policy"] == '"read";q=10;qu="requests";w=10'
    assert "ratelimit" not in ask.with_key(key, "GET", "/jobs").headers


def test_limits_that_change_are_followed_and_what_was_used_is_remembered(
    limited: Limited, key: str, store: Store
) -> None:
    ask = limited(reads_per_second=1.0)
    limiter = ask.app.state.limiter
    left = []
    for limits in ({}, {"reads_per_second": 2.0}, {"reads_per_second": None}):
        with store.database.begin() as tx:
            tenants.set_limits(tx, "default", limits, forget=())
        limiter.refresh()
        left.append(ask.with_key(key, "GET", "/jobs").headers.get("ratelimit", "none"))
    assert left[0].startswith('"read";r=9;')
    assert left[1].startswith('"read";r=17;')  # of 20: the first one took a second's worth of 10
    assert left[2] == "none"


def test_what_was_predicted_is_stored_at_an_orderly_end_and_only_then_or_in_time(
    limited: Limited, key: str, head: str, store: Store
) -> None:
    assert head
    app = limited(usage_flush_seconds=60).app
    with TestClient(app, base_url="http://localhost") as client:
        headers = {"Authorization": f"Bearer {key}"}
        for _ in range(7):
            assert client.post("/predict", json=ROW, headers=headers).status_code == 200
        assert kept(store, Kind.PREDICTED_ROWS) == 0
        shown = client.get("/usage", headers=headers).json()
        assert shown["monthly"]["predicted_rows"] == {"used": 7, "limit": None}
    assert kept(store, Kind.PREDICTED_ROWS) == 7


def test_counts_wait_for_a_database_that_is_away(
    limited: Limited, key: str, head: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert head
    ask = limited()
    limiter = ask.app.state.limiter
    assert ask.with_key(key, "POST", "/predict", json=ROW).status_code == 200
    with store.database.begin() as tx:
        tx.execute(tables.usage.delete())
        tx.exec_driver_sql("ALTER TABLE usage RENAME TO gone")
    limiter.refresh()
    assert ask.with_key(key, "POST", "/predict", json=ROW).status_code == 200
    with store.database.begin() as tx:
        tx.exec_driver_sql("ALTER TABLE gone RENAME TO usage")
    limiter.refresh()
    limiter.refresh()
    assert kept(store, Kind.PREDICTED_ROWS) == 2


def test_only_what_was_predicted_is_counted(
    limited: Limited, key: str, head: str, store: Store
) -> None:
    assert head
    ask = limited()
    for body in ({**ROW, "head": "nobody"}, {**ROW, "embeddings": [[1.0]]}, {}):
        assert ask.with_key(key, "POST", "/predict", json=body).status_code in {404, 422}
    ask.with_key(key, "GET", "/predict?head=pets&embedding=1")
    ask.app.state.limiter.refresh()
    assert kept(store, Kind.PREDICTED_ROWS) == 0


def test_usage_is_the_tenants_own(limited: Limited, key: str, head: str, store: Store) -> None:
    assert head
    with store.database.begin() as tx:
        tenants.create(tx, "lab")
    use(store, Kind.TRAINING_SECONDS, 3, "lab")
    ask = limited(heads=5, writes_per_second=2.0)
    mine = ask.with_key(key, "GET", "/usage").json()
    theirs = ask.with_key(make_key(store, "lab").secret, "GET", "/usage").json()
    assert mine["stock"]["heads"] == {"used": 1, "limit": 5}
    assert mine["stock"]["stored_bytes"]["used"] == n_bytes(store) > 0
    assert theirs["tenant_id"] == "lab"
    assert {use["used"] for use in theirs["stock"].values()} == {0}
    assert theirs["monthly"]["training_seconds"] == {"used": 3, "limit": None}
    assert mine["monthly"]["training_seconds"]["used"] == 1  # begun, of the one that made the head
    assert mine["rates"] == [{"name": "write", "unit": "requests", "per_second": 2.0, "burst": 20}]
    reader = make_key(store, scopes=["write"]).secret
    assert_problem(ask.with_key(reader, "GET", "/usage"), 403, "scope_missing")


def test_usage_without_keys(client: InProcess, store: Store, trained: bytes) -> None:
    publish(store, trained, alias="prod")
    assert client.post("/predict", json=ROW).status_code == 200
    shown: dict[str, Any] = client.get("/usage").json()
    assert shown["monthly"]["predicted_rows"] == {"used": 1, "limit": None}
    assert shown["rates"] == []
