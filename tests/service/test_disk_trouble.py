"""A disk that is full, over quota, read-only or forbidden: each door says which it is."""

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from service.settings import ServiceSettings
from store.bytes.local import LocalArtifacts
from store.errors import DatabaseFull, StorageReadOnly
from store.registry import heads
from store.store import Store
from tests.service.in_process import (
    N_COLUMNS,
    InProcess,
    add_dataset,
    assert_problem,
    publish,
)
from tests.store.made_rows import flip
from tests.support.waiting import wait_until

CODES = {
    errno.ENOSPC: ("storage_full", "disk space"),
    errno.EDQUOT: ("storage_quota_exceeded", "quota"),
    errno.EROFS: ("storage_read_only", "read-only"),
    errno.EACCES: ("storage_forbidden", "permission"),
    errno.EMFILE: ("too_many_open_files", "ulimit"),
}

ROWS = [[float(i % 2) + 0.01 * i] * N_COLUMNS for i in range(40)]
LABELS = ["cat", "dog"] * 20
INLINE = {"name": "pets", "embeddings": ROWS, "labels": LABELS}
CSV = ("label," + ",".join(f"e{i}" for i in range(N_COLUMNS)) + "\n").encode() + b"".join(
    f"{label},{','.join(map(str, row))}\n".encode() for label, row in zip(LABELS, ROWS, strict=True)
)


def upload_file(client: InProcess) -> Any:
    return client.post("/datasets", content=CSV, headers={"Content-Type": "text/csv"})


def send_rows(client: InProcess) -> Any:
    return client.post("/jobs", json=INLINE)


def upload_part(client: InProcess) -> Any:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(CSV))}
    place = client.post("/uploads", headers=headers).headers["location"]
    return client(
        "PATCH",
        place,
        content=CSV,
        headers={
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": "0",
            "Content-Type": "application/offset+octet-stream",
        },
    )


DOORS: dict[str, Callable[[InProcess], Any]] = {
    "file": upload_file,
    "inline rows": send_rows,
    "part of an upload": upload_part,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("function", ["mkdtemp", "fsync"])
def test_each_door_says_what_is_wrong_with_the_disk(
    client: InProcess, monkeypatch: pytest.MonkeyPatch, door: str, code: int, function: str
) -> None:
    def fail(*_: object, **__: object) -> object:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os if function == "fsync" else tempfile, function, fail)
    response = DOORS[door](client)
    if response.status_code in (201, 202, 204):
        pytest.skip(f"{door} does not call {function}")
    name, words = CODES[code]
    body = assert_problem(response, 503, name)
    assert words in body["detail"]
    assert response.headers["retry-after"] == "2"


def fill_database(store: Store) -> None:
    """Let SQLite find no room for one page more, as on a full disk."""
    with store.database.begin() as tx:
        pages = tx.execute(text("PRAGMA page_count")).scalar_one()
        tx.execute(text(f"PRAGMA max_page_count = {pages}"))


def until_refused(ask: Callable[[], Any]) -> Any:
    """The first refusal: until then a page that is there has room for one row more."""
    found = ask()
    for _ in range(100):
        if found.status_code == 503:
            break
        found = ask()
    return found


def point_many_aliases(store: Store) -> None:
    with store.database.begin() as tx:
        for number in range(500):
            heads.set_alias(tx, "default", "pets", f"a{number}", 1)


def test_a_full_database_is_told_at_each_write_and_reads_go_on(
    client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained, alias="prod")
    dataset_id = add_dataset(store)
    fill_database(store)
    training = {"name": "pets", "dataset_id": dataset_id}
    prediction = {"head": "pets@prod", "dataset_id": dataset_id}
    for ask in (
        lambda: client.post("/jobs", json=training),
        lambda: client.post("/predictions", json=prediction),
        lambda: upload_file(client),
    ):
        body = assert_problem(until_refused(ask), 503, "storage_full")
        assert "disk space" in body["detail"]
    asked = client.post("/predict", json={"head": "pets@prod", "embeddings": ROWS[:2]})
    assert asked.status_code == 200
    with pytest.raises(DatabaseFull):
        point_many_aliases(store)


def test_a_read_only_database_is_told(client: InProcess, store: Store) -> None:
    dataset_id = add_dataset(store)
    with store.database.begin() as tx:
        tx.execute(text("PRAGMA query_only = ON"))
    response = client.post("/jobs", json={"name": "pets", "dataset_id": dataset_id})
    assert_problem(response, 503, "database_read_only")


def test_a_server_on_a_read_only_folder_starts_predicts_and_says_so(
    client: InProcess, store: Store, settings: ServiceSettings, trained: bytes, monkeypatch: Any
) -> None:
    publish(store, trained, alias="prod")

    def read_only(*_: object, **__: object) -> object:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", read_only)
    monkeypatch.setattr(tempfile, "mkstemp", read_only)
    monkeypatch.setattr(os, "utime", read_only)
    reopened = LocalArtifacts(settings.artifacts_dir)
    with pytest.raises(StorageReadOnly):
        reopened.put_bytes("default", b"new")
    object.__setattr__(store, "artifacts", reopened)
    ready = client.get("/readyz")
    assert ready.status_code == 200
    check = ready.json()["checks"]["artifacts"]
    assert check["status"] == "warning"
    assert "Read-only file system" in check["message"]
    assert "Predictions go on" in check["message"]
    asked = client.post("/predict", json={"head": "pets@prod", "embeddings": ROWS[:2]})
    assert asked.status_code == 200
    assert_problem(send_rows(client), 503, "storage_read_only")


def heads_check(client: TestClient) -> dict[str, str]:
    found: dict[str, str] = client.get("/readyz").json()["checks"]["heads"]
    return found


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_heads_that_an_alias_names_are_looked_at_after_a_start(
    app: FastAPI, store: Store, trained: bytes, damage: str
) -> None:
    publish(store, trained, alias="prod")
    with store.database.read() as tx:
        [(reference, version)] = heads.aliased(tx)
    assert reference == "pets@prod"
    path = store.artifacts.open_path("default", version.sha256)
    path.unlink() if damage == "missing" else flip(path)
    with TestClient(app, base_url="http://localhost") as client:
        check = wait_until(lambda: None if (one := heads_check(client))["status"] == "ok" else one)
    assert "pets@prod names pets@1, which cannot be loaded" in check["message"]
    code = "artifact_missing" if damage == "missing" else "artifact_corrupt"
    assert code in check["message"]


def test_sound_heads_are_looked_at_once_and_kept_nowhere(
    app: FastAPI, store: Store, trained: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    publish(store, trained, alias="prod")
    publish(store, trained)
    with TestClient(app, base_url="http://localhost") as client:
        wait_until(lambda: "heads.checked n_references=1 n_broken=0" in caplog.text)
        assert heads_check(client)["status"] == "ok"
    assert app.state.services.predictor.cache.n_bytes == 0
