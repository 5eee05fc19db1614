"""The routes of predictions: one embedding by GET, many by POST in JSON or as raw bytes."""

import re
from http import HTTPStatus
from typing import Annotated, Any, Final

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from numpy.typing import NDArray

from nmtune.errors import DataError
from service import json_body, predictor
from service.dependencies import PredictorDep, TenantDep, TextPredictorDep
from service.errors import Problem
from service.ingest import inline, npy, texts
from service.openapi import BODY_STATUSES, problems
from service.predictor import Predictor
from service.schemas_heads import (
    MAX_REFERENCE_CHARACTERS,
    PredictHead,
    Prediction,
    Predictions,
    PredictQuery,
    PredictRequest,
)
from service.text_prediction import TextPredictor, check_encoder

NPY: Final = "application/x-npy"
RAW: Final = "application/octet-stream"
DATABASE_HEADER: Final = "X-NMTune-Database"
"""`away` if the head is what the reference named before the database went away."""

_FLOAT_BYTES: Final = 4

_SHAPE = re.compile(r"\s*([0-9]{1,9})\s*,\s*([0-9]{1,9})\s*")

router = APIRouter(tags=["predictions"])


@router.get("/predict", responses=problems(404))
def predict_one(
    query: Annotated[PredictQuery, Query()],
    response: Response,
    predictor: PredictorDep,
    text_predictor: TextPredictorDep,
    tenant_id: TenantDep,
) -> Prediction:
    """Classify one embedding, or one text with a head that was trained on texts."""
    if query.text is not None and query.embedding is not None:
        message = "Send either embedding or text, not both: leave out text."
        raise Problem(422, "invalid_request", message, field="text")
    if query.text is not None:
        read = texts.read_texts([query.text], field="text")
        found = text_predictor.predict(predictor, tenant_id, query.head, read)
    else:
        if query.embedding is None:
            raise _wrong_embedding("embedding is required: send embedding=0.1,0.2,... (or text=)")
        x = _embedding(query.embedding)
        try:
            found = predictor.predict(tenant_id, query.head, x)
        except DataError as error:
            message = error.message.replace("embeddings", "embedding")
            raise DataError(message, field="embedding", column=error.column) from error
    response.headers.update(_headers(found))
    row = found.probabilities[0].tolist()
    return Prediction(
        head=_head(found, query.head),
        label=found.labels[0],
        probability=max(row),
        probabilities=dict(zip(found.classes, row, strict=True)),
    )


async def _body(request: Request) -> bytes:
    return await request.body()


_EMBEDDED_SCHEMA: dict[str, Any] = PredictRequest.model_json_schema()


@router.post(
    "/predict",
    response_model=Predictions,
    responses=problems(404, *BODY_STATUSES),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _EMBEDDED_SCHEMA},
                NPY: {"schema": {"type": "string", "format": "binary"}},
                RAW: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
def predict_many(
    request: Request,
    body: Annotated[bytes, Depends(_body)],
    predictor: PredictorDep,
    text_predictor: TextPredictorDep,
    tenant_id: TenantDep,
    head: Annotated[
        str | None,
        Query(
            max_length=MAX_REFERENCE_CHARACTERS,
            description="Which head, for a body that is not JSON.",
            examples=["pets@prod"],
        ),
    ] = None,
    x_shape: Annotated[
        str | None,
        Header(
            alias="X-Shape",
            max_length=40,
            description=f"Rows and columns of an {RAW} body of little-endian float32.",
            examples=["2,768"],
        ),
    ] = None,
) -> Response:
    """Classify embeddings or texts, sent as JSON, as a .npy file or as bare float32 bytes."""
    content_type = request.headers.get("content-type", "")
    essence = content_type.partition(";")[0].strip().lower()
    if json_body.is_json(content_type):
        asked = json_body.validate(PredictRequest, json_body.parse(body))
        reference = asked.head
        if asked.texts is not None:
            return _answer(_from_texts(asked, predictor, text_predictor, tenant_id), reference)
        if asked.embeddings is None:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "invalid_request",
                "embeddings is required, or texts for a head that was trained on texts.",
                field="embeddings",
            )
        if asked.encoder is not None:
            check_encoder(predictor.version(tenant_id, reference), asked.encoder)
        x = inline.read_embeddings(asked.embeddings, max_rows=predictor.max_rows)
    elif essence == NPY:
        reference, x = _reference(head), npy.read_npy(body, max_rows=predictor.max_rows)
    elif essence == RAW:
        reference, x = _reference(head), _raw(body, x_shape, predictor)
    else:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            f"Send the body as application/json, {NPY} or {RAW}, and say which in Content-Type.",
        )
    return _answer(predictor.predict(tenant_id, reference, x), reference)


