"""Write answers of the Open Inference Protocol: tensors as JSON, or as bytes after it."""

import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from service.oip.inference_request import LABELS, InferRequest, RequestedOutput, invalid
from service.predict import rendering
from service.predict.predictor import Prediction

MOST_STRINGS: Final = 1_000_000
"""The most strings of a classification, because each is a Python object."""


class Answer(NamedTuple):
    """The body of an answer; `n_json` is where its JSON ends, None if it is only JSON."""

    body: bytes
    n_json: int | None


def write(asked: InferRequest, found: Prediction) -> Answer:
    """The answer to a request. Raises Problem 400 if it wants too many classes named."""
    described, binary = [], []
    for output in asked.outputs:
        tensor, content = _tensor(output, found)
        described.append(tensor)
        binary.append(content)
    answer: dict[str, Any] = {
        "model_name": found.version.name,
        "model_version": str(found.version.version),
    }
    if asked.id is not None:
        answer["id"] = asked.id
    answer["outputs"] = described
    json = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not any(output.is_binary for output in asked.outputs):
        return Answer(json, None)
    return Answer(b"".join([json, *binary]), len(json))


def _tensor(output: RequestedOutput, found: Prediction) -> tuple[dict[str, Any], bytes]:
    """A tensor as the JSON describes it, and its bytes if they are to follow the JSON."""
    if output.name != LABELS and not output.n_best:
        return _numbers(output, found.probabilities)
    if output.name == LABELS:
        labels: Sequence[str] = found.labels
        shape = [len(labels)]
    else:
        n_best = min(output.n_best, len(found.classes))
        labels = _best(found, n_best)
        shape = [len(found.labels), n_best]
    tensor: dict[str, Any] = {"name": output.name, "datatype": "BYTES", "shape": shape}
    if not output.is_binary:
        return tensor | {"data": labels}, b""
    content = _bytes_tensor(labels)
    return tensor | {"parameters": {"binary_data_size": len(content)}}, content


def _numbers(output: RequestedOutput, values: NDArray[np.float32]) -> tuple[dict[str, Any], bytes]:
    tensor: dict[str, Any] = {
        "name": output.name,
        "datatype": "FP32",
        "shape": list(values.shape),
    }
    if not output.is_binary:
        return tensor | {"data": np.ascontiguousarray(values).ravel()}, b""
    content = values.astype("<f4", copy=False).tobytes()
    return tensor | {"parameters": {"binary_data_size": len(content)}}, content


def _best(found: Prediction, n_best: int) -> list[str]:
    """`value:index:class` of the `n_best` most probable classes of each row, row after row."""
    n_rows = len(found.labels)
    if n_rows * n_best > MOST_STRINGS:
        raise invalid(
            f"classification names at most {MOST_STRINGS:,} classes per answer, not {n_best:,} for "
            f"each of {n_rows:,} rows: ask for fewer, or for the probabilities."
        )
    order = rendering.best(found.probabilities, n_best)
    values = np.take_along_axis(found.probabilities, order, axis=1)
    return [
        f"{value!s}:{index}:{found.classes[index]}"
        for value, index in zip(values.ravel(), order.ravel().tolist(), strict=True)
    ]


def _bytes_tensor(texts: Sequence[str]) -> bytes:
    """Each text as its length, 4 bytes little-endian, and its UTF-8."""
    encoded: dict[str, bytes] = {}
    for text in texts:
        if text not in encoded:
            utf8 = text.encode()
            encoded[text] = struct.pack("<I", len(utf8)) + utf8
    return b"".join([encoded[text] for text in texts])
