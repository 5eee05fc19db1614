"""The routes of datasets: stored whole or not at all, shown, and really deleted."""

import asyncio
import hashlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.datasets.received_body import name_of_file
from service.settings import ServiceSettings
from store.files.dataset import DatasetFile
from store.names import DEFAULT_TENANT
from store.store import Store
from tests.service.datasets.dataset_calls import NPZ, OCTETS, created, inline_body, stored
from tests.service.in_process import InProcess, assert_problem, in_chunks
from tests.support.files.arrays import clouds, npz, zeros_member
from tests.support.files.hostile import HOSTILE_NPY, HOSTILE_NPZ


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-npz",
        "application/zip",
        "application/octet-stream",
        "Application/Octet-Stream; charset=binary",
    ],
)
def test_a_file_as_the_body_becomes_a_dataset(
    client: InProcess, store: Store, content: bytes, content_type: str
) -> None:
    headers = {"content-type": content_type}
    response = client.post("/datasets?name=pets", content=content, headers=headers)
    body = created(response)
    assert body["name"] == "pets"
    assert (body["n_rows"], body["n_columns"], body["classes"]) == (60, 3, ["cat", "dog"])
    assert body["splits"][2] == {
        "name": "ood/sketch",
        "n_rows": 20,
        "class_counts": {"cat": 10, "dog": 10},
    }
    assert body["profile"]["splits"]["train"]["n_rows"] == 20
    path = store.artifacts.open_path(DEFAULT_TENANT, body["sha256"])
    assert path.stat().st_size == body["size_bytes"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == body["sha256"]
    np.testing.assert_array_equal(DatasetFile.open(path).splits["train"].x, clouds()["train_x"])
    assert client.get(f"/datasets/{body['id']}").json() == body


def test_a_chunked_body_becomes_a_dataset(client: InProcess, content: bytes) -> None:
    created(client.post("/datasets", content=in_chunks(content, size=100), headers=NPZ))


def test_a_form_becomes_a_dataset_named_after_its_file(client: InProcess, content: bytes) -> None:
    response = client.post("/datasets", files={"file": ("my pets (1).npz", content)})
    assert created(response)["name"] == "my-pets-1-"


@pytest.mark.parametrize(
    ("query", "form", "name"),
    [("", {"name": "cats"}, "cats"), ("?name=dogs", {"name": "cats"}, "dogs")],
)
def test_a_form_may_say_the_name(
    client: InProcess, content: bytes, query: str, form: dict[str, str], name: str
) -> None:
    response = client.post(f"/datasets{query}", data=form, files={"file": ("pets.npz", content)})
    assert created(response)["name"] == name


def test_json_becomes_a_dataset(client: InProcess) -> None:
    body = created(client.post("/datasets", json=inline_body(name="pets")))
    assert (body["name"], body["n_rows"], body["classes"]) == ("pets", 10, ["cat", "dog"])
    assert [split["name"] for split in body["splits"]] == ["train", "test"]
    assert body["warnings"][0]["code"] == "split_made"


def test_a_file_and_the_same_rows_as_json_are_the_same_bytes(client: InProcess) -> None:
    x = np.random.default_rng(0).standard_normal((4, 2)).astype("f4")
    y = ["b", "a", "b", "a"]
    content = npz({"train_x": x, "train_y": np.array(y)})
    from_file = created(client.post("/datasets", content=content, headers=NPZ))
    value = {"embeddings": x.tolist(), "labels": y, "splits": ["train"] * 4}
    assert created(client.post("/datasets", json=value))["sha256"] == from_file["sha256"]


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        (None, "dataset"),
        ("", "dataset"),
        ("pets.npz", "pets"),
        ("C:\\Users\\me\\pets.npz", "pets"),
        ("../../etc/passwd", "passwd"),
        ("a.b.npz", "a.b"),
        (".npz", "npz"),
        ("___", "dataset"),
        ("鳥.npz", "dataset"),
        ("x" * 100 + ".npz", "x" * 64),
    ],
)
def test_any_file_name_gives_an_allowed_name(file_name: str | None, name: str) -> None:
    assert name_of_file(file_name) == name


@pytest.mark.parametrize("name", ["", "a b", "../x", "x" * 65, "a\0", "-a"])
def test_a_name_against_the_rule_is_refused(
    client: InProcess, store: Store, content: bytes, name: str
) -> None:
    response = client.post("/datasets", params={"name": name}, content=content, headers=NPZ)
    assert_problem(response, 422, "invalid_request", "name")
    response = client.post("/datasets", json=inline_body(name=name))
    assert_problem(response, 422, "invalid_request", "name")
    response = client.post("/datasets", data={"name": name}, files={"file": ("a", content)})
    assert_problem(response, 422, "invalid_name", "name")
    assert stored(store) == []