def _from_texts(
    asked: PredictRequest, predictor: Predictor, text_predictor: TextPredictor, tenant_id: str
) -> predictor.Prediction:
    if asked.embeddings is not None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_request",
            "Send either embeddings or texts, not both: leave out texts.",
            field="texts",
        )
    read = texts.read_texts(asked.texts, field="texts", max_rows=text_predictor.max_texts)
    return text_predictor.predict(predictor, tenant_id, asked.head, read)


def _answer(found: predictor.Prediction, reference: str) -> Response:
    answer = {
        "head": _head(found, reference).model_dump(),
        "classes": found.classes,
        "labels": found.labels,
        "probabilities": found.probabilities,
    }
    content = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type="application/json", headers=_headers(found))


def _headers(found: predictor.Prediction) -> dict[str, str]:
    return {DATABASE_HEADER: "away"} if found.is_remembered else {}


def _head(found: predictor.Prediction, reference: str) -> PredictHead:
    return PredictHead(name=found.version.name, version=found.version.version, reference=reference)


def _reference(head: str | None) -> str:
    if head is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_request",
            "head is required: say which head to ask, as in /predict?head=pets@prod.",
            field="head",
        )
    return head


def _embedding(text: str) -> NDArray[np.float32]:
    """`0.1,0.2` or `[0.1,0.2]` as (1, d). JSON's grammar keeps out nan, inf and 1_000."""
    try:
        values = orjson.loads(text if text.lstrip().startswith("[") else f"[{text}]")
    except orjson.JSONDecodeError:
        values = []
    if not values or not all(type(value) in (int, float) for value in values):
        raise _wrong_embedding(
            "embedding must be finite numbers separated by commas, as in 0.1,-2,3e-4 (0.5, not .5)."
        )
    with np.errstate(over="ignore"):
        x = np.array([values], dtype=np.float64).astype(np.float32)
    if not np.isfinite(x).all():
        column = int(np.isfinite(x[0]).argmin())
        raise _wrong_embedding(
            f"embedding must be numbers within float32's range; column {column} is not.", column
        )
    return x


def _wrong_embedding(message: str, column: int | None = None) -> Problem:
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_embedding",
        message,
        field="embedding",
        column=column,
    )


def _raw(body: bytes, shape: str | None, predictor: Predictor) -> NDArray[np.float32]:
    """Bare little-endian float32 bytes as (n, d), by the X-Shape header."""
    match = _SHAPE.fullmatch(shape or "")
    if match is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "invalid_request",
            f"An {RAW} body needs the header X-Shape: rows,columns, as in X-Shape: 2,768.",
            field="X-Shape",
        )
    n_rows, n_columns = int(match[1]), int(match[2])
    predictor.check_n_rows(n_rows)
    expected = n_rows * n_columns * _FLOAT_BYTES
    if len(body) != expected:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "wrong_length",
            f"X-Shape {n_rows},{n_columns} means {expected} bytes of float32, but the body has "
            f"{len(body)}.",
            field="body",
        )
    return np.frombuffer(body, "<f4").reshape(n_rows, n_columns)
