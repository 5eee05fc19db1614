"""Requests of the Open Inference Protocol, as a client writes them."""

import json
from typing import Any

import httpx
import numpy as np

from tests.service.in_process import InProcess

INFER = "/v2/models/pets/infer"
LENGTH = "Inference-Header-Content-Length"


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
