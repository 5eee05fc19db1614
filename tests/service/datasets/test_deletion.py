"""Deleting datasets: rows and bytes really go, and never from under a row that names them."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from service.ingest.dataset import inline, prepared
from service.settings import ServiceSettings
from store.bytes.local import LocalArtifacts
from store.errors import Conflict
from store.names import DEFAULT_TENANT
from store.store import Store
from tests.service.datasets.dataset_calls import NPZ, created, inline_body, stored
from tests.service.in_process import InProcess, add_job, assert_problem, claim, succeed


def test_a_deleted_dataset_and_its_bytes_are_gone(
    client: InProcess, store: Store, content: bytes
) -> None:
    body = created(client.post("/datasets", content=content, headers=NPZ))
    assert stored(store) == [body["sha256"]]
    response = client("DELETE", f"/datasets/{body['id']}")
    assert (response.status_code, response.content) == (204, b"")
    assert stored(store) == []
    for method in ("GET", "DELETE"):
        assert_problem(client(method, f"/datasets/{body['id']}"), 404, "not_found")


@pytest.mark.parametrize("older_first", [True, False])
def test_shared_bytes_go_with_the_last_dataset_that_names_them(
    client: InProcess, store: Store, content: bytes, older_first: bool
) -> None:
    ids = [created(client.post("/datasets", content=content, headers=NPZ))["id"] for _ in "ab"]
    assert len(stored(store)) == 1
    first, last = ids if older_first else ids[::-1]
    assert client("DELETE", f"/datasets/{first}").status_code == 204
    assert len(stored(store)) == 1
    assert client("DELETE", f"/datasets/{last}").status_code == 204
    assert stored(store) == []


def test_a_dataset_in_use_is_kept_until_its_job_has_ended(
    client: InProcess, store: Store, trained: bytes
) -> None:
    job = claim(store, add_job(store))
    path = f"/datasets/{job.dataset_id}"
    assert_problem(client("DELETE", path), 409, "dataset_in_use")
    assert client.get(path).status_code == 200
    succeed(store, job, trained)
    assert client("DELETE", path).status_code == 204


def test_bytes_deleted_between_storing_and_naming_them_are_a_conflict(
    client: InProcess, store: Store, settings: ServiceSettings
) -> None:
    value = inline_body()
    earlier = created(client.post("/datasets", json=value))
    with prepared.workspace(settings.data_dir) as workdir:
        ready = inline.prepare(value["embeddings"], value["labels"], workdir=workdir)
        artifact = ready.put(store.artifacts, DEFAULT_TENANT)
        assert artifact.sha256 == earlier["sha256"]
        assert client("DELETE", f"/datasets/{earlier['id']}").status_code == 204
        with pytest.raises(Conflict, match="send this one again"), store.database.begin() as tx:
            ready.add(tx, DEFAULT_TENANT, name="pets", artifact=artifact, artifacts=store.artifacts)
    assert client.get("/datasets").json()["items"] == []


def test_bytes_are_deleted_before_the_deletion_of_the_row_is_seen(
    app: FastAPI, client: InProcess, store: Store, settings: ServiceSettings
) -> None:
    seen: list[int] = []

    class Watched(LocalArtifacts):
        def delete(self, *place: Any, **arguments: Any) -> bool:
            seen.append(len(client.get("/datasets").json()["items"]))
            return super().delete(*place, **arguments)

    watched = Store(database=store.database, artifacts=Watched(settings.artifacts_dir))
    app.state.services = replace(app.state.services, store=watched)
    body = created(client.post("/datasets", json=inline_body()))
    deletion = threading.Thread(target=client, args=("DELETE", f"/datasets/{body['id']}"))
    deletion.start()
    deletion.join()
    assert seen == [1]
    assert client.get("/datasets").json()["items"] == []


def test_uploads_and_deletions_of_the_same_bytes_never_leave_a_row_without_bytes(
    client: InProcess, store: Store, content: bytes
) -> None:
    async def delete_all() -> None:
        page = await client.send("GET", "/datasets")
        for item in page.json()["items"]:
            await client.send("DELETE", f"/datasets/{item['id']}")

    async def race() -> set[int]:
        statuses = set()
        for _ in range(10):
            uploads = [
                client.send("POST", "/datasets", content=content, headers=NPZ) for _ in range(3)
            ]
            *answers, _ = await asyncio.gather(*uploads, delete_all())
            statuses |= {answer.status_code for answer in answers if answer is not None}
        return statuses

    assert asyncio.run(race()) <= {201, 409}
    for item in client.get("/datasets").json()["items"]:
        assert store.artifacts.exists(DEFAULT_TENANT, item["sha256"])
