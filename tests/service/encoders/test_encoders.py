"""Encoders are added once, listed, used by jobs, and deleted only when nobody needs them."""

import json
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from providers.local import files
from service.app import create_app
from service.settings import ServiceSettings
from store.embedding import local_encoders
from store.queue import LocalQueue
from store.store import Store
from tests.service.in_process import InProcess, assert_problem
from tests.support import encoders

pytest.importorskip("tokenizers")
TAR = {"Content-Type": "application/x-tar"}
TEXT_JOB = {"texts": ["a box", "the parcel", "late"] * 4, "labels": ["x", "y", "x"] * 4}


@pytest.fixture(scope="module")
def archive() -> bytes:
    """The archive of a small encoder."""
    return encoders.archive()


def job(model: str, name: str = "topics") -> dict[str, Any]:
    return TEXT_JOB | {"name": name, "provider": {"name": "local", "model": model}}


def put(client: InProcess, name: str, content: bytes) -> Any:
    return client.put(f"/encoders/{name}", content=content, headers=TAR)


def test_an_encoder_is_added_listed_shown_and_deleted(
    client: InProcess, archive: bytes, leftovers: Callable[[], list[str]], store: Store
) -> None:
    made = put(client, "mine", archive)
    assert made.status_code == 201, made.text
    shown = made.json()
    assert shown["source"] == "added"
    assert (shown["family"], shown["n_columns"], shown["max_tokens"]) == ("bert", 16, 48)
    assert (shown["pooling"], shown["normalise"], shown["prefix"]) == ("mean", True, "")
    assert shown["size_bytes"] == len(archive)
    again = put(client, "mine", archive)
    assert (again.status_code, again.json()) == (200, shown)
    listed = client.get("/encoders").json()
    assert listed["items"] == [shown]
    assert [one["name"] for one in listed["provided"]] == ["local-minilm"]
    assert client.get("/encoders/mine").json() == shown
    assert client.get("/encoders/local-minilm").json()["n_columns"] == 384
    assert store.artifacts.exists("default", shown["sha256"])
    assert client.delete("/encoders/mine").status_code == 204
    assert not store.artifacts.exists("default", shown["sha256"])
    assert_problem(client.get("/encoders/mine"), 404, "not_found")
    assert leftovers() == []


def test_what_is_stored_has_the_known_files_alone(
    client: InProcess, tmp_path: Path, store: Store
) -> None:
    folder = encoders.write(tmp_path / "model")
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with tarfile.open(tmp_path / "model.tar", "w") as tar:
        tar.add(folder, ".")
    made = put(client, "mine", (tmp_path / "model.tar").read_bytes())
    assert made.status_code == 201, made.text
    place = local_encoders.stored(store.artifacts, "default", made.json()["sha256"])
    assert place is not None
    assert sorted(files.find(place)) == sorted(files.REQUIRED)
    assert b"evil" not in place.read_bytes()


def test_an_encoder_comes_by_an_upload_in_parts(client: InProcess, archive: bytes) -> None:
    tus = {"Tus-Resumable": "1.0.0"}
    begun = client.post("/uploads", headers=tus | {"Upload-Length": str(len(archive))})
    path = begun.headers["Location"]
    half = len(archive) // 2
    for begin, part in ((0, archive[:half]), (half, archive[half:])):
        sent = client(
            "PATCH",
            path,
            content=part,
            headers=tus
            | {"Upload-Offset": str(begin), "Content-Type": "application/offset+octet-stream"},
        )
        assert sent.status_code == 204, sent.text
    made = client.put("/encoders/mine", params={"upload": begun.json()["id"]})
    assert made.status_code == 201, made.text
    assert made.json()["size_bytes"] == len(archive)


def test_names_are_of_one_encoder(client: InProcess, archive: bytes, tmp_path: Path) -> None:
    assert put(client, "mine", archive).status_code == 201
    other = b"".join(files.pack(files.find(encoders.write(tmp_path / "other"))))
    assert_problem(put(client, "mine", other), 409, "encoder_exists")
    assert_problem(put(client, "local-minilm", other), 409, "encoder_exists")
    assert_problem(client.delete("/encoders/local-minilm"), 409, "encoder_provided")
    assert_problem(client.delete("/encoders/none"), 404, "not_found")
    assert_problem(put(client, "a b", other), 422, "invalid_request")


def changed(folder: Path, name: str, content: str | bytes) -> None:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


