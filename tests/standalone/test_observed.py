"""Whole processes as an operator sees them: JSON logs with ids and no secrets, and metrics."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import migrations
from tests.servers.redis import PASSWORD, RedisServer
from tests.standalone.servers import Server, Start, job_request, status, submit
from tests.support.waiting import wait_until
from workers.settings import WorkerSettings

QUICK = {"n_threads": 1, "lease_seconds": 60, "poll_seconds": 0.2, "log_format": "json"}
CANARY = "canary-91c4"
NUMBER = 0.7531864  # an embedding's value, which is in no other number


def logged(server: Server) -> list[dict[str, Any]]:
    """Every line of the log, each of which must be JSON."""
    return [json.loads(line) for line in server.errors.splitlines()]


def samples(text: str) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.slow
def test_logs_tell_of_requests_and_jobs_but_no_secrets(start: Start, tmp_path: Path) -> None:
    server = start("up", "--port", "0", "--data-dir", str(tmp_path), **QUICK)
    with server.client() as client:
        request = job_request(epochs=2)
        request["embeddings"][0][0] = NUMBER
        request["labels"] = [f"{CANARY} {label}" for label in request["labels"]]
        headers = {"Prefer": "wait=60", "Idempotency-Key": CANARY, "Authorization": CANARY}
        ended = client.post("/jobs", json=request, headers=headers).json()
        assert ended["status"] == "succeeded", ended
        embedding = ",".join([str(NUMBER)] * 8)
        for query in (embedding, f"{CANARY}", f"{embedding},1"):
            client.get("/predict", params={"head": "blobs", "embedding": query}, headers=headers)
        client.post("/jobs", content=f'{{"{CANARY}": {NUMBER}', headers=headers)
        client.post("/predict", json={"head": CANARY, "embeddings": [[NUMBER]]}, headers=headers)
        rare = request | {"labels": [f"{CANARY} {i}" for i in range(120)]}
        client.post("/jobs", json=rare, headers={"Prefer": "wait=60"})
        known = client.get("/livez", headers={"X-Request-Id": "mine-1"})
        assert known.headers["X-Request-Id"] == "mine-1"
        found = samples(client.get("/metrics").text)
    assert server.stop() == 0
    lines = logged(server)
    assert all({"timestamp", "level", "logger", "event"} <= set(line) for line in lines)
    assert CANARY not in server.errors
    assert str(NUMBER) not in server.errors
    requests = [line for line in lines if line["event"] == "request.finished"]
    assert {"path": "/livez", "status": 200, "request_id": "mine-1"}.items() <= requests[-2].items()
    assert all(re.fullmatch(r"req_\w{24}|mine-1", line["request_id"]) for line in requests)
    of_job = [line["event"] for line in lines if line.get("job_id") == ended["id"]]
    assert of_job[0] == "job.start"
    assert of_job[-1] == "job.end"
    assert found["nmtune_attempt_seconds_count['nmtune', 'succeeded']"] == 2
    assert found["nmtune_stage_seconds_count['nmtune', 'training']"] == 2
    assert found["nmtune_head_cache_misses_total[]"] == 1
    assert found["nmtune_predicted_rows_total[]"] == 1
    assert found["nmtune_sweeps_total[]"] > 0


@pytest.mark.slow
def test_worker_behind_a_broker_logs_and_counts_alike(start: Start, tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path))
    migrations.upgrade(WorkerSettings(data_dir=tmp_path).database_url)
    redis = RedisServer(tmp_path)
    try:
        settings = QUICK | {"broker_url": redis.url}
        api = start("api", "--port", "0", *folder, **settings)
        worker = start("worker", *folder, **settings, metrics_port=0)
        with api.client() as client:
            job_id = submit(client, epochs=2)
            wait_until(lambda: status(client, job_id) == "succeeded")
            assert client.get("/readyz").json()["checks"]["broker"]["status"] == "ok"
            port = next(line["port"] for line in logged(worker) if line["event"].startswith("met"))
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
            assert samples(text)["nmtune_attempts_total['nmtune']"] == 1
            redis.kill()
            checks = wait_until(lambda: _warned(client))
            assert checks["broker"]["status"] == "warning"
        assert worker.stop() == 0
        assert api.stop() == 0
    finally:
        redis.stop()
    assert PASSWORD not in api.errors + worker.errors
    of_job = [line for line in logged(worker) if line.get("job_id") == job_id]
    assert {"job.start", "job.end"} <= {line["event"] for line in of_job}
    assert logged(api)


def _warned(client: httpx.Client) -> dict[str, Any] | None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    checks: dict[str, Any] = answer.json()["checks"]
    return checks if checks["broker"]["status"] == "warning" else None
