"""Write the answer to a prediction: JSON, or only the numbers if `Accept` asks for them.

A binary answer holds one little-endian array in C order, whose rows are the request's: float32
(n, c) of probabilities or logits, float32 (n, m) of embeddings, or int32 (n,) of class numbers for
`output=labels`, -1 where the head abstains. Headers say the rest.
"""

import json
import struct
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from service.http.errors import Problem
from service.http.layers.exchange import Answer, Header
from service.predict.options import PredictionOptions
from service.predict.predictor import Prediction, Serving
from service.predict.request_body import JSON, NPY, RAW

DATABASE_HEADER: Final = "X-NMTune-Database"
"""`away` if the database is, and the head is the one that the reference named before."""

INSTEAD_HEADER: Final = "X-NMTune-Instead-Of"
"""The version that the reference names, if it cannot be loaded and an earlier one answers."""

HEAD_HEADER: Final = "X-NMTune-Head"
CLASSES_HEADER: Final = "X-NMTune-Classes"
SHAPE_HEADER: Final = "X-Shape"

SHARES_HEADER: Final = "X-NMTune-Class-Shares"
"""Whose class shares the answer is corrected to: `request` or `alias`; absent if it is not."""

MAX_CLASSES_BYTES: Final = 4096
"""Longer lists of classes are not sent in a header; GET /heads/{name}/versions/{n} has them."""

NOTHING: Final[Mapping[str, Any]] = {}


def media_type(accept: bytes) -> str:
    """The form that an Accept header asks for: JSON, unless it names a binary one."""
    if b"octet-stream" in accept:
        return RAW
    return NPY if b"x-npy" in accept else JSON


def of_prediction(
    found: Prediction,
    reference: str,
    options: PredictionOptions,
    form: str,
    said: Mapping[str, Any] = NOTHING,
) -> Answer:
    """The answer for predictions, with what `options` asked for, in this form.

    said: further fields of a JSON answer.
    """
    if form != JSON:
        body, headers = _binary(_plain(found, options), found.serving, form)
    else:
        answer = {"head": _head(found.serving, reference), **_fields(found, options), **said}
        body, headers = _json(answer, found.serving)
    if found.class_shares is not None:
        whose = b"alias" if options.class_shares is None else b"request"
        headers.append((SHARES_HEADER.lower().encode(), whose))
    return body, headers


def of_embeddings(
    z: NDArray[np.float32], serving: Serving, reference: str, options: PredictionOptions, form: str
) -> Answer:
    """The answer for tuned embeddings z (n, m)."""
    check_goes_with_embeddings(options)
    if form != JSON:
        return _binary(z, serving, form)
    return _json({"head": _head(serving, reference), "embeddings": z}, serving)


def check_goes_with_embeddings(options: PredictionOptions) -> None:
    """Raise Problem for an option that is about classes."""
    if options.top_k is not None or options.abstain_below is not None:
        raise _does_not_go(
            "top_k and abstain_below are about classes and do not go with output=embeddings: leave "
            "them out."
        )
    if options.conformal_level is not None or options.ood:
        raise _does_not_go(
            "conformal_level and ood do not go with output=embeddings: leave them out."
        )
    if options.class_shares is not None:
        raise _does_not_go("class_shares does not go with output=embeddings: leave it out.")


def headers_of(serving: Serving) -> dict[str, str]:
    """Headers about the head, if anything about it is unusual."""
    said = {}
    if serving.is_remembered:
        said[DATABASE_HEADER] = "away"
    if serving.instead_of is not None:
        said[INSTEAD_HEADER] = f"{serving.instead_of.name}@{serving.instead_of.version}"
    return said


def labels(found: Prediction, options: PredictionOptions) -> list[str | None]:
    """The most probable class of each row, or None where the head abstains."""
    names: list[str | None] = [*found.labels]
    if options.abstain_below is None:
        return names
    sure = (found.probabilities.max(axis=1) >= np.float32(options.abstain_below)).tolist()
    return [name if is_sure else None for name, is_sure in zip(names, sure, strict=True)]


def best(values: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """(n, min(k, c)): the columns of each row's k largest values, the largest first."""
    return np.argsort(-values, axis=1, kind="stable")[:, :k]


def _fields(found: Prediction, options: PredictionOptions) -> dict[str, Any]:
    if options.output == "labels" and options.top_k is None:
        return {"labels": labels(found, options)}
    name = "logits" if options.output == "logits" else "probabilities"
    values = found.logits if name == "logits" else found.probabilities
    if options.top_k is None:
        classes = found.serving.loaded.classes_json
        return {"classes": classes, "labels": labels(found, options), name: values}
    columns = best(found.probabilities, options.top_k)
    top = [[found.classes[column] for column in row] for row in columns.tolist()]
    fields = {"labels": labels(found, options), "top_labels": top}
    if options.output != "labels":
        fields[f"top_{name}"] = np.take_along_axis(values, columns, axis=1)
    return fields


def _plain(found: Prediction, options: PredictionOptions) -> NDArray[Any]:
    if options.top_k is not None:
        raise _does_not_go("top_k needs a JSON answer: leave it out, or send no Accept header.")
    if options.conformal_level is not None:
        raise _does_not_go("conformal_level needs a JSON answer: send no Accept header.")
    if options.ood:
        raise _does_not_go("ood needs a JSON answer: send no Accept header.")
    if options.output == "labels":
        numbers = found.indices.astype("<i4")
        if options.abstain_below is not None:
            numbers[found.probabilities.max(axis=1) < np.float32(options.abstain_below)] = -1
        return numbers
    if options.abstain_below is not None:
        raise _does_not_go(
            "abstain_below needs labels: ask for output=labels, or for a JSON answer."
        )
    return found.logits if options.output == "logits" else found.probabilities


def _head(serving: Serving, reference: str) -> dict[str, object]:
    version = serving.version
    return {"name": version.name, "version": version.version, "reference": reference}


def _json(answer: dict[str, Any], serving: Serving) -> Answer:
    body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return body, [(b"content-type", b"application/json"), *said_of(serving)]


def _binary(values: NDArray[Any], serving: Serving, form: str) -> Answer:
    values = np.ascontiguousarray(values)
    version = serving.version
    headers = [
        (b"content-type", form.encode()),
        (SHAPE_HEADER.lower().encode(), ",".join(map(str, values.shape)).encode()),
        (HEAD_HEADER.lower().encode(), f"{version.name}@{version.version}".encode()),
    ]
    classes = json.dumps(serving.loaded.classes).encode()
    if len(classes) <= MAX_CLASSES_BYTES:
        headers.append((CLASSES_HEADER.lower().encode(), classes))
    body = values.tobytes() if form == RAW else _npy(values)
    return body, [*headers, *said_of(serving)]


def _npy(values: NDArray[Any]) -> bytes:
    """The array as numpy.save writes it, version 1.0 of the format."""
    shape = f"({values.shape[0]},{values.shape[1] if values.ndim == 2 else ''})"
    header = f"{{'descr': '{values.dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    padding = -(len(header) + 11) % 64
    text = header.encode() + b" " * padding + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + values.tobytes()


def said_of(serving: Serving) -> list[Header]:
    """The same headers as bytes."""
    return [(name.lower().encode(), value.encode()) for name, value in headers_of(serving).items()]


def _does_not_go(message: str) -> Problem:
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", message, field=message.split(" ", 1)[0]
    )
