"""Wrong requests of the Open Inference Protocol: each is refused in the protocol's own shape."""

import json
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI

from service.http.errors import Problem
from service.oip import inference_request as oip
from service.settings import ServiceSettings
from store.store import Store
from tests.service.in_process import InProcess, publish
from tests.service.oip.infer_requests import (
    INFER,
    LENGTH,
    ask,
    binary_body,
    binary_input,
    error,
    outputs,
    tensor,
)

Rows = tuple[np.ndarray, np.ndarray]


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
        ({"inputs": [tensor(ONE, data=[1, 2, True])]}, "hold only numbers"),
        ({"inputs": [tensor(ONE, data=[1, 2, "3"])]}, "hold only numbers"),
        ({"inputs": [tensor(ONE, data=[1, [2], 3])]}, "hold only numbers"),
        ({"inputs": [tensor(ONE, data=[[1, 2, None]])]}, "hold only numbers"),
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
        ("labels", {"classification": 1}, "only for the output probabilities"),
        ("probabilities", {"classification": -1}, "must be a whole number"),
        ("probabilities", {"classification": True}, "must be a whole number"),
        ("probabilities", {"classification": "all"}, "must be a whole number"),
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
        (np.ones((1001, 3)), 413, "at most 1,000"),
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
    budget = app.state.services.bodies
    budget.n_bytes = budget.max_bytes
    response = ask(client, ONE)
    assert error(response, 429)
    assert response.headers["retry-after"] == "1"
    budget.n_bytes = 0
    assert outputs(ask(client, ONE))
    assert budget.n_bytes == 0


def test_a_bug_keeps_to_the_protocols_shape(app: FastAPI, client: InProcess) -> None:
    app.state.services = replace(app.state.services, predictor=None)
    assert "not your request's fault" in error(client.get("/v2/models/pets/ready"), 500)


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
