"""Two replicas of the API with nothing in common but the database and a bucket."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from nmtune_client import Client

import migrations
from service.app import create_app
from service.settings import ServiceSettings
from store.cleanup import expiry
from store.database.connection import Database
from store.queue import LocalQueue
from store.store import Store
from tests.servers.s3 import S3Place, s3, s3_client, s3_port, signed_in  # noqa: F401  fixtures
from tests.support.files.arrays import clouds, npz
from tests.support.http import Running, serve

PART_BYTES = 2048


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def replicas(
    s3: S3Place,  # noqa: F811
    settings: ServiceSettings,
    store: Store,
    tmp_path: Path,
) -> Iterator[tuple[Running, Running]]:
    apps: list[FastAPI] = []
    stores: list[Store] = []
    for name in ("one", "two"):
        own = settings.model_copy(
            update={"data_dir": tmp_path / name, "upload_part_bytes": PART_BYTES}
        )
        own.data_dir.mkdir()
        database = Database.open(settings.database_url)
        stores.append(Store(database=database, artifacts=s3.open(data_dir=own.data_dir)))
        schema = migrations.head_revision()
        apps.append(create_app(own, store=stores[-1], queue=LocalQueue(), expected_schema=schema))
    with serve(apps[0]) as one, serve(apps[1]) as two:
        yield one, two
    expiry.remove_expired(stores[0])
    for opened in stores:
        opened.close()


def test_each_part_goes_to_the_other_replica(
    replicas: tuple[Running, Running],
    s3: S3Place,  # noqa: F811
) -> None:
    content = npz(clouds(600))
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(content))}
    upload_id = httpx.post(f"{replicas[0].url}/uploads", headers=headers).json()["id"]
    begin = n_parts = 0
    while begin < len(content):
        replica = replicas[n_parts % 2]
        response = httpx.patch(
            f"{replica.url}/uploads/{upload_id}",
            headers={
                "Tus-Resumable": "1.0.0",
                "Upload-Offset": str(begin),
                "Content-Type": "application/offset+octet-stream",
            },
            content=content[begin : begin + PART_BYTES],
        )
        assert response.status_code == 204, response.text
        begin, n_parts = int(response.headers["upload-offset"]), n_parts + 1
    assert len(s3.names()) == n_parts > 4
    made = httpx.post(f"{replicas[n_parts % 2].url}/datasets", params={"upload": upload_id}).json()
    direct = httpx.post(
        f"{replicas[0].url}/datasets",
        content=content,
        headers={"content-type": "application/x-npz"},
    ).json()
    assert made["sha256"] == direct["sha256"]
    httpx.delete(f"{replicas[0].url}/uploads/{upload_id}", headers={"Tus-Resumable": "1.0.0"})
    assert s3.names() == [s3.key(made["sha256"])]


def test_the_client_goes_on_at_another_replica(
    replicas: tuple[Running, Running],
    s3: S3Place,  # noqa: F811
    tmp_path: Path,
) -> None:
    path = tmp_path / "pets.npz"
    path.write_bytes(npz(clouds(600)))

    class Interrupted(Exception):  # noqa: N818  what a Ctrl-C is to the client
        pass

    def interrupt(n_sent: int, _n_bytes: int) -> None:
        if n_sent >= 3 * PART_BYTES:
            raise Interrupted

    seen: list[int] = []
    with Client(replicas[0].url) as one, Client(replicas[1].url) as two:
        with pytest.raises(Interrupted):
            one.datasets.upload(path, resumable_bytes=0, progress=interrupt)
        dataset = two.datasets.upload(
            path, resumable_bytes=0, progress=lambda n_sent, _: seen.append(n_sent)
        )
        assert dataset.name == "pets"
    assert seen[0] == 3 * PART_BYTES
    assert s3.names() == [s3.key(str(dataset.sha256))]  # the parts are gone
