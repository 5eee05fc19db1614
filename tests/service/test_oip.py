"""The Open Inference Protocol as a client without a library writes it, and as nobody should."""

import json
import struct
import tracemalloc
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from nmtune import Head
from nmtune.version import __version__
from service import oip
from service.errors import Problem
from service.settings import ServiceSettings
from store.store import Store
from tests.service.support import CLASSES, InProcess, publish

Rows = tuple[np.ndarray, np.ndarray]

INFER = "/v2/models/pets/infer"
LENGTH = "Inference-Header-Content-Length"
AGREEMENT = 1e-5


@pytest.fixture
def pets(trained: bytes) -> Head:
    """The twin, in this process, of the head pets@prod."""
    return Head.from_bytes(trained)


def tensor(x: np.ndarray, **changes: Any) -> dict[str, Any]:
    return {
        "name": "embeddings",
        "shape": list(x.shape),
        "datatype": "FP32",
        "data": x.ravel().tolist(),
    } | changes


def ask(client: InProcess, x: np.ndarray, path: str = INFER, **request: Any) -> httpx.Response:
    return client.post(path, json={"inputs": [tensor(x)], **request})


def binary_body(header: dict[str, Any], content: bytes) -> dict[str, Any]:
    """What httpx needs to send a JSON header with bytes behind it."""
    text = json.dumps(header).encode()
    return {"content": text + content, "headers": {LENGTH: str(len(text))}}


def binary_input(x: np.ndarray, datatype: str = "FP32") -> dict[str, Any]:
    changed = tensor(x, datatype=datatype, parameters={"binary_data_size": x.nbytes})
    del changed["data"]
    return changed


def outputs(response: httpx.Response) -> dict[str, dict[str, Any]]:
    assert response.status_code == 200, response.text
    header = response.headers.get(LENGTH)
    text = response.content if header is None else response.content[: int(header)]
    return {output["name"]: output for output in json.loads(text)["outputs"]}


