"""Predictions are those of the trained head, in every form of request and response."""

import asyncio
import base64
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest

from nmtune import Head
from service.app import create_app
from service.settings import ServiceSettings
from store.queue import LocalQueue
from store.store import Store
from tests.service.in_process import CLASSES, InProcess, assert_problem, publish

Rows = tuple[np.ndarray, np.ndarray]

RAW, NPY, JSON = "application/octet-stream", "application/x-npy", "application/json"
BODIES = ("json", "base64", "base64 float16", "npy", "raw", "raw in the query", "raw float16")


@pytest.fixture
def pets(trained: bytes) -> Head:
    """The twin, in this process, of the head pets@prod."""
    return Head.from_bytes(trained)


def ask(
    client: InProcess, x: np.ndarray, *, form: str = "json", accept: str = "*/*", **options: Any
) -> httpx.Response:
    """POST /predict with the rows in this form."""
    query: dict[str, Any] = {"head": "pets@prod"}
    headers = {"accept": accept, "content-type": RAW}
    shape = f"{x.shape[0]},{x.shape[1]}"
    if form.startswith(("json", "base64")):
        dtype = "<f2" if "16" in form else "<f4"
        packed = {
            "base64": base64.b64encode(x.astype(dtype).tobytes()).decode(),
            "shape": list(x.shape),
            "dtype": "float16" if "16" in form else "float32",
        }
        embeddings = x.tolist() if form == "json" else packed
        body = json.dumps({"embeddings": embeddings, **query, **options}).encode()
        return client.post("/predict", content=body, headers=headers | {"content-type": JSON})
    if form == "npy":
        file = io.BytesIO()
        np.save(file, x)
        body, headers["content-type"] = file.getvalue(), NPY
    elif form == "raw":
        body, headers["x-shape"] = x.astype("<f4").tobytes(), shape
    elif form == "raw in the query":
        body = x.astype("<f4").tobytes()
        query |= {"shape": shape}
    else:
        body = x.astype("<f2").tobytes()
        query |= {"shape": shape, "dtype": "float16"}
    return client.post("/predict", params=query | options, content=body, headers=headers)


@pytest.mark.parametrize("output", ["probabilities", "logits", "embeddings"])
@pytest.mark.parametrize("accept", ["*/*", RAW, NPY])
@pytest.mark.parametrize("form", BODIES)
def test_every_form_of_question_and_answer_agrees(
    asking: InProcess, pets: Head, rows: Rows, form: str, accept: str, output: str
) -> None:
    x = rows[0].astype(np.float16).astype(np.float32)  # what float16 can say
    response = ask(asking, x, form=form, accept=accept, output=output)
    assert response.status_code == 200, response.text
    said = {
        "probabilities": pets.predict_proba,
        "logits": pets.logits,
        "embeddings": pets.transform,
    }
    expected = said[output](x)
    if accept == "*/*":
        assert response.headers["content-type"] == JSON
        answer = response.json()
        assert answer["head"] == {"name": "pets", "version": 1, "reference": "pets@prod"}
        found = np.array(answer[output], np.float32)
        if output != "embeddings":
            assert answer["labels"] == pets.predict(x)
    else:
        assert response.headers["content-type"] == accept
        assert response.headers["x-nmtune-head"] == "pets@1"
        assert json.loads(response.headers["x-nmtune-classes"]) == list(CLASSES)
        assert response.headers["x-shape"] == f"{expected.shape[0]},{expected.shape[1]}"
        if accept == RAW:
            found = np.frombuffer(response.content, "<f4").reshape(expected.shape)
        else:
            found = np.load(io.BytesIO(response.content))
            assert found.dtype == np.dtype("<f4")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


def test_every_form_gives_the_same_bits(asking: InProcess, rows: Rows) -> None:
    x = rows[0].astype(np.float16).astype(np.float32)
    answers = {ask(asking, x, form=form, accept=RAW).content for form in BODIES}
    assert len(answers) == 1
    assert len({ask(asking, x, form=form).content for form in BODIES}) == 1


@pytest.mark.parametrize("form", ["json", "raw"])
def test_options_are_taken_from_query_and_body_alike(
    asking: InProcess, pets: Head, rows: Rows, form: str
) -> None:
    x, proba = rows[0], pets.predict_proba(rows[0])
    limit = float(np.median(proba.max(axis=1)))
    labels = ask(asking, x, form=form, output="labels").json()
    assert labels == {
        "head": {"name": "pets", "version": 1, "reference": "pets@prod"},
        "labels": pets.predict(x),
    }
    answer = ask(asking, x, form=form, output="labels", abstain_below=limit + 1e-4).json()
    abstained = [label is None for label in answer["labels"]]
    assert abstained == (proba.max(axis=1) < limit + 1e-4).tolist()
    top = ask(asking, x, form=form, top_k=1).json()
    assert top["top_labels"] == [[label] for label in pets.predict(x)]
    np.testing.assert_allclose(top["top_probabilities"], proba.max(axis=1)[:, None], atol=2e-6)
    assert "probabilities" not in top
    every = ask(asking, x, form=form, top_k=99).json()
    assert all(sorted(names) == sorted(CLASSES) for names in every["top_labels"])


def test_the_body_s_option_goes_before_the_query_s(asking: InProcess) -> None:
    body = {"head": "pets", "embeddings": [[1, 0, 0]], "output": "labels"}
    answer = asking.post("/predict?output=logits&top_k=1", json=body).json()
    assert set(answer) == {"head", "labels", "top_labels"}


