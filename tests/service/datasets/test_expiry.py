"""How long a dataset is kept, over HTTP."""

from datetime import datetime
from typing import Any

import pytest

import migrations
from service.app import create_app
from service.settings import ServiceSettings
from store.cleanup import expiry
from store.database import tables
from store.database.clock import seconds_from_now
from store.queue import LocalQueue
from store.store import Store
from tests.service.in_process import InProcess, assert_problem, claim, succeed
from tests.support.files.arrays import clouds, npz

NPZ = {"content-type": "application/x-npz"}


def upload(client: InProcess, **params: Any) -> dict[str, Any]:
    response = client.post("/datasets", content=npz(clouds()), headers=NPZ, params=params)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


def kept_seconds(dataset: dict[str, Any]) -> float:
    ends, began = (datetime.fromisoformat(dataset[name]) for name in ("expires_at", "created_at"))
    return (ends - began).total_seconds()


def let_expire(store: Store, dataset_id: str) -> None:
    with store.database.begin() as tx:
        tx.execute(
            tables.datasets.update()
            .where(tables.datasets.c.id == dataset_id)
            .values(expires_at=seconds_from_now(-1))
        )


def test_a_dataset_stays_unless_told(client: InProcess) -> None:
    assert upload(client)["expires_at"] is None


def test_how_long_is_said_with_the_upload_or_later(client: InProcess) -> None:
    dataset = upload(client, keep_seconds=3600)
    assert kept_seconds(dataset) == pytest.approx(3600, abs=5)
    path = f"/datasets/{dataset['id']}"
    assert client.get(path).json() == dataset
    longer = client("PATCH", path, json={"keep_seconds": 86400})
    assert longer.status_code == 200
    assert kept_seconds(longer.json()) == pytest.approx(86400, abs=60)
    for_ever = client("PATCH", path, json={"keep_seconds": None})
    assert for_ever.json()["expires_at"] is None


def test_the_operator_may_set_a_default(settings: ServiceSettings, store: Store) -> None:
    limited = settings.model_copy(update={"dataset_keep_seconds": 100.0})
    app = create_app(
        limited, store=store, queue=LocalQueue(), expected_schema=migrations.head_revision()
    )
    client = InProcess(app)
    assert kept_seconds(upload(client)) == pytest.approx(100, abs=5)
    assert kept_seconds(upload(client, keep_seconds=500)) == pytest.approx(500, abs=5)
    job = client.post("/jobs", json=SENT_ALONG).json()
    dataset = client.get(f"/datasets/{job['dataset_id']}").json()
    assert kept_seconds(dataset) == pytest.approx(100, abs=5)


SENT_ALONG = {
    "name": "pets",
    "embeddings": [[float(n % 2), float(n)] for n in range(20)],
    "labels": ["cat", "dog"] * 10,
}


@pytest.mark.parametrize(
    "body",
    [{}, {"keep_seconds": 0}, {"keep_seconds": "a"}, {"keep_seconds": 10**12}, {"name": "a"}],
)
def test_what_cannot_be_is_refused(client: InProcess, body: dict[str, Any]) -> None:
    dataset = upload(client)
    response = client("PATCH", f"/datasets/{dataset['id']}", json=body)
    assert_problem(response, 422, "invalid_request")


@pytest.mark.parametrize("value", ["0", "-1", "soon", "99999999999"])
def test_an_upload_for_a_time_that_cannot_be_is_refused(refusing: InProcess, value: str) -> None:
    response = refusing.post("/datasets", content=b"x", headers=NPZ, params={"keep_seconds": value})
    assert_problem(response, 422, "invalid_request", "keep_seconds")


def test_an_expired_dataset_is_gone_everywhere(client: InProcess, store: Store) -> None:
    dataset_id = upload(client)["id"]
    let_expire(store, dataset_id)
    assert_problem(client.get(f"/datasets/{dataset_id}"), 404, "not_found")
    assert client.get("/datasets").json()["items"] == []
    patch = client("PATCH", f"/datasets/{dataset_id}", json={"keep_seconds": 60})
    assert_problem(patch, 404, "not_found")
    job = {"name": "pets", "dataset_id": dataset_id}
    assert_problem(client.post("/jobs", json=job), 404, "not_found")
    assert_problem(client.post("/jobs", json=job, params={"plan": "true"}), 404, "not_found")


def test_a_running_job_ends_as_if_nothing_were(
    client: InProcess, store: Store, trained: bytes
) -> None:
    """Then rows and bytes go; the head and the report stay."""
    dataset = upload(client)
    job_id = client.post("/jobs", json={"name": "pets", "dataset_id": dataset["id"]}).json()["id"]
    job = claim(store, job_id)
    let_expire(store, dataset["id"])
    assert expiry.remove_expired(store) == expiry.Removed()
    assert store.artifacts.exists("default", dataset["sha256"])
    succeed(store, job, trained)
    assert expiry.remove_expired(store).datasets == (dataset["id"],)
    assert not store.artifacts.exists("default", dataset["sha256"])
    assert client.get(f"/jobs/{job_id}").json()["status"] == "succeeded"
    assert client.get(f"/jobs/{job_id}/report").status_code == 200
    assert client.get("/heads/pets/versions/1").status_code == 200