BAD: dict[str, tuple[Callable[[], bytes], int, str, str]] = {
    "nothing": (lambda: b"", 400, "empty_file", "file"),
    "text": (lambda: b"a,b\n1,2\n", 422, "missing_column", "embedding"),
    "truncated": (lambda: npz(clouds())[:-100], 400, "damaged_zip", "file"),
    "bomb": (lambda: zeros_member(128 << 20), 413, "too_large", "file"),
    "unknown array": (
        lambda: npz(clouds() | {"texts": np.array(["a"])}),
        422,
        "unknown_array",
        "texts",
    ),
    "not finite": (
        lambda: npz(clouds() | {"test_x": np.full((20, 3), np.nan)}),
        422,
        "not_finite",
        "test_x",
    ),
}


@pytest.mark.parametrize("form", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_a_problem_and_leaves_nothing(
    client: InProcess,
    store: Store,
    leftovers: Callable[[], list[str]],
    name: str,
    form: bool,
) -> None:
    make, status, code, field = BAD[name]
    if form:
        response = client.post("/datasets", files={"file": ("a", make())})
    else:
        response = client.post("/datasets", content=make(), headers=OCTETS)
    assert_problem(response, status, code, field)
    assert client.get("/datasets").json()["items"] == []
    assert stored(store) == []
    assert leftovers() == []


HOSTILE = {name: content for name, (content, _) in HOSTILE_NPZ.items()} | {
    f"train_x: {name}": npz({"train_x": content, "train_y": np.arange(4) % 2})
    for name, (content, _) in HOSTILE_NPY.items()
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_client_error_at_once(client: InProcess, name: str) -> None:
    began = time.process_time()
    response = client.post("/datasets", content=HOSTILE[name], headers=OCTETS)
    assert time.process_time() - began < 1
    assert response.status_code in (400, 413, 422)
    assert_problem(response, response.status_code, response.json()["code"])


def test_rows_that_are_not_finite_are_listed(client: InProcess) -> None:
    x = np.ones((20, 3))
    x[[2, 5], [1, 0]] = np.nan
    response = client.post("/datasets", content=npz(clouds() | {"train_x": x}), headers=NPZ)
    body = assert_problem(response, 422, "not_finite")
    assert [(e["field"], e["row"], e["column"]) for e in body["errors"]] == [
        ("train_x", 2, 1),
        ("train_x", 5, 0),
    ]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"labels": ["cat"]}, "invalid_request", "embeddings"),
        (inline_body(x=1), "invalid_request", "x"),
        (inline_body(labels=["cat"]), "length_mismatch", "labels"),
        (inline_body(embeddings=[[1.0, "x"]]), "invalid_embeddings", "embeddings"),
        ([], "invalid_request", "body"),
    ],
)
def test_bad_json_is_a_problem(
    client: InProcess, leftovers: Callable[[], list[str]], body: Any, code: str, field: str
) -> None:
    assert_problem(client.post("/datasets", json=body), 422, code, field)
    assert leftovers() == []


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/vnd.apache.arrow.file", "image/png"],
)
def test_another_content_type_is_refused(
    client: InProcess, content: bytes, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = client.post("/datasets", content=content, headers=headers)
    assert_problem(response, 415, "unsupported_media_type")


def form_of(*parts: tuple[str, bytes], end: bytes = b"--b--\r\n") -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    return b"".join(head % (name.encode(), content) for name, content in parts) + end


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"no form",
        form_of(),
        form_of(("name", b"pets")),
        form_of(("other", b"x")),
        form_of(("file", b"x"), ("file", b"y")),
        form_of(("file", b"x"), ("name", b"x" * 2000)),
        form_of(("file", b"x"), end=b""),
        form_of(("file", b"x"), end=b"--b"),
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\n" + b"X: y\r\n" * 1000 + b"\r\nx\r\n--b--\r\n",
        b"--b\r\nX: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n",
    ],
)
def test_a_bad_form_is_a_problem(
    client: InProcess, leftovers: Callable[[], list[str]], form: bytes
) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert_problem(client.post("/datasets", content=form, headers=headers), 400, "invalid_form")
    assert leftovers() == []


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "b" * 300])
def test_a_form_without_a_proper_boundary_is_a_problem(client: InProcess, boundary: str) -> None:
    headers = {"content-type": f"multipart/form-data{boundary}"}
    response = client.post("/datasets", content=form_of(("file", b"x")), headers=headers)
    assert_problem(response, 400, "invalid_form")


def test_a_form_in_single_bytes_is_read(client: InProcess, content: bytes) -> None:
    small = npz({"train_x": np.eye(2), "train_y": np.arange(2)})
    form = form_of(("name", b"pets"), ("file", small))
    headers = {"content-type": 'multipart/form-data; boundary="b"'}
    response = client.post("/datasets", content=in_chunks(form, size=1), headers=headers)
    assert created(response)["name"] == "pets"


