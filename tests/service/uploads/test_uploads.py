"""Resumable uploads over HTTP: tus to the letter, and a dataset as from any other body."""

import asyncio
import hashlib
import io
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from fastapi import FastAPI
from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed

import migrations
from service.app import create_app
from service.settings import ServiceSettings
from store import uploads
from store.cleanup import expiry
from store.database import tables
from store.database.clock import seconds_from_now
from store.names import DEFAULT_TENANT
from store.queue import LocalQueue
from store.store import Store
from tests.service.in_process import InProcess, assert_problem
from tests.service.uploads.upload_calls import (
    PART,
    PART_BYTES,
    TUS,
    append,
    begin,
    finish,
    id_of,
    offset,
    sha1_of,
)
from tests.support.files.arrays import clouds, npz
from tests.support.http import serve
from tests.support.waiting import wait_until


@pytest.fixture
def settings(settings: ServiceSettings) -> ServiceSettings:
    return settings.model_copy(update={"upload_part_bytes": PART_BYTES})


@pytest.fixture
def content() -> bytes:
    """An .npz file of several parts."""
    content = npz(clouds(600))
    assert len(content) > 4 * PART_BYTES
    return content


def stored(store: Store) -> list[str]:
    return [artifact.sha256 for artifact in store.artifacts.stored()]


def test_a_file_in_parts_becomes_the_dataset_that_the_same_body_becomes(
    client: InProcess, content: bytes
) -> None:
    path = begin(client, len(content), filename="my pets.npz")
    begun = 0
    while begun < len(content):
        part = content[begun : begun + PART_BYTES]
        response = append(client, path, part, at=begun, checksum=sha1_of(part))
        assert response.status_code == 204, response.text
        begun += len(part)
        assert response.headers["upload-offset"] == str(begun)
        assert offset(client, path) == begun
    at_once = client.post(
        "/datasets", content=content, headers={"content-type": "application/x-npz"}
    ).json()
    response = finish(client, path)
    assert response.status_code == 201, response.text
    made = response.json()
    assert made["name"] == "my-pets"
    own = {"id", "name", "created_at"}
    assert {k: v for k, v in made.items() if k not in own} == {
        k: v for k, v in at_once.items() if k not in own
    }


