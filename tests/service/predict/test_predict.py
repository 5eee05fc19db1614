"""POST and GET /predict: rows in, labels and probabilities out, wrong rows named."""

import asyncio
import base64
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from nmtune import Head
from service.settings import ServiceSettings
from store.store import Store
from tests.service.in_process import CLASSES, InProcess, assert_problem, publish, train
from tests.support.files.arrays import npy

Rows = tuple[np.ndarray, np.ndarray]

JSON = {"content-type": "application/json"}
NPY = {"content-type": "application/x-npy"}
RAW = {"content-type": "application/octet-stream"}


@pytest.fixture
def pets(trained: bytes) -> Head:
    """The twin, in this process, of the head pets@prod."""
    return Head.from_bytes(trained)


@pytest.fixture
def published(store: Store, trained: bytes) -> None:
    """The head pets@prod in a store of the test's own."""
    publish(store, trained, alias="prod")


def _base64(x: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(x.astype("<f4").tobytes()).decode()
    return {"base64": data, "shape": list(x.shape), "dtype": "float32"}


def test_one_embedding_gets_its_class_and_all_probabilities(asking: InProcess, pets: Head) -> None:
    response = asking.get("/predict?head=pets@prod&embedding=1,0,0.3")
    assert response.status_code == 200, response.text
    expected = pets.predict_proba([[1, 0, 0.3]])[0].tolist()
    assert response.json() == {
        "head": {"name": "pets", "version": 1, "reference": "pets@prod"},
        "label": "cat",
        "probability": pytest.approx(max(expected), abs=1e-6),
        "probabilities": pytest.approx(dict(zip(CLASSES, expected, strict=True)), abs=1e-6),
    }


@pytest.mark.parametrize("embedding", ["1,0,0.3", "[1,0,0.3]", " 1.0, 0e5 ,3e-1 ", "[1, 0, 0.3]"])
@pytest.mark.parametrize("reference", ["pets", "pets@1", "pets@prod", "pets@latest"])
def test_the_ways_to_write_an_embedding_and_a_reference(
    asking: InProcess, embedding: str, reference: str
) -> None:
    response = asking.get("/predict", params={"head": reference, "embedding": embedding})
    assert response.json()["label"] == "cat"
    assert response.json()["head"] == {"name": "pets", "version": 1, "reference": reference}


@pytest.mark.parametrize(
    ("form", "query"), [("lists", ""), ("base64", ""), ("npy", "?head=pets"), ("raw", "?head=pets")]
)
def test_many_embeddings_in_every_form_get_the_same_answer(
    asking: InProcess, pets: Head, rows: Rows, form: str, query: str
) -> None:
    x = rows[0]
    bodies: dict[str, dict[str, Any]] = {
        "lists": {"json": {"head": "pets", "embeddings": x.tolist()}},
        "base64": {"json": {"head": "pets", "embeddings": _base64(x)}},
        "npy": {"content": npy(x), "headers": NPY},
        "raw": {"content": x.tobytes(), "headers": RAW | {"x-shape": "40,3"}},
    }
    response = asking.post(f"/predict{query}", **bodies[form])
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["head"] == {"name": "pets", "version": 1, "reference": "pets"}
    assert answer["classes"] == list(CLASSES)
    assert answer["labels"] == pets.predict(x)
    probabilities = np.array(answer["probabilities"], np.float32)
    np.testing.assert_allclose(probabilities, pets.predict_proba(x), atol=1e-6)


def test_npy_of_another_float_type_and_order_is_taken(
    asking: InProcess, pets: Head, rows: Rows
) -> None:
    x = np.asfortranarray(rows[0].astype(">f8"))
    response = asking.post("/predict?head=pets", content=npy(x), headers=NPY)
    assert response.json()["labels"] == pets.predict(rows[0])


@pytest.mark.parametrize(
    ("params", "status", "code", "field"),
    [
        ({}, 422, "invalid_request", "head"),
        ({"head": "pets"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "text": "a cat"}, 422, "text_not_supported", "text"),
        ({"head": "pets", "text": "", "embedding": "1,2,3"}, 422, "invalid_request", "text"),
        ({"head": "pets", "embedding": ""}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "[]"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "1,2"}, 422, "invalid_data", "embedding"),
        ({"head": "pets", "embedding": "1,2,3,4"}, 422, "invalid_data", "embedding"),
        ({"head": "pets", "embedding": "1,nan,3"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "1,NaN,3"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "1,inf,3"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "1,-Infinity,3"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "1,1e999,3"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "1,1e39,3"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "1,1_0,3"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "1,true,3"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": '1,"2",3'}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "[[1,2,3]]"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "1,2,3],[4,5,6"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "1,2,3\x00"}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "embedding": "[" * 5000}, 422, "invalid_embedding", "embedding"),
        ({"head": "pets", "vector": "1,2,3"}, 422, "invalid_request", "vector"),
        ({"head": "none", "embedding": "1,2,3"}, 404, "not_found", None),
        ({"head": "pets@2", "embedding": "1,2,3"}, 404, "not_found", None),
        ({"head": "pets@dev", "embedding": "1,2,3"}, 404, "not_found", None),
        ({"head": "", "embedding": "1,2,3"}, 422, "invalid_head_reference", "head"),
        ({"head": "pets@", "embedding": "1,2,3"}, 422, "invalid_head_reference", "head"),
        ({"head": "a@b@c", "embedding": "1,2,3"}, 422, "invalid_head_reference", "head"),
        ({"head": "../x", "embedding": "1,2,3"}, 422, "invalid_head_reference", "head"),
        ({"head": "a\x00", "embedding": "1,2,3"}, 422, "invalid_head_reference", "head"),
        ({"head": "x" * 200, "embedding": "1,2,3"}, 422, "invalid_request", "head"),
    ],
)
def test_a_wrong_question_is_refused(
    asking: InProcess, params: dict[str, str], status: int, code: str, field: str | None
) -> None:
    assert_problem(asking.get("/predict", params=params), status, code, field)


def test_a_wrong_width_says_which_is_right_and_which_came(asking: InProcess) -> None:
    one = assert_problem(asking.get("/predict?head=pets&embedding=1,2"), 422, "invalid_data")
    many = assert_problem(
        asking.post("/predict", json={"head": "pets", "embeddings": [[1, 2]]}),
        422,
        "invalid_data",
        "embeddings",
    )
    for body in (one, many):
        assert "3" in body["detail"]
        assert "2" in body["detail"]


def _post_table() -> list[Any]:
    x = np.ones((2, 3), np.float32)
    nan = np.array([[1, 2, 3], [1, np.nan, 3]], np.float32)
    raw = RAW | {"x-shape": "2,3"}
    body = {"head": "pets", "embeddings": [[1, 2, 3], [4, 5, 6]]}
    return [
        ("", JSON, {**body, "head": None}, 422, "invalid_request", "head"),
        ("", JSON, {"head": "pets"}, 422, "invalid_request", "embeddings"),
        ("", JSON, {**body, "n": 1}, 422, "invalid_request", "n"),
        ("", JSON, {**body, "embeddings": []}, 422, "invalid_embeddings", "embeddings"),
        ("", JSON, {**body, "embeddings": [[]]}, 422, None, "embeddings"),
        ("", JSON, {**body, "embeddings": [1, 2, 3]}, 422, None, "embeddings"),
        ("", JSON, {**body, "embeddings": [[1, 2, 3], [1, 2]]}, 422, None, "embeddings"),
        ("", JSON, {**body, "embeddings": [[1, 2, None]]}, 422, None, "embeddings"),
        ("", JSON, {**body, "embeddings": [[1, 2, 1e39]]}, 422, "not_finite", "embeddings"),
        ("", JSON, {**body, "embeddings": _base64(nan)}, 422, "not_finite", "embeddings"),
        ("", JSON, {**body, "embeddings": [[1, 2, 3]] * 1001}, 413, "too_many_rows", "embeddings"),
        ("", JSON, {**body, "head": "none"}, 404, "not_found", None),
        ("", NPY, npy(x), 422, "invalid_request", "head"),
        ("?head=pets", NPY, npy(x)[:-1], 400, None, None),
        ("?head=pets", NPY, npy(x) + b"x", 400, None, None),
        ("?head=pets", NPY, b"", 400, None, None),
        ("?head=pets", NPY, npy(nan), 422, "not_finite", None),
        ("?head=pets", NPY, npy(x.astype("i8")), 422, "npy_dtype", None),
        ("?head=pets", NPY, npy(np.ones(3, np.float32)), 422, "npy_shape", None),
        ("?head=pets", NPY, npy(np.ones((1001, 3), "<f4")), 413, "too_many_rows", None),
        ("", raw, x.tobytes(), 422, "invalid_request", "head"),
        ("?head=pets", RAW, x.tobytes(), 422, "invalid_request", "X-Shape"),
        ("?head=pets", RAW | {"x-shape": "2x3"}, x.tobytes(), 422, "invalid_request", "X-Shape"),
        ("?head=pets", RAW | {"x-shape": "-2,3"}, x.tobytes(), 422, "invalid_request", "X-Shape"),
        ("?head=pets", RAW | {"x-shape": "9" * 99}, x.tobytes(), 422, "invalid_request", "X-Shape"),
        ("?head=pets", RAW | {"x-shape": "3,3"}, x.tobytes(), 422, "wrong_length", "body"),
        ("?head=pets", RAW | {"x-shape": "0,3"}, b"", 422, "invalid_data", "embeddings"),
        ("?head=pets", RAW | {"x-shape": "1001,3"}, b"", 413, "too_many_rows", "embeddings"),
        ("?head=pets", raw, nan.tobytes(), 422, "invalid_data", "embeddings"),
        ("?head=pets", {"content-type": "text/csv"}, b"1,2,3", 415, "unsupported_media_type", None),
        ("?head=pets", {}, b"1,2,3", 415, "unsupported_media_type", None),
        ("?head=" + "x" * 200, NPY, npy(x), 422, "invalid_request", "head"),
    ]


@pytest.mark.parametrize(("query", "headers", "body", "status", "code", "field"), _post_table())
def test_a_wrong_batch_is_refused(
    asking: InProcess,
    query: str,
    headers: dict[str, str],
    body: Any,
    status: int,
    code: str | None,
    field: str | None,
) -> None:
    if isinstance(body, dict):
        body = {key: value for key, value in body.items() if value is not None}
        response = asking.post(f"/predict{query}", json=body)
    else:
        response = asking.post(f"/predict{query}", content=body, headers=headers)
    assert_problem(response, status, code or response.json()["code"], field)


def test_the_place_of_a_value_that_is_not_finite_is_named(asking: InProcess) -> None:
    x = np.zeros((3, 3), np.float32)
    x[2, 1] = np.inf
    for response in (
        asking.post("/predict?head=pets", content=npy(x), headers=NPY),
        asking.post("/predict?head=pets", content=x.tobytes(), headers=RAW | {"x-shape": "3,3"}),
        asking.post("/predict", json={"head": "pets", "embeddings": _base64(x)}),
    ):
        entry = response.json()["errors"][0]
        assert (entry["row"], entry["column"]) == (2, 1)


def test_values_that_overflow_inside_the_head_are_no_answer(
    client: InProcess, store: Store, rows: Rows
) -> None:
    publish(store, train(rows, seed=0, scaling="standardise"))
    response = client.get("/predict?head=pets&embedding=3e38,3e38,3e38")
    assert_problem(response, 422, "invalid_data", "embedding")


def test_a_moved_alias_is_followed_at_once(
    client: InProcess, store: Store, trained: bytes, rows: Rows
) -> None:
    publish(store, trained, alias="prod")
    assert client.get("/predict?head=pets@prod&embedding=1,0,0").json()["head"]["version"] == 1
    publish(store, train(rows, seed=1), alias="prod")
    assert client.get("/predict?head=pets@prod&embedding=1,0,0").json()["head"]["version"] == 2
    client.put("/heads/pets/aliases/prod", json={"version": 1})
    assert client.get("/predict?head=pets@prod&embedding=1,0,0").json()["head"]["version"] == 1


@pytest.mark.usefixtures("published")
def test_a_head_that_is_loaded_outlives_its_file(
    client: InProcess, settings: ServiceSettings
) -> None:
    before = client.get("/predict?head=pets&embedding=1,0,0")
    for path in settings.artifacts_dir.glob("default/*/*"):
        path.unlink()
    assert client.get("/predict?head=pets&embedding=1,0,0").json() == before.json()


@pytest.mark.parametrize(
    ("damage", "code"), [("bytes", "artifact_corrupt"), ("file", "artifact_missing")]
)
@pytest.mark.usefixtures("published")
def test_a_damaged_head_gives_no_answer(
    client: InProcess, settings: ServiceSettings, damage: str, code: str
) -> None:
    sha256 = client.get("/heads/pets/versions/1").json()["sha256"]
    (path,) = settings.artifacts_dir.rglob(sha256)
    if damage == "file":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1  # one bit of one weight
        path.chmod(0o600)
        path.write_bytes(content)
    for _ in range(2):
        response = client.get("/predict?head=pets&embedding=1,0,0")
        assert_problem(response, 503, code)
        assert str(settings.artifacts_dir) not in response.text


def test_a_head_of_an_unknown_format_gives_no_answer(client: InProcess, store: Store) -> None:
    publish(store, b"a head of the future")
    response = client.get("/predict?head=pets&embedding=1,0,0")
    assert_problem(response, 503, "invalid_head")


@pytest.mark.usefixtures("published")
def test_many_predictions_at_once_agree(app: FastAPI, rows: Rows) -> None:
    async def ask() -> list[httpx.Response]:
        client, body = InProcess(app), {"head": "pets", "embeddings": rows[0].tolist()}
        asked = (client.send("POST", "/predict", json=body) for _ in range(24))
        return await asyncio.gather(*asked)  # on one event loop, where passes are shared

    answers = asyncio.run(ask())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