HOSTILE: dict[str, tuple[str, str | bytes, str]] = {
    "another family": ("config.json", '{"model_type": "gpt2"}', "'gpt2'"),
    "code": ("config.json", json.dumps(encoders.BERT | {"auto_map": {}}), "auto_map"),
    "no weights": ("model.safetensors", b"\x80\x04.", "damaged"),
    "a lie": ("model.safetensors", struct.pack("<Q", 1 << 50), "header ends after"),
    "a template beyond the network": (
        "tokenizer.json",
        json.dumps(encoders.tokenizer()).replace('"ids": [2]', '"ids": [4000]'),
        "token 4000",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_encoders_are_refused_by_file(
    refusing: InProcess, tmp_path: Path, name: str
) -> None:
    file, content, message = HOSTILE[name]
    folder = encoders.write(tmp_path / "model")
    changed(folder, file, content)
    answer = put(refusing, "mine", b"".join(files.pack(files.find(folder))))
    problem = assert_problem(answer, 422, "invalid_encoder", field=file)
    assert message in problem["detail"], problem["detail"]
    assert refusing.get("/encoders").json()["items"] == []


def test_what_is_no_archive_is_refused(refusing: InProcess) -> None:
    assert_problem(put(refusing, "mine", b"PK" + bytes(3000)), 422, "invalid_encoder")
    answer = refusing.put("/encoders/mine", json={"files": []})
    assert_problem(answer, 415, "unsupported_media_type")


def test_a_job_needs_its_encoder(client: InProcess, archive: bytes, tmp_path: Path) -> None:
    problem = assert_problem(client.post("/jobs", json=job("mine")), 422, "invalid_provider")
    assert "GET /encoders" in problem["detail"]
    sha256 = put(client, "mine", archive).json()["sha256"]
    submitted = client.post("/jobs", json=job("mine"))
    assert submitted.status_code == 202, submitted.text
    encoder = submitted.json()["encoder"]
    assert (encoder["model"], encoder["sha256"], encoder["dimensions"]) == ("mine", sha256, 16)
    problem = assert_problem(client.delete("/encoders/mine"), 409, "encoder_in_use")
    assert submitted.json()["id"] in problem["detail"]
    # The same files under another name are as good.
    assert put(client, "twin", archive).status_code == 201
    assert client.delete("/encoders/mine").status_code == 204
    assert_problem(client.delete("/encoders/twin"), 409, "encoder_in_use")
    client.post(f"/jobs/{submitted.json()['id']}/cancel")
    assert client.delete("/encoders/twin").status_code == 204


def test_a_comparison_needs_each_of_its_encoders(client: InProcess, archive: bytes) -> None:
    put(client, "mine", archive)
    body = TEXT_JOB | {"name": "topics"}
    compared = [{"name": "local-minilm"}, {"name": "local", "model": "mine"}]
    submitted = client.post("/jobs", json=body | {"encoders": compared})
    assert submitted.status_code == 202, submitted.text
    assert_problem(client.delete("/encoders/mine"), 409, "encoder_in_use")
    client.post(f"/jobs/{submitted.json()['id']}/cancel")
    assert client.delete("/encoders/mine").status_code == 204
    problem = client.post("/jobs", json=body | {"encoders": compared})
    assert_problem(problem, 422, "invalid_provider", "encoders.model")


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    encoders.write(tmp_path / "shelf" / "house")
    (tmp_path / "shelf" / "broken").mkdir()
    (tmp_path / "shelf" / ".hidden").mkdir()
    return tmp_path / "shelf"


@pytest.fixture
def app_with_shelf(settings: ServiceSettings, store: Store, shelf: Path) -> FastAPI:
    changed = settings.model_copy(update={"encoders_dir": shelf})
    return create_app(changed, store=store, queue=LocalQueue())


def test_the_operators_encoders_are_everybodys(
    app_with_shelf: FastAPI, shelf: Path, archive: bytes
) -> None:
    client = InProcess(app_with_shelf)
    minilm, broken, house = client.get("/encoders").json()["provided"]
    assert (minilm["name"], broken["name"], house["name"]) == ("local-minilm", "broken", "house")
    assert (house["source"], house["n_columns"], house["problem"]) == ("operator", 16, None)
    assert house["sha256"] == files.sha256(files.find(shelf / "house"))
    assert "config.json is missing" in broken["problem"]
    assert_problem(put(client, "house", archive), 409, "encoder_exists")
    assert_problem(client.delete("/encoders/house"), 409, "encoder_provided")
    submitted = client.post("/jobs", json=job("house"))
    assert submitted.status_code == 202, submitted.text
    assert submitted.json()["encoder"]["sha256"] == house["sha256"]
    problem = assert_problem(client.post("/jobs", json=job("broken")), 422, "invalid_encoder")
    assert "config.json is missing" in problem["detail"]
