"""What the HTTP door counts, what a scrape looks up and costs, and that no label is a user's."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from service.http.layers import metrics
from service.operate import scrape
from service.settings import ServiceSettings
from store.jobs import QUEUES
from store.store import Store
from tests.service.in_process import InProcess, add_job, claim, publish
from tests.store.made_rows import statements

KNOWN_LABELS = {"route", "queue", "method", "status", "pool", "version", "python", "le"}
OURS = ("nmtune_http", "nmtune_pred", "nmtune_head", "nmtune_data", "nmtune_jobs", "nmtune_build")


def count(route: str, method: str, status: int) -> float:
    labels = {"route": route, "method": method, "status": str(status)}
    return REGISTRY.get_sample_value("nmtune_http_requests_total", labels) or 0.0


def scraped(client: InProcess) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == scrape.CONTENT_TYPE
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "route", "label"),
    [
        ("GET", "/livez", 200, "/livez", "GET"),
        ("GET", "/jobs/job_canary", 404, "/jobs/{job_id}", "GET"),
        ("GET", "/canary/canary", 404, "none", "GET"),
        ("DELETE", "/predict", 405, "/predict", "DELETE"),
        ("CANARY", "/livez", 405, "/livez", "other"),
        ("POST", "/jobs", 400, "/jobs", "POST"),
    ],
)
def test_requests_are_counted_by_template(
    client: InProcess, method: str, path: str, status: int, route: str, label: str
) -> None:
    before = count(route, label, status)
    content: Any = b"{canary" if method == "POST" else None
    assert client(method, path, content=content, headers=JSON).status_code == status
    assert count(route, label, status) == before + 1
    assert REGISTRY.get_sample_value("nmtune_http_requests_in_flight") == 0


JSON = {"content-type": "application/json"}


def test_a_prediction_is_timed_and_its_rows_are_counted(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained)
    rows = REGISTRY.get_sample_value("nmtune_predicted_rows_total") or 0
    n = REGISTRY.get_sample_value("nmtune_prediction_seconds_count") or 0
    before = scraped(client)
    body = {"head": "pets", "embeddings": [[1, 0, 0], [0, 1, 0]]}
    for _ in range(2):
        assert client.post("/predict", json=body).status_code == 200
    assert REGISTRY.get_sample_value("nmtune_predicted_rows_total") == rows + 4
    assert REGISTRY.get_sample_value("nmtune_prediction_seconds_count") == n + 2
    found = scraped(client)
    misses = ("nmtune_head_cache_misses_total", ())
    assert found[misses] == before[misses] + 1
    hits = ("nmtune_head_cache_hits_total", ())
    assert found[hits] == before[hits] + 1
    (loaded,) = client.app.state.services.predictor.cache._loaded.values()
    assert found["nmtune_head_cache_bytes", ()] == loaded.n_bytes > 0


def test_the_backlog_is_in_a_scrape(client: InProcess, store: Store) -> None:
    claim(store, add_job(store))
    add_job(store)
    found = scraped(client)
    assert found["nmtune_database_up", ()] == 1
    jobs = {
        (queue, status): found["nmtune_jobs", (("queue", queue), ("status", status))]
        for queue in QUEUES
        for status in ("queued", "running")
    }
    assert jobs == {
        ("cpu", "queued"): 1,
        ("cpu", "running"): 1,
        ("gpu", "queued"): 0,
        ("gpu", "running"): 0,
    }
    assert 0 < found["nmtune_shortest_lease_seconds", ()] <= 60
    assert found["nmtune_oldest_queued_job_seconds", (("queue", "cpu"),)] >= 0
    assert found["nmtune_database_connections", (("pool", "read"),)] == 0


def test_scrapes_in_a_row_cost_one_statement(client: InProcess) -> None:
    assert client.get("/heads").status_code == 200  # the tenant's limits are known from now on
    with statements() as seen:
        for _ in range(5):
            client.get("/metrics")
    assert len([one for one in seen if "jobs" in one.sql]) == 1
    assert len([one for one in seen if not one.sql.startswith("PRAGMA")]) == 1


def test_a_database_that_is_away_does_not_fail_a_scrape(
    client: InProcess, store: Store, settings: ServiceSettings
) -> None:
    store.close()
    for path in settings.data_dir.glob("nmtune.db*"):
        path.unlink()
    (settings.data_dir / "nmtune.db").write_bytes(b"no database, but long enough for one" * 99)
    found = scraped(client)
    assert found["nmtune_database_up", ()] == 0
    assert not [name for name, _ in found if name.startswith("nmtune_jobs")]


def test_no_label_holds_what_a_user_chose(
    client: InProcess, app: FastAPI, store: Store, trained: bytes
) -> None:
    publish(store, trained, name="canary", alias="canary")
    before = set(scraped(client))  # of this process: other tests' applications had other routes
    for path in (
        "/heads/canary",
        "/heads/canary/versions/7",
        "/predict?head=canary&embedding=1,2,3",
        "/jobs/canary/events",
        "/canary",
        "/docs/static/canary",
        "/jobs?status=canary",
    ):
        client.get(path, headers={"x-request-id": "canary", "idempotency-key": "canary"})
    client.put("/heads/canary/aliases/canary", json={"version": 1})
    templates = {route.path for route in app.routes if hasattr(route, "path")}
    templates |= set(app.openapi()["paths"]) | {metrics.NO_ROUTE}
    found = scraped(client)
    assert "canary" not in str(found)
    for name, labels in set(found) - before:
        if name.startswith(OURS):
            assert {label for label, _ in labels} <= KNOWN_LABELS, name
        values = dict(labels)
        if name.startswith("nmtune_http_request"):
            assert values.get("route", metrics.NO_ROUTE) in templates
            assert values.get("method", "GET") in metrics.METHODS | {metrics.OTHER_METHOD}
            assert re.fullmatch(r"[1-5]\d\d", values.get("status", "200"))
