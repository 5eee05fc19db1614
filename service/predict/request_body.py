"""Read the bodies of POST /predict: JSON, .npy or bare numbers, as one finite array."""

import re
from http import HTTPStatus
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.http import json_body
from service.http.errors import Problem
from service.ingest.dataset import inline, texts
from service.ingest.formats import npy
from service.ingest.numbers import check_n_rows
from service.predict import fast_json
from service.predict.options import OPTIONS, PredictionOptions, PredictionQuery, merge_options
from service.predict.schemas import PredictRequest

JSON: Final = "application/json"
NPY: Final = "application/x-npy"
RAW: Final = "application/octet-stream"

_NO_ROWS: Final = np.empty((0, 0), np.float32)

_SHAPE = re.compile(r"\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*")
_MAX_SHAPE_CHARACTERS: Final = 40


class Request(NamedTuple):
    """What a request asks: which head, about which rows (n, d), and what to answer."""

    reference: str
    x: NDArray[np.float32]
    options: PredictionOptions
    texts: list[str] | None = None
    """The texts, if there are no rows."""
    encoder: str | None = None
    """The fingerprint of the encoder that made the rows, if the request states it."""

    @property
    def n_rows(self) -> int:
        """How many rows or texts."""
        return len(self.x) if self.texts is None else len(self.texts)


def read(
    body: bytes,
    *,
    content_type: str,
    shape_header: str | None,
    query: PredictionQuery,
    max_rows: int,
    max_texts: int,
) -> Request:
    """Read the request; raises Problem, BadInput or RequestValidationError."""
    essence = content_type.partition(";")[0].strip().lower()
    if essence == JSON or json_body.is_json(content_type):
        return _json(body, query, max_rows, max_texts)
    if essence == NPY:
        reference = _reference(query)
        x = npy.read_npy(body, max_rows=max_rows)
    elif essence == RAW:
        reference = _reference(query)
        x = _raw(body, shape_header or query.shape, query.dtype, max_rows)
    else:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            f"Send the body as {JSON}, {NPY} or {RAW}, with that Content-Type.",
        )
    return Request(reference, x, merge_options(query, {}))


def _json(body: bytes, query: PredictionQuery, max_rows: int, max_texts: int) -> Request:
    fast = fast_json.parse(body, max_rows=max_rows)
    if fast is not None and not fast.options:
        return Request(fast.reference, fast.x, merge_options(query, {}))
    asked = json_body.validate(
        PredictRequest,
        json_body.parse(body)
        if fast is None
        else {"head": fast.reference, "embeddings": [], **fast.options},
    )
    said = {name: getattr(asked, name) for name in OPTIONS & asked.model_fields_set}
    options = merge_options(query, said)
    if fast is None and asked.texts is not None:
        return Request(asked.head, _NO_ROWS, options, texts=_texts(asked, max_texts))
    if fast is None and asked.embeddings is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_request",
            "embeddings is required, or texts for a head that was trained on texts.",
            field="embeddings",
        )
    x = fast.x if fast is not None else inline.read_embeddings(asked.embeddings, max_rows=max_rows)
    return Request(asked.head, x, options, encoder=asked.encoder)


def _texts(asked: PredictRequest, max_texts: int) -> list[str]:
    if asked.embeddings is not None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_request",
            "Send either embeddings or texts, not both: leave out texts.",
            field="texts",
        )
    return texts.read_texts(asked.texts, field="texts", max_rows=max_texts)


def _reference(query: PredictionQuery) -> str:
    if query.head is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_request",
            "head is required: name the head in the query, as in /predict?head=pets@prod.",
            field="head",
        )
    return query.head


def _raw(body: bytes, shape: str | None, dtype: str, max_rows: int) -> NDArray[np.float32]:
    """Bare little-endian numbers as (n, d)."""
    match = _SHAPE.fullmatch(shape or "") if len(shape or "") <= _MAX_SHAPE_CHARACTERS else None
    if match is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_request",
            f"An {RAW} body needs its shape, rows,columns: send the header X-Shape: 2,768, for "
            "example, or the parameter ?shape=2,768.",
            field="X-Shape",
        )
    n_rows, n_columns = int(match[1]), int(match[2])
    check_n_rows(n_rows, max_rows, field="embeddings")
    stored = np.dtype("<f2" if dtype == "float16" else "<f4")
    expected = n_rows * n_columns * stored.itemsize
    if len(body) != expected:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "wrong_length",
            f"The shape {n_rows},{n_columns} means {expected:,} bytes of {dtype}, but the body has "
            f"{len(body):,}.",
            field="body",
        )
    return np.frombuffer(body, stored).reshape(n_rows, n_columns).astype(np.float32, copy=False)