def test_one_request_of_any_length_is_stored_in_parts(
    client: InProcess, content: bytes, store: Store
) -> None:
    path = begin(client, len(content))
    assert append(client, path, content, at=0).status_code == 204
    with store.database.read() as tx:
        parts = uploads.parts(tx, DEFAULT_TENANT, id_of(path))
    assert len(parts) == -(-len(content) // PART_BYTES)
    joined = b"".join(
        store.artifacts.get_bytes(DEFAULT_TENANT, part.sha256)[uploads.SALT_BYTES :]
        for part in parts
    )
    assert joined == content


def test_the_options_say_what_is_spoken(client: InProcess, settings: ServiceSettings) -> None:
    response = client("OPTIONS", "/uploads")
    assert response.status_code == 204
    assert response.headers["tus-version"] == "1.0.0"
    assert set(response.headers["tus-extension"].split(",")) == {
        "creation", "checksum", "expiration", "termination"
    }  # fmt: skip
    assert response.headers["tus-max-size"] == str(settings.max_upload_bytes)


def test_a_part_that_does_not_begin_at_the_end_is_refused(
    client: InProcess, content: bytes
) -> None:
    path = begin(client, len(content))
    append(client, path, content[:100], at=0)
    for at in (0, 50, 101):
        response = append(client, path, b"x", at=at)
        assert_problem(response, 409, "offset_mismatch")
        assert response.headers["upload-offset"] == "100"
        assert response.headers["tus-resumable"] == "1.0.0"
    assert offset(client, path) == 100


def test_of_two_requests_for_the_same_part_one_wins(
    app: FastAPI, client: InProcess, content: bytes, store: Store
) -> None:
    """Both are let in at offset 0, and each waits for the other before it ends."""
    path = begin(client, len(content), filename="a.npz")
    headers = {**PART, "Upload-Offset": "0"}
    statuses: list[int] = []

    async def both() -> None:
        arrived = [anyio.Event(), anyio.Event()]

        async def send(own: int) -> None:
            async def body() -> Any:
                yield content[:1000]
                arrived[own].set()
                await arrived[1 - own].wait()
                yield content[1000:2000]

            response = await client.send("PATCH", path, headers=headers, content=body())
            statuses.append(response.status_code)

        async with anyio.create_task_group() as group:
            group.start_soon(send, 0)
            group.start_soon(send, 1)

    asyncio.run(both())
    assert sorted(statuses) == [204, 409]
    assert offset(client, path) == 2000
    assert len(stored(store)) == 1  # the loser's bytes are gone at once
    append(client, path, content[2000:], at=2000)
    assert finish(client, path).status_code == 201


def test_a_part_with_a_wrong_checksum_is_thrown_away(
    client: InProcess, content: bytes, store: Store
) -> None:
    path = begin(client, len(content))
    response = append(client, path, content[:99], at=0, checksum=sha1_of(b"other"))
    assert_problem(response, 460, "checksum_mismatch")
    too_large = content[: PART_BYTES + 1]
    response = append(client, path, too_large, at=0, checksum=sha1_of(too_large))
    assert_problem(response, 413, "part_too_large")
    assert offset(client, path) == 0
    assert stored(store) == []


def test_a_file_that_is_not_the_announced_one_makes_no_dataset(
    client: InProcess, content: bytes
) -> None:
    path = begin(client, len(content), sha256=hashlib.sha256(b"another").hexdigest())
    append(client, path, content, at=0)
    assert_problem(finish(client, path), 422, "checksum_mismatch", "upload")


def test_an_upload_that_is_not_complete_makes_no_dataset(client: InProcess, content: bytes) -> None:
    path = begin(client, len(content))
    append(client, path, content[:-1], at=0)
    assert_problem(finish(client, path), 409, "upload_incomplete", "upload")


def test_an_unreadable_file_gets_the_problem_it_always_gets(client: InProcess) -> None:
    content = b"label,dim_0,dim_1\ncat,1,2\ndog,nan,3\n"
    path = begin(client, len(content), filename="pets.csv")
    append(client, path, content, at=0)
    direct = client.post("/datasets", content=content, headers={"content-type": "text/csv"})
    ours = finish(client, path)
    assert ours.status_code == direct.status_code == 422
    own = {"request_id"}
    assert {k: v for k, v in ours.json().items() if k not in own} == {
        k: v for k, v in direct.json().items() if k not in own
    }


def test_a_refused_file_need_not_be_sent_again(client: InProcess) -> None:
    """Only the query was wrong: the bytes are there."""
    lines = [f"{'cat' if n % 2 else 'dog'},{n}.5,{n % 7}" for n in range(40)]
    content = "\n".join(["species,dim_0,dim_1", *lines]).encode()
    path = begin(client, len(content), filename="pets.csv", filetype="text/csv")
    append(client, path, content, at=0)
    assert finish(client, path).status_code == 422
    assert finish(client, path, label="species").status_code == 201


def test_a_repeated_request_makes_one_dataset(client: InProcess, content: bytes) -> None:
    path = begin(client, len(content), filename="pets.npz")
    append(client, path, content, at=0)
    params = {"upload": id_of(path)}
    key = {"Idempotency-Key": "one"}
    first = client.post("/datasets", params=params, headers=key)
    again = client.post("/datasets", params=params, headers=key)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert len(client.get("/datasets").json()["items"]) == 1


def test_a_key_stands_for_the_content_however_it_came(client: InProcess, content: bytes) -> None:
    """A client that was cut off may send the rest in another way."""
    key = {"Idempotency-Key": "one"}
    first = client.post(
        "/datasets",
        params={"name": "pets"},
        content=content,
        headers={**key, "content-type": "application/x-npz"},
    )
    path = begin(client, len(content), filetype="application/x-npz")
    append(client, path, content, at=0)
    params = {"upload": id_of(path), "name": "pets"}
    again = client.post("/datasets", params=params, headers=key)
    assert again.content == first.content
    other = client.post("/datasets", params={**params, "name": "other"}, headers=key)
    assert_problem(other, 422, "idempotency_key_reused")


def test_a_body_beside_an_upload_is_refused(client: InProcess, content: bytes) -> None:
    path = begin(client, len(content))
    append(client, path, content, at=0)
    response = client.post("/datasets", params={"upload": id_of(path)}, content=b"x")
    assert_problem(response, 422, "invalid_request", "upload")


def test_more_bytes_than_announced_are_refused_and_the_rest_stays_right(
    client: InProcess, content: bytes
) -> None:
    path = begin(client, len(content), filename="a.npz")
    assert_problem(append(client, path, content + b"x", at=0), 413, "upload_too_long")
    at = offset(client, path)
    assert append(client, path, content[at:], at=at).status_code == 204
    assert finish(client, path).status_code == 201


def test_uploads_are_found_by_the_hash_of_their_file(client: InProcess) -> None:
    sha256 = hashlib.sha256(b"mine").hexdigest()
    begin(client, 10, filename="other")
    path = begin(client, 4, filename="mine.csv", sha256=sha256)
    append(client, path, b"mi", at=0)
    (found,) = client.get("/uploads", params={"sha256": sha256}).json()["items"]
    assert found == client.get(path).json()
    assert (found["id"], found["file_name"]) == (id_of(path), "mine.csv")
    assert (found["received_bytes"], found["size_bytes"]) == (2, 4)
    assert len(client.get("/uploads").json()["items"]) == 2


def test_a_deleted_upload_is_gone_with_its_bytes(
    client: InProcess, content: bytes, store: Store
) -> None:
    path = begin(client, len(content))
    append(client, path, content, at=0)
    assert stored(store)
    response = client.delete(path, headers=TUS)
    assert response.status_code == 204
    assert response.headers["tus-resumable"] == "1.0.0"
    assert stored(store) == []
    assert client("HEAD", path, headers=TUS).status_code == 404
    assert_problem(client.delete(path, headers=TUS), 404, "not_found")
    assert_problem(append(client, path, b"", at=0), 404, "not_found")
    assert_problem(finish(client, path), 404, "not_found")


def test_an_abandoned_upload_expires_with_its_bytes(
    client: InProcess, content: bytes, store: Store
) -> None:
    kept, path = begin(client, 10), begin(client, len(content))
    append(client, path, content, at=0)
    with store.database.begin() as tx:
        tx.execute(
            tables.uploads.update()
            .where(tables.uploads.c.id == id_of(path))
            .values(expires_at=seconds_from_now(-1))
        )
    assert client("HEAD", path, headers=TUS).status_code == 404
    assert [item["id"] for item in client.get("/uploads").json()["items"]] == [id_of(kept)]
    assert expiry.remove_expired(store).uploads == (id_of(path),)
    assert stored(store) == []
    assert expiry.remove_expired(store) == expiry.Removed()
    assert offset(client, kept) == 0


def test_a_part_prolongs_the_upload(client: InProcess) -> None:
    path = begin(client, 10)
    before = client.get(path).json()["expires_at"]
    append(client, path, b"x", at=0)
    assert client.get(path).json()["expires_at"] > before


def test_what_came_before_the_connection_broke_stays(
    app: FastAPI, client: InProcess, content: bytes
) -> None:
    path = begin(client, len(content), filename="a.npz")
    n_sent = PART_BYTES + 100
    with serve(app) as running:
        address = urlsplit(running.url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            head = [f"PATCH {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}"]
            head += [f"{name}: {value}" for name, value in PART.items()]
            head += ["Upload-Offset: 0", "", ""]
            connection.sendall("\r\n".join(head).encode() + content[:n_sent])
            wait_until(lambda: offset(client, path) == PART_BYTES)
        wait_until(lambda: offset(client, path) == n_sent)
    assert append(client, path, content[n_sent:], at=n_sent).status_code == 204
    assert finish(client, path).status_code == 201


@pytest.fixture
def replica(settings: ServiceSettings, store: Store) -> FastAPI:
    """A second API over the same rows and bytes, with a folder of its own."""
    other = settings.model_copy(update={"data_dir": settings.data_dir.with_name("replica")})
    other.data_dir.mkdir()
    queue = LocalQueue()
    return create_app(other, store=store, queue=queue, expected_schema=migrations.head_revision())


@pytest.mark.parametrize("is_checked", [False, True])
def test_a_client_that_others_wrote_moves_between_replicas(
    app: FastAPI, replica: FastAPI, content: bytes, is_checked: bool
) -> None:
    file = io.BytesIO(content)  # the client leaves files that it opens itself to the garbage
    with serve(app) as one, serve(replica) as two:
        options: dict[str, Any] = {"chunk_size": 2000, "upload_checksum": is_checked}
        uploader = TusClient(f"{one.url}/uploads").uploader(
            file_stream=file, metadata={"filename": "pets.npz"}, **options
        )
        uploader.upload(stop_at=6000)
        assert 0 < uploader.offset < len(content)
        moved = uploader.url.replace(one.url, two.url)
        other = TusClient(f"{two.url}/uploads").uploader(file_stream=file, url=moved, **options)
        assert other.offset == uploader.offset
        other.upload()
        uploader.chunk_size = 10
        with pytest.raises(TusUploadFailed):  # it does not know of the other's parts
            uploader.upload_chunk()
        response = httpx.post(f"{one.url}/datasets", params={"upload": id_of(uploader.url)})
        assert response.status_code == 201, response.text
        assert response.json()["name"] == "pets"


def test_a_client_that_others_wrote_sends_all_in_one_request(app: FastAPI, content: bytes) -> None:
    with serve(app) as running:
        uploader = TusClient(f"{running.url}/uploads").uploader(file_stream=io.BytesIO(content))
        uploader.upload()
        response = httpx.post(f"{running.url}/datasets", params={"upload": id_of(uploader.url)})
        assert response.status_code == 201, response.text


def test_many_at_once_make_one_file(app: FastAPI, client: InProcess, content: bytes) -> None:
    """Four senders that each go on from wherever the upload is."""
    path = begin(client, len(content), filename="a.npz")

    def send() -> None:
        while (at := offset(client, path)) < len(content):
            status = append(client, path, content[at : at + 1500], at=at).status_code
            assert status in {204, 409}

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert offset(client, path) == len(content)
    assert finish(client, path).status_code == 201
