import pytest
from fastapi import FastAPI

from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.service.support import InProcess, assert_problem


def test_a_live_process_says_so(client: InProcess) -> None:
    assert client.get("/livez").json() == {"status": "ok"}


def test_a_service_that_has_all_it_needs_is_ready(client: InProcess) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {
            name: {"status": "ok", "message": None}
            for name in ("database", "migrations", "artifacts")
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


@pytest.mark.usefixtures("store")
def test_making_the_app_touches_nothing(app: FastAPI, settings: ServiceSettings) -> None:
    before = sorted(settings.data_dir.rglob("*"))
    create_app(settings, store=app.state.store, queue=LocalQueue())
    assert sorted(settings.data_dir.rglob("*")) == before