def test_a_body_beyond_the_limit_leaves_nothing(
    client: InProcess, settings: ServiceSettings, leftovers: Callable[[], list[str]]
) -> None:
    body = in_chunks(b"PK" * settings.max_upload_bytes)
    assert_problem(client.post("/datasets", content=body, headers=NPZ), 413, "body_too_large")
    assert leftovers() == []


def test_arrays_beyond_the_limit_are_refused(client: InProcess, settings: ServiceSettings) -> None:
    n_rows = settings.max_upload_bytes // 8
    arrays = {"train_x": np.zeros((n_rows, 2), "f4"), "train_y": np.arange(n_rows) % 2}
    response = client.post("/datasets", content=npz(arrays), headers=NPZ)
    assert_problem(response, 413, "too_large", "file")


def test_the_same_key_gives_the_first_answer_again(
    client: InProcess, store: Store, content: bytes
) -> None:
    headers = NPZ | {"idempotency-key": "k1"}
    first = client.post("/datasets?name=pets", content=content, headers=headers)
    again = client.post("/datasets?name=pets", content=content, headers=headers)
    assert created(again) == created(first)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(client.get("/datasets").json()["items"]) == 1
    for other in (
        client.post("/datasets?name=cats", content=content, headers=headers),
        client.post("/datasets?name=pets", content=content + b"x", headers=headers),
        client.post("/datasets", json=inline_body(), headers={"idempotency-key": "k1"}),
    ):
        assert_problem(other, 422, "idempotency_key_reused", "Idempotency-Key")


def test_a_repeated_form_is_the_same_request_whatever_its_boundary(
    client: InProcess, content: bytes
) -> None:
    bodies = []
    for boundary in ("one", "two"):
        headers = {
            "content-type": f"multipart/form-data; boundary={boundary}",
            "idempotency-key": "k1",
        }
        form = form_of(("file", content)).replace(b"--b", b"--" + boundary.encode())
        bodies.append(created(client.post("/datasets", content=form, headers=headers)))
    assert bodies[0] == bodies[1]


def test_a_refused_upload_does_not_use_its_key_up(client: InProcess, content: bytes) -> None:
    headers = NPZ | {"idempotency-key": "k1"}
    assert client.post("/datasets", content=b"x", headers=headers).status_code == 400
    created(client.post("/datasets", content=content, headers=headers))


def test_one_key_at_the_same_time_makes_one_dataset(client: InProcess, content: bytes) -> None:
    async def race() -> list[httpx.Response]:
        headers = NPZ | {"idempotency-key": "k1"}
        calls = [
            client.send("POST", "/datasets", content=content, headers=headers) for _ in range(4)
        ]
        return await asyncio.gather(*calls)

    answers = asyncio.run(race())
    assert len({created(answer)["id"] for answer in answers}) == 1
    assert len(client.get("/datasets").json()["items"]) == 1


def test_datasets_are_listed_newest_first_in_pages(client: InProcess) -> None:
    ids = [created(client.post("/datasets", json=inline_body(n)))["id"] for n in (10, 20, 30)]
    first = client.get("/datasets", params={"limit": 2}).json()
    rest = client.get("/datasets", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "other=1"])
def test_a_wrong_list_is_refused(client: InProcess, query: str) -> None:
    assert_problem(client.get(f"/datasets?{query}"), 422, "invalid_request")


def test_an_edited_cursor_is_refused(client: InProcess) -> None:
    assert_problem(client.get("/datasets?cursor=abc"), 422, "invalid_cursor", "cursor")


def test_a_bad_id_is_refused(client: InProcess) -> None:
    assert_problem(client.get("/datasets/a%20b"), 422, "invalid_request", "dataset_id")


def test_the_documentation_shows_each_form_of_body(client: InProcess) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/datasets"]["post"]
    content = operation["requestBody"]["content"]
    assert set(content) == {
        "application/json",
        "application/x-npz",
        "application/vnd.apache.parquet",
        "application/x-ndjson",
        "application/vnd.safetensors",
        "text/csv",
        "application/octet-stream",
        "multipart/form-data",
    }
    example = content["application/json"]["schema"]["examples"][0]
    created(client.post("/datasets", json=example))


def test_a_saved_npz_needs_no_copy_in_memory_to_be_sent(client: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "pets.npz"
    np.savez(path, **clouds())
    with path.open("rb") as file:
        created(client.post("/datasets", files={"file": file}))
    buffer = io.BytesIO(path.read_bytes())
    created(client.post("/datasets", files={"file": ("pets.npz", buffer)}))
