"""Routes of predictions: one embedding by GET, many by POST in JSON or as raw bytes."""

from http import HTTPStatus
from typing import Annotated, Any, Final

import numpy as np
import orjson
from fastapi import APIRouter, Header, Query, Response
from numpy.typing import NDArray

from nmtune.errors import DataError
from nmtune.heads import class_shares as known_shares
from service.http import paths
from service.http.dependencies import IdentityDep
from service.http.errors import Problem
from service.http.identity import check_head
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import PREDICT
from service.ingest.dataset import texts
from service.limits.meter import MeterDep
from service.predict import rendering, trust
from service.predict.options import PredictionQuery
from service.predict.predictor import Prediction as Found
from service.predict.request_body import JSON, NPY, RAW
from service.predict.schemas import (
    PredictHead,
    Prediction,
    Predictions,
    PredictQuery,
    PredictRequest,
)
from service.predict.services import PredictorDep, TextPredictorDep

router = APIRouter(tags=["predictions"], dependencies=[PREDICT])

_BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}


@router.get("/predict", response_model_exclude_unset=True, responses=problems(404, 429))
async def predict_one(
    query: Annotated[PredictQuery, Query()],
    response: Response,
    predictor: PredictorDep,
    text_predictor: TextPredictorDep,
    identity: IdentityDep,
    meter: MeterDep,
) -> Prediction:
    """Classify one embedding, or one text with a head that was trained on texts."""
    reference, tenant_id, shares = query.head, identity.tenant_id, query.class_shares
    check_head(identity, reference)
    if query.text is not None and query.embedding is not None:
        message = "Send either embedding or text, not both: leave out text."
        raise Problem(422, "invalid_request", message, field="text")
    if query.text is not None:
        meter.allowance.check_tokens()
        read = texts.read_texts([query.text], field="text")
        embedded = await text_predictor.embed(predictor, tenant_id, query.head, read)
        reference, x = embedded.reference, embedded.x
        shares = embedded.class_shares if shares is None else shares
        meter.count_tokens(embedded.n_tokens)
    elif query.embedding is not None:
        x = _embedding(query.embedding)
    else:
        raise _wrong_embedding("embedding is required: send embedding=0.1,0.2,... (or text=...).")
    try:
        if query.output == "embeddings":
            rendering.check_goes_with_embeddings(query)
            serving, z = await predictor.transform(tenant_id, reference, x)
            fields: dict[str, Any] = {"embedding": z[0].tolist()}
        else:
            found = await predictor.answer(tenant_id, reference, x, shares)
            said = await trust.of_row(found, x, query)
            serving, fields = found.serving, _fields(found, query) | said
    except DataError as error:
        if error.field == known_shares.FIELD:
            raise
        message = error.message.replace("embeddings", "embedding")
        raise DataError(message, field="embedding", column=error.column) from error
    meter.count(1)
    response.headers.update(rendering.headers_of(serving))
    version = serving.version
    head = PredictHead(name=version.name, version=version.version, reference=query.head)
    return Prediction(head=head, **fields)


def _fields(found: Found, query: PredictQuery) -> dict[str, Any]:
    (label,) = rendering.labels(found, query)
    fields: dict[str, Any] = {"label": label, "probability": float(found.probabilities.max())}
    if query.output == "labels":
        return fields
    values = found.logits if query.output == "logits" else found.probabilities
    columns = range(len(found.classes))
    if query.top_k is not None:
        columns = rendering.best(found.probabilities, query.top_k)[0].tolist()
    numbers = values[0].tolist()
    return fields | {query.output: {found.classes[at]: numbers[at] for at in columns}}


@router.post(
    paths.PREDICT,
    response_model=Predictions,
    responses={
        200: {"content": {NPY: _BINARY, RAW: _BINARY}},
        **problems(404, 429, *BODY_STATUSES),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": PredictRequest.model_json_schema()},
                NPY: _BINARY,
                RAW: _BINARY,
            },
        }
    },
)
async def predict_many(
    query: Annotated[PredictionQuery, Query()],  # noqa: ARG001 - what /docs shows
    x_shape: Annotated[  # noqa: ARG001
        str | None,
        Header(
            alias="X-Shape",
            description=f"Rows and columns of an {RAW} body; or send the parameter shape.",
            examples=["2,768"],
        ),
    ] = None,
) -> Response:
    """Classify embeddings, sent as JSON, as a .npy file or as bare numbers, or texts, as JSON.

    With `Accept: application/octet-stream` or `application/x-npy` the answer is only the array;
    the headers X-Shape, X-NMTune-Head and X-NMTune-Classes describe it.
    """
    # Never called: PredictDoor, ahead of the router, answers this path. The function is
    # here for /docs, for the Allow header of other methods, and for the name in the metrics.
    raise AssertionError("PredictDoor answers before the router")


POST_ROUTE: Final = router.routes[-1]
"""The route of POST /predict, which the metrics name."""


def _embedding(text: str) -> NDArray[np.float32]:
    """`0.1,0.2` or `[0.1,0.2]` as (1, d). JSON's grammar excludes nan, inf and 1_000."""
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
            f"embedding has a number beyond the range of float32 in column {column}.", column
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