def test_labels_in_binary_are_class_numbers(asking: InProcess, pets: Head, rows: Rows) -> None:
    expected = pets.predict_proba(rows[0]).argmax(axis=1)
    response = ask(asking, rows[0], form="raw", accept=RAW, output="labels")
    assert np.array_equal(np.frombuffer(response.content, "<i4"), expected)
    assert response.headers["x-shape"] == "40"
    none = ask(asking, rows[0], form="raw", accept=NPY, output="labels", abstain_below=1)
    assert (np.load(io.BytesIO(none.content)) == -1).all()


def test_one_embedding_takes_the_same_options(asking: InProcess, pets: Head) -> None:
    x = [[1, 0, 0.3]]

    def get(**options: Any) -> Any:
        query = {"head": "pets@prod", "embedding": "1,0,0.3", **options}
        return asking.get("/predict", params=query).json()

    assert set(get(output="labels")) == {"head", "label", "probability"}
    assert get(abstain_below=1)["label"] is None
    assert list(get(top_k=1)["probabilities"]) == ["cat"]
    logits = get(output="logits")["logits"]
    assert logits == pytest.approx(
        dict(zip(CLASSES, pets.logits(x)[0].tolist(), strict=True)), rel=1e-5, abs=1e-5
    )
    assert get(output="embeddings")["embedding"] == pytest.approx(
        pets.transform(x)[0].tolist(), rel=1e-5, abs=1e-6
    )


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"output": "classes"}, "output"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": "many"}, "top_k"),
        ({"abstain_below": 1.5}, "abstain_below"),
        ({"dtype": "float64"}, "dtype"),
        ({"colour": "red"}, "colour"),
        ({"output": "embeddings", "top_k": 1}, "top_k"),
    ],
)
def test_a_wrong_option_is_named(
    asking: InProcess, rows: Rows, options: dict[str, Any], field: str
) -> None:
    assert_problem(ask(asking, rows[0], form="raw", **options), 422, "invalid_request", field)
    if "dtype" not in options:
        assert_problem(ask(asking, rows[0], form="json", **options), 422, "invalid_request", field)


@pytest.mark.parametrize(
    ("options", "field"), [({"top_k": 1}, "top_k"), ({"abstain_below": 0.5}, "abstain_below")]
)
def test_what_a_binary_answer_cannot_hold_is_refused(
    asking: InProcess, rows: Rows, options: dict[str, Any], field: str
) -> None:
    response = ask(asking, rows[0], form="raw", accept=RAW, **options)
    assert_problem(response, 422, "invalid_request", field)


def test_of_many_requests_at_once_a_wrong_one_fails_alone(
    asking: InProcess, pets: Head, rows: Rows
) -> None:
    async def all_at_once() -> list[httpx.Response]:
        bodies: list[Any] = [[row.tolist()] for row in rows[0]]
        bodies[3], bodies[7], bodies[9] = [[1, 2]], [[1, None, 3]], [[3e38, 3e38, 3e38]]
        asked = [
            asking.send("POST", "/predict", json={"head": "pets", "embeddings": one})
            for one in bodies
        ]
        return await asyncio.gather(*asked)

    found = asyncio.run(all_at_once())
    expected = pets.predict_proba(rows[0])
    for at, response in enumerate(found):
        if at in (3, 7, 9):
            assert response.status_code == 422
        else:
            np.testing.assert_allclose(
                response.json()["probabilities"], expected[at : at + 1], atol=2e-6
            )


def test_where_too_many_wait_the_next_is_refused_at_once(
    client: InProcess, store: Store, trained: bytes, rows: Rows
) -> None:
    publish(store, trained, alias="prod")
    assert ask(client, rows[0]).status_code == 200
    batcher = client.app.state.services.predictor.batcher
    usual, batcher.max_requests = batcher.max_requests, 0
    for form in ("json", "raw"):
        refused = ask(client, rows[0], form=form)
        assert_problem(refused, 429, "too_busy")
        assert refused.headers["retry-after"] == "1"
    assert client.get("/predict?head=pets&embedding=1,0,0").status_code == 429
    batcher.max_requests = usual
    assert ask(client, rows[0]).status_code == 200


def test_more_bodies_than_there_is_room_for_are_refused(
    settings: ServiceSettings, store: Store, trained: bytes, rows: Rows
) -> None:
    publish(store, trained, alias="prod")
    small = settings.model_copy(update={"predict_body_bytes": 1024})
    client = InProcess(create_app(small, store=store, queue=LocalQueue()))

    async def slow_and_quick() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        may_go_on, has_begun = asyncio.Event(), asyncio.Event()
        body = json.dumps({"head": "pets", "embeddings": rows[0].tolist()}).encode()

        async def parts() -> Any:
            yield body[:800]
            has_begun.set()
            await may_go_on.wait()
            yield body[800:]

        headers = {"content-type": JSON}
        slow = asyncio.ensure_future(
            client.send("POST", "/predict", content=parts(), headers=headers)
        )
        await has_begun.wait()
        await asyncio.sleep(0.05)  # httpx hands the first part on
        quick = await client.send("POST", "/predict", content=body, headers=headers)
        may_go_on.set()
        last = await client.send("POST", "/predict", content=body, headers=headers)
        return await slow, quick, last

    slow, quick, last = asyncio.run(slow_and_quick())
    assert slow.status_code == 200, slow.text
    assert_problem(quick, 429, "too_busy")
    assert quick.headers["retry-after"] == "1"
    assert last.status_code in (200, 429)