def error(response: httpx.Response, status: int) -> str:
    """The message of an error in the protocol's shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.headers["x-request-id"]
    body = response.json()
    assert list(body) == ["error"]
    assert isinstance(body["error"], str)
    return str(body["error"])


def test_the_server_says_who_it_is_and_that_it_is_well(client: InProcess) -> None:
    assert client.get("/v2").json() == {
        "name": "nmtune",
        "version": __version__,
        "extensions": ["binary_tensor_data", "classification"],
    }
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}


def test_a_server_that_is_not_ready_says_why(
    client: InProcess, store: Store, settings: ServiceSettings
) -> None:
    store.close()
    (settings.data_dir / "nmtune.db").write_bytes(b"no database")
    assert "Not ready" in error(client.get("/v2/health/ready"), 503)


@pytest.mark.parametrize("path", ["pets", "pets@prod", "pets/versions/1", "pets/versions/prod"])
def test_a_head_tells_its_tensors_and_that_it_is_ready(asking: InProcess, path: str) -> None:
    assert asking.get(f"/v2/models/{path}").json() == {
        "name": "pets",
        "versions": ["1"],
        "platform": "nmtune",
        "inputs": [{"name": "embeddings", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [-1, 2],
                "parameters": {"classes": list(CLASSES)},
            },
            {"name": "labels", "datatype": "BYTES", "shape": [-1]},
        ],
    }
    assert asking.get(f"/v2/models/{path}/ready").json() == {"name": "pets", "ready": True}


def test_versions_count_up_and_an_alias_is_asked_like_one(
    client: InProcess, store: Store, trained: bytes, rows: Rows
) -> None:
    publish(store, trained, alias="prod")
    publish(store, trained)
    assert client.get("/v2/models/pets").json()["versions"] == ["1", "2"]
    for path, version in (("pets", "2"), ("pets/versions/prod", "1"), ("pets@prod", "1")):
        answer = ask(client, rows[0], f"/v2/models/{path}/infer").json()
        assert (answer["model_name"], answer["model_version"]) == ("pets", version)


def test_flat_numbers_are_answered_with_every_output(
    asking: InProcess, pets: Head, rows: Rows
) -> None:
    response = ask(asking, rows[0], id="42", parameters={"priority": 3, "of_others": "passes"})
    assert response.json()["id"] == "42"
    found = outputs(response)
    expected = pets.predict_proba(rows[0])
    assert found["probabilities"]["shape"] == [40, 2]
    assert found["probabilities"]["datatype"] == "FP32"
    values = np.array(found["probabilities"]["data"], np.float32)
    assert np.allclose(values.reshape(40, 2), expected, rtol=0, atol=AGREEMENT)
    assert found["labels"] == {
        "name": "labels",
        "datatype": "BYTES",
        "shape": [40],
        "data": pets.predict(rows[0]),
    }
    assert "id" not in ask(asking, rows[0]).json()


def test_rows_of_numbers_are_taken_too(asking: InProcess, rows: Rows) -> None:
    nested = asking.post(INFER, json={"inputs": [tensor(rows[0], data=rows[0].tolist())]})
    assert outputs(nested) == outputs(ask(asking, rows[0]))


@pytest.mark.parametrize(("datatype", "dtype"), [("FP32", "<f4"), ("FP16", "<f2"), ("FP64", "<f8")])
def test_bytes_of_each_float_type_get_the_same_answer(
    asking: InProcess, pets: Head, rows: Rows, datatype: str, dtype: str
) -> None:
    x = rows[0].astype(dtype)
    request = {"inputs": [binary_input(x, datatype)]}
    response = asking.post(INFER, **binary_body(request, x.tobytes()))
    found = np.array(outputs(response)["probabilities"]["data"], np.float32).reshape(40, 2)
    expected = pets.predict_proba(x.astype(np.float32))
    assert np.allclose(found, expected, rtol=0, atol=AGREEMENT)
    as_text = asking.post(INFER, json={"inputs": [tensor(x, datatype=datatype)]})
    assert outputs(as_text) == outputs(response)


def test_bytes_behind_json_of_any_length_are_read(asking: InProcess, rows: Rows) -> None:
    expected = outputs(ask(asking, rows[0]))
    for padding in range(4):  # so that the floats lie at addresses of every kind
        request = {"inputs": [binary_input(rows[0])], "pad": "x" * padding}
        response = asking.post(INFER, **binary_body(request, rows[0].tobytes()))
        assert outputs(response) == expected


def test_outputs_are_answered_as_bytes_in_the_order_asked(
    asking: InProcess, pets: Head, rows: Rows
) -> None:
    wanted = [{"name": "labels"}, {"name": "probabilities", "parameters": {"binary_data": True}}]
    response = ask(asking, rows[0], outputs=wanted, parameters={"binary_data_output": True})
    assert response.headers["content-type"] == "application/octet-stream"
    found = outputs(response)
    sizes = {name: output["parameters"]["binary_data_size"] for name, output in found.items()}
    assert list(sizes) == ["labels", "probabilities"]
    content = response.content[int(response.headers[LENGTH]) :]
    assert len(content) == sum(sizes.values())
    labels, rest = content[: sizes["labels"]], content[sizes["labels"] :]
    words = [label.encode() for label in pets.predict(rows[0])]
    assert labels == b"".join(struct.pack("<I", len(word)) + word for word in words)
    values = np.frombuffer(rest, "<f4").reshape(40, 2)
    assert np.allclose(values, pets.predict_proba(rows[0]), rtol=0, atol=AGREEMENT)


def test_an_output_may_be_json_where_the_others_are_bytes(asking: InProcess, rows: Rows) -> None:
    wanted = [{"name": "labels", "parameters": {"binary_data": False}}, {"name": "probabilities"}]
    response = ask(asking, rows[0], outputs=wanted, parameters={"binary_data_output": True})
    found = outputs(response)
    assert len(found["labels"]["data"]) == 40
    assert len(response.content) - int(response.headers[LENGTH]) == 40 * 2 * 4


def test_the_most_probable_classes_are_named_in_order(
    asking: InProcess, pets: Head, rows: Rows
) -> None:
    wanted = [{"name": "probabilities", "parameters": {"classification": 7}}]
    (found,) = outputs(ask(asking, rows[0], outputs=wanted)).values()
    assert (found["datatype"], found["shape"]) == ("BYTES", [40, 2])
    for row, expected in enumerate(pets.predict_proba(rows[0])):
        best, second = (one.split(":") for one in found["data"][2 * row : 2 * row + 2])
        assert float(best[0]) >= float(second[0])
        assert abs(np.float32(best[0]) - expected[int(best[1])]) < AGREEMENT
        assert best[2] == CLASSES[int(best[1])]
    wanted[0]["parameters"]["classification"] = 1  # type: ignore[index]
    (found,) = outputs(ask(asking, rows[0], outputs=wanted)).values()
    assert found["shape"] == [40, 1]


def without(name: str) -> dict[str, Any]:
    one = tensor(np.ones((1, 3)))
    del one[name]
    return one


ONE = np.ones((1, 3), np.float32)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "must be a JSON object"),
        ({}, "inputs must be a list of one tensor"),
        ({"inputs": []}, "inputs must be a list of one tensor"),
        ({"inputs": [tensor(ONE), tensor(ONE)]}, "inputs must be a list of one tensor"),
        ({"inputs": [7]}, "inputs must be a list of one tensor"),
        ({"inputs": [tensor(ONE, name="input__0")]}, "must be named embeddings"),
        ({"inputs": [tensor(ONE, datatype="INT64")]}, "must be FP32, FP16 or FP64"),
        ({"inputs": [tensor(ONE, datatype=["FP32"])]}, "must be FP32, FP16 or FP64"),
        ({"inputs": [without("datatype")]}, "must be FP32, FP16 or FP64"),
        ({"inputs": [without("shape")]}, "must be [rows, columns]"),
        ({"inputs": [tensor(ONE, shape=[3])]}, "must be [rows, columns]"),
        ({"inputs": [tensor(ONE, shape=[-1, 3])]}, "must be [rows, columns]"),
        ({"inputs": [tensor(ONE, shape=[1, -3])]}, "must be [rows, columns]"),
        ({"inputs": [tensor(ONE, shape=[0, 3], data=[])]}, "must be [rows, columns]"),
        ({"inputs": [tensor(ONE, shape=[1, 3, 1])]}, "must be [rows, columns]"),
        ({"inputs": [tensor(ONE, shape=[True, 3])]}, "must be [rows, columns]"),
        ({"inputs": [tensor(ONE, shape=[1.0, 3])]}, "must be [rows, columns]"),
        ({"inputs": [tensor(ONE, shape=[10**30, 3])]}, "must be [rows, columns]"),
        ({"inputs": [tensor(ONE, shape=[2**62, 3])]}, "must hold 4611686018427387904 x 3 numbers"),
        ({"inputs": [tensor(ONE, shape=[1, 2**62])]}, "at most 16384 columns"),
        ({"inputs": [tensor(ONE, shape=[2, 3])]}, "must hold 2 x 3 numbers"),
        ({"inputs": [without("data")]}, "needs either data, or binary_data_size"),
        ({"inputs": [tensor(ONE, parameters={"binary_data_size": 12})]}, "needs either data"),
        ({"inputs": [tensor(ONE, parameters=[1])]}, "must be an object"),
        ({"inputs": [tensor(ONE, data="AAAA")]}, "must be a list of numbers"),
        ({"inputs": [tensor(ONE, data=[1, 2, True])]}, "numbers alone"),
        ({"inputs": [tensor(ONE, data=[1, 2, "3"])]}, "numbers alone"),
        ({"inputs": [tensor(ONE, data=[1, [2], 3])]}, "numbers alone"),
        ({"inputs": [tensor(ONE, data=[[1, 2, None]])]}, "numbers alone"),
        ({"inputs": [tensor(ONE, data=[[1, 2], 3])]}, "must hold 1 x 3 numbers"),
        ({"inputs": [tensor(ONE, data=[[[1, 2, 3]]])]}, "must hold 1 x 3 numbers"),
        ({"inputs": [binary_input(ONE)]}, "needs the header Inference-Header-Content-Length"),
        ({"inputs": [tensor(ONE, parameters={"shared_memory_region": "r"})]}, "Shared memory"),
        ({"inputs": [tensor(ONE)], "id": 42}, "id must be a string"),
        ({"inputs": [tensor(ONE)], "parameters": 3}, "must be an object"),
        ({"inputs": [tensor(ONE)], "outputs": "labels"}, "outputs must be a list"),
        ({"inputs": [tensor(ONE)], "outputs": [{"name": "logits"}]}, "probabilities or labels"),
        ({"inputs": [tensor(ONE)], "outputs": [{"name": ["labels"]}]}, "probabilities or labels"),
        ({"inputs": [tensor(ONE)], "outputs": [{"name": "labels"}] * 2}, "twice"),
        ({"inputs": [tensor(ONE)], "outputs": [{"name": "labels"}] * 99}, "outputs must be a list"),
        (
            {"inputs": [tensor(ONE)], "parameters": {"binary_data_output": "yes"}},
            "binary_data_output must be true or false",
        ),
    ],
)
def test_a_request_that_is_not_as_the_protocol_wants_it_is_told_why(
    refusing: InProcess, body: object, message: str
) -> None:
    assert message in error(refusing.post(INFER, json=body), 400)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("labels", {"classification": 1}, "of the output probabilities alone"),
        ("probabilities", {"classification": -1}, "whole number of classes"),
        ("probabilities", {"classification": True}, "whole number of classes"),
        ("probabilities", {"classification": "all"}, "whole number of classes"),
        ("probabilities", {"binary_data": 1}, "must be true or false"),
        ("probabilities", {"shared_memory_region": "r"}, "Shared memory"),
    ],
)
def test_an_output_that_cannot_be_is_refused(
    refusing: InProcess, name: str, parameters: dict[str, Any], message: str
) -> None:
    wanted = [{"name": name, "parameters": parameters}]
    assert message in error(ask(refusing, ONE, outputs=wanted), 400)


@pytest.mark.parametrize(
    ("x", "status", "message"),
    [
        (np.ones((1, 4)), 422, "must have 3 columns"),
        (np.ones((1001, 3)), 413, "at most 1000"),
        (np.full((2, 3), 1e39), 422, "row 0"),
    ],
)
def test_embeddings_that_the_head_cannot_take(
    asking: InProcess, x: np.ndarray, status: int, message: str
) -> None:
    assert message in error(ask(asking, x), status)


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "FP64"])
def test_bytes_that_are_no_number_are_named_by_their_place(
    asking: InProcess, datatype: str
) -> None:
    x = np.ones((2, 3), {"FP32": "<f4", "FP16": "<f2", "FP64": "<f8"}[datatype])
    x[1, 2] = np.nan
    request = {"inputs": [binary_input(x, datatype)]}
    message = error(asking.post(INFER, **binary_body(request, x.tobytes())), 422)
    assert "row 1" in message
    assert "column 2" in message


GOOD = {"inputs": [binary_input(ONE)]}


@pytest.mark.parametrize(
    ("header", "content", "length"),
    [
        (GOOD, b"", None),
        (GOOD, ONE.tobytes()[:-1], None),
        (GOOD, ONE.tobytes() + b"\0", None),
        (GOOD, ONE.tobytes(), "0"),
        (GOOD, ONE.tobytes(), "-1"),
        (GOOD, ONE.tobytes(), "9" * 15),
        (GOOD, ONE.tobytes(), "9" * 5000),
        (GOOD, ONE.tobytes(), "0x10"),
        (GOOD, ONE.tobytes(), "1e2"),
        (GOOD, ONE.tobytes(), "12, 12"),
        (GOOD, ONE.tobytes(), ""),
        (GOOD, ONE.tobytes(), "7"),
        ({"inputs": [tensor(ONE)]}, b"more", None),
        ({"inputs": [binary_input(ONE) | {"shape": [2**40, 3]}]}, ONE.tobytes(), None),
        ({"inputs": [binary_input(ONE) | {"datatype": "FP16"}]}, ONE.tobytes(), None),
        ({"inputs": [binary_input(ONE) | {"datatype": "FP64"}]}, ONE.tobytes(), None),
        *(
            (
                {"inputs": [binary_input(ONE) | {"parameters": {"binary_data_size": size}}]},
                ONE.tobytes(),
                None,
            )
            for size in (-12, 0, 11, 13, 2**62, 12.0, "12", True, [])
        ),
    ],
)
def test_bytes_that_disagree_with_what_is_said_of_them_are_refused(
    refusing: InProcess, header: dict[str, Any], content: bytes, length: str | None
) -> None:
    request = binary_body(header, content)
    if length is not None:
        request["headers"][LENGTH] = length
    assert error(refusing.post(INFER, **request), 400)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"inputs": NaN}', b"\0\0\0\0"])
def test_a_body_that_is_no_json_is_refused(refusing: InProcess, content: bytes) -> None:
    assert error(refusing.post(INFER, content=content), 400)


def test_a_compressed_body_is_not_read(refusing: InProcess) -> None:
    response = refusing.post(INFER, content=b"x", headers={"content-encoding": "gzip"})
    assert "without compression" in error(response, 415)


def test_a_body_over_the_limit_is_refused_in_the_protocols_shape(refusing: InProcess) -> None:
    assert "larger than" in error(refusing.post(INFER, content=b" " * 300_000), 413)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/cats", 404),
        ("/v2/models/cats/ready", 404),
        ("/v2/models/pets/versions/9", 404),
        ("/v2/models/pets/versions/canary/ready", 404),
        ("/v2/models/pets@9", 404),
        ("/v2/models/pets@prod/versions/1", 400),
        ("/v2/models/a@b@c", 422),
        ("/v2/models/%20", 422),
        (f"/v2/models/{'x' * 200}", 422),
        ("/v2/models/a%2Fb", 404),
        ("/v2/repository/index", 404),
        ("/v2/", 404),
    ],
)
def test_what_is_not_there_is_told_in_the_protocols_shape(
    asking: InProcess, path: str, status: int
) -> None:
    assert error(asking.get(path), status)


def test_a_method_that_does_not_fit_is_told_with_those_that_do(asking: InProcess) -> None:
    response = asking.get(INFER)
    assert error(response, 405)
    assert response.headers["allow"] == "POST"


def test_a_body_for_which_there_is_no_room_is_refused(
    app: FastAPI, client: InProcess, store: Store, trained: bytes
) -> None:
    publish(store, trained)
    budget = app.state.oip_bodies
    budget.n_bytes = budget.max_bytes
    response = ask(client, ONE)
    assert error(response, 429)
    assert response.headers["retry-after"] == "1"
    budget.n_bytes = 0
    assert outputs(ask(client, ONE))
    assert budget.n_bytes == 0


def test_a_bug_keeps_to_the_protocols_shape(app: FastAPI, client: InProcess) -> None:
    app.state.predictor = None
    assert "not your request's fault" in error(ask(client, ONE), 500)


def test_paths_that_only_look_alike_keep_their_problems(client: InProcess) -> None:
    response = client.get("/v2x")
    assert response.headers["content-type"] == "application/problem+json"


def test_a_lost_file_is_a_503_and_the_head_is_not_ready(
    client: InProcess, store: Store, settings: ServiceSettings, trained: bytes
) -> None:
    publish(store, trained)
    (artifact,) = [
        path
        for path in settings.data_dir.rglob("*")
        if path.is_file() and path.read_bytes() == trained
    ]
    artifact.unlink()
    assert "missing or damaged" in error(ask(client, ONE), 503)
    assert "missing or damaged" in error(client.get("/v2/models/pets/ready"), 503)


def test_a_claim_costs_no_memory() -> None:
    claims = [
        json.dumps({"inputs": [binary_input(ONE) | {"shape": [2**40, 16_384]}]}).encode(),
        json.dumps({"inputs": [tensor(ONE, shape=[2**62, 16_384])]}).encode(),
    ]
    tracemalloc.start()
    try:
        for claim in claims:
            with pytest.raises(Problem):
                oip.read(claim + bytes(12), str(len(claim)), check_n_rows=lambda _: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
