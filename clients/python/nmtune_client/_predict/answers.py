"""Read the answer for one batch of rows, sent as bytes or as JSON; no I/O.

Where it can, a request asks for bytes: only the numbers, with the head's version and its classes in
headers. A server answers in JSON if it does not know that form, or if the options need more.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune_client._http.wire import Answer
from nmtune_client._predict.options import BINARY, Options

_VALUES = ("probabilities", "logits", "embeddings")
_KNOWN = {"head", "classes", "labels", "ood", *_VALUES}
_ABSTAINS = -1
_SHARES_HEADER = "x-nmtune-class-shares"


@dataclass(frozen=True, kw_only=True)
class Part:
    """The answer for one batch of n rows.

    `labels`: (n,) strings, None where the head abstained. An answer in bytes has `numbers` of
    classes instead, and may have too many classes to name them: then `classes` is None.
    """

    head_name: str
    head_version: int
    classes: tuple[str, ...] | None
    labels: NDArray[Any] | None = None
    numbers: NDArray[np.integer[Any]] | None = None
    values: Mapping[str, NDArray[Any]]
    extras: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    ood_threshold: float | None = None
    has_shares_of_alias: bool = False
    """Whether the answer was corrected to class shares that the alias has."""


def read_part(answer: Answer, options: Options, *, n_rows: int) -> Part:
    """The answer to a request of n rows; ValueError and the like if it is not as expected."""
    is_binary = answer.headers.get("content-type", "").partition(";")[0] == BINARY
    part = (
        _of_bytes(answer, options, n_rows)
        if is_binary
        else _of_json(answer.json(), options, n_rows)
    )
    return replace(part, has_shares_of_alias=answer.headers.get(_SHARES_HEADER) == "alias")


def _of_bytes(answer: Answer, options: Options, n_rows: int) -> Part:
    name, _, version = answer.headers["x-nmtune-head"].partition("@")
    classes = json.loads(answer.headers.get("x-nmtune-classes", "null"))
    shape = tuple(int(size) for size in answer.headers["x-shape"].split(","))
    output = options.output or "probabilities"
    dtype = "<i4" if output == "labels" else "<f4"
    array = np.frombuffer(answer.content, dtype).reshape(shape)
    width = None if output in ("labels", "embeddings") or classes is None else len(classes)
    _check_shape(output, array, n_rows, width=width, n_dimensions=1 if output == "labels" else 2)
    if output == "labels":
        numbers: NDArray[np.integer[Any]] | None = array
    else:
        numbers = None if output == "embeddings" else array.argmax(axis=1)
    return Part(
        head_name=name,
        head_version=int(version),
        classes=None if classes is None else tuple(classes),
        numbers=numbers,
        values={} if output == "labels" else {output: array},
    )


def _of_json(data: Any, options: Options, n_rows: int) -> Part:
    for name in options.wanted:
        if name not in data:
            raise ValueError(f"{name!r} was asked for and did not come")
    classes = tuple(data.get("classes") or ())
    labels = np.asarray(data["labels"]) if "labels" in data else None
    if labels is not None and labels.dtype.kind != "O":
        labels = labels.astype(np.str_)
    if labels is not None:
        _check_shape("labels", labels, n_rows, n_dimensions=1)
    values: dict[str, NDArray[Any]] = {
        name: np.asarray(data[name], dtype=np.float32) for name in _VALUES if name in data
    }
    for name, array in values.items():
        width = None if name == "embeddings" else len(classes)
        _check_shape(name, array, n_rows, width=width, n_dimensions=2)
    _check_abstention(labels, values.get("probabilities"), options)
    ood = data.get("ood")
    if ood is not None:
        values["ood_scores"] = np.asarray(ood["scores"], dtype=np.float32)
        values["is_ood"] = np.asarray(ood["is_ood"], dtype=np.bool_)
        for name in ("ood_scores", "is_ood"):
            _check_shape(name, values[name], n_rows, n_dimensions=1)
    return Part(
        head_name=data["head"]["name"],
        head_version=int(data["head"]["version"]),
        classes=classes,
        labels=labels,
        values=values,
        extras={
            name: value
            for name, value in data.items()
            if name not in _KNOWN and isinstance(value, list) and len(value) == n_rows
        },
        ood_threshold=None if ood is None else float(ood["threshold"]),
    )


def labels_of(part: Part, classes: Sequence[str]) -> NDArray[Any] | None:
    """The part's labels (n,), out of `classes` where it has their numbers; None if it has none."""
    if part.numbers is None:
        return part.labels
    abstains = bool((part.numbers == _ABSTAINS).any())
    names: NDArray[Any] = np.array([*classes, None] if abstains else classes, object)
    labels: NDArray[Any] = names[part.numbers]
    return labels if abstains else labels.astype(np.str_)


def _check_abstention(
    labels: NDArray[Any] | None, probabilities: NDArray[Any] | None, options: Options
) -> None:
    """Refuse the answer of a server too old to abstain, which passes over what it does not know."""
    if options.abstain_below is None or probabilities is None or labels is None:
        return
    is_unsure = probabilities.max(axis=1) < np.float32(options.abstain_below)
    if any(label is not None for label in labels[is_unsure].tolist()):
        raise ValueError("'abstain_below' was asked for and passed over")


def _check_shape(
    name: str, array: NDArray[Any], n_rows: int, *, n_dimensions: int, width: int | None = None
) -> None:
    is_right = array.ndim == n_dimensions and len(array) == n_rows
    if not is_right or (width is not None and array.shape[1] != width):
        raise ValueError(f"{n_rows} rows were sent, {name} of shape {array.shape} came back")
