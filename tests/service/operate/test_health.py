"""The health checks: what is alive, what is ready, and what only warns."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from fastapi import FastAPI

from service.app import create_app
from service.operate import readiness
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.service.in_process import InProcess, assert_problem


def test_a_live_process_says_so(client: InProcess) -> None:
    assert client.get("/livez").json() == {"status": "ok"}


def test_a_service_that_has_all_it_needs_is_ready(client: InProcess) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {
            name: {"status": "ok", "message": None}
            for name in ("database", "migrations", "artifacts", "heads")
        },
    }


def test_a_database_of_another_revision_is_not_ready(
    settings: ServiceSettings, store: Store
) -> None:
    app = create_app(settings, store=store, queue=LocalQueue(), expected_schema="0099")
    body = assert_problem(InProcess(app).get("/readyz"), 503, "not_ready", "migrations")
    assert "0099" in body["errors"][0]["message"]
    assert body["checks"]["migrations"]["status"] == "failed"
    assert body["checks"]["database"]["status"] == "ok"


def test_a_database_without_a_schema_is_not_ready(settings: ServiceSettings) -> None:
    store = Store.open(settings)
    try:
        app = create_app(settings, store=store, queue=LocalQueue())
        body = assert_problem(InProcess(app).get("/readyz"), 503, "not_ready", "migrations")
        assert "migrate" in body["errors"][0]["message"]
    finally:
        store.close()


def test_a_lost_database_is_not_ready_and_predictions_say_unavailable(
    client: InProcess, store: Store, settings: ServiceSettings
) -> None:
    store.close()
    for path in settings.data_dir.glob("nmtune.db*"):
        path.unlink()
    (settings.data_dir / "nmtune.db").write_bytes(
        b"this is no database, but it is long enough" * 99
    )
    body = assert_problem(client.get("/readyz"), 503, "not_ready", "database")
    assert body["checks"]["artifacts"]["status"] == "ok"
    response = client.get("/jobs")
    assert_problem(response, 503, "database_unavailable")
    assert response.headers["retry-after"] == "2"
    assert client.get("/livez").status_code == 200


def test_an_artifact_folder_that_is_gone_is_not_ready(
    client: InProcess, settings: ServiceSettings
) -> None:
    settings.artifacts_dir.rename(settings.artifacts_dir.with_name("moved"))
    body = assert_problem(client.get("/readyz"), 503, "not_ready", "artifacts")
    assert body["checks"]["database"]["status"] == "ok"


def with_broker(settings: ServiceSettings, store: Store, check: Callable[[], object]) -> InProcess:
    return InProcess(create_app(settings, store=store, queue=LocalQueue(), check_broker=check))


def test_a_broker_that_answers_is_named(settings: ServiceSettings, store: Store) -> None:
    body = with_broker(settings, store, lambda: "PONG").get("/readyz").json()
    assert body["checks"]["broker"] == {"status": "ok", "message": None}


def test_a_broker_that_is_down_is_a_warning_without_its_address(
    settings: ServiceSettings, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise ConnectionError("redis://:canary@secret-host:6379 refused")

    response = with_broker(settings, store, away).get("/readyz")
    assert response.status_code == 200
    assert response.json()["checks"]["broker"]["status"] == "warning"
    assert "Jobs are safe" in response.json()["checks"]["broker"]["message"]
    assert "canary" not in response.text + caplog.text
    assert "broker.unavailable error=ConnectionError" in caplog.text


def test_a_look_that_hangs_delays_nobody_and_is_not_begun_twice(
    settings: ServiceSettings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr(readiness, "MAX_AGE_SECONDS", 0.0)
    may_end, looks = threading.Event(), []

    def hang() -> None:
        looks.append(1)
        may_end.wait(60)

    client = with_broker(settings, store, hang)
    began = time.monotonic()
    try:
        for _ in range(3):
            checks = client.get("/readyz").json()["checks"]
            assert checks["broker"]["status"] == "warning"
            assert "did not answer within 2 seconds" in checks["broker"]["message"]
            assert checks["database"]["status"] == "ok"
    finally:
        may_end.set()
    assert time.monotonic() - began < 40, "the look itself takes 60 s"
    assert looks == [1]


def test_what_was_found_holds_for_about_a_second(
    settings: ServiceSettings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert readiness.MAX_AGE_SECONDS == 1.0
    monkeypatch.setattr(readiness, "MAX_AGE_SECONDS", 60.0)  # a busy machine may pause for longer
    looks: list[int] = []
    client = with_broker(settings, store, lambda: looks.append(1))
    for _ in range(5):
        assert client.get("/readyz").status_code == 200
    assert looks == [1]


def test_a_look_that_is_broken_fails_without_its_words(
    app: FastAPI, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ValueError("canary")

    monkeypatch.setattr(store.artifacts, "check", broken)
    broken_look = readiness.Readiness(store, expected_schema=None)
    app.state.services = replace(app.state.services, readiness=broken_look)
    response = InProcess(app).get("/readyz")
    assert_problem(response, 503, "not_ready", "artifacts")
    assert "canary" not in response.text


@pytest.mark.usefixtures("store")
def test_making_the_app_touches_nothing(app: FastAPI, settings: ServiceSettings) -> None:
    before = sorted(settings.data_dir.rglob("*"))
    create_app(settings, store=app.state.services.store, queue=LocalQueue())
    assert sorted(settings.data_dir.rglob("*")) == before
