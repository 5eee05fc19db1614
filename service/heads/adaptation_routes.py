"""The route that adapts a head to a few labelled rows of a new domain."""

from functools import partial
from typing import Any, Final

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Request, Response

from nmtune.heads.adaptation import MOST_ROWS
from service.heads import adaptation
from service.heads.adaptation_schemas import AdaptAnswer, AdaptRequest
from service.heads.routes import HeadName
from service.http import idempotency
from service.http.dependencies import ActorDep, ServicesDep, StoreDep, TenantDep
from service.http.idempotency import REPLAYED_HEADER, Answer, IdempotencyKey, key_of
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import WRITE
from service.ingest.dataset import texts
from service.limits.meter import MeterDep
from service.predict.services import PredictorDep, TextPredictorDep
from service.predict.texts import check_encoder
from store.registry import heads

router = APIRouter(tags=["heads"], route_class=JsonRoute)

_LOCATION: Final[dict[str, Any]] = {
    "headers": idempotency.described_headers("The new version, if one was published.")
}


@router.post(
    "/heads/{name}/adapt",
    dependencies=[WRITE],
    status_code=201,
    response_model=AdaptAnswer,
    responses={
        200: {"model": AdaptAnswer, "description": "Nothing was won, and nothing published."},
        201: {"description": "The new version.", **_LOCATION},
        **problems(404, 409, 502, *BODY_STATUSES),
    },
)
async def adapt_head(
    name: HeadName,
    body: AdaptRequest,
    request: Request,
    store: StoreDep,
    predictor: PredictorDep,
    text_predictor: TextPredictorDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    services: ServicesDep,
    meter: MeterDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Fit one bias per class and one temperature to labelled rows, and publish them if they pay.

    10 to 10,000 rows of the new domain, drawn at random; 20 are enough. What is won is measured on
    held-out rows. No alias moves unless `alias` asks for it.
    """
    key = await key_of(request, idempotency_key)
    earlier = await to_thread.run_sync(idempotency.earlier, store, tenant_id, key)
    if earlier is not None:
        return _response(earlier)

    def find() -> heads.HeadVersion:
        with store.database.read() as tx:
            return heads.resolve(tx, tenant_id, f"{name}@{body.version}")

    version = await to_thread.run_sync(find)
    check_encoder(version, body.encoder)
    labelled = await to_thread.run_sync(adaptation.read, body, version, store)
    x = labelled.rows
    if isinstance(x, list):
        field = "texts" if body.texts is not None else "dataset_id"
        read = texts.read_texts(x, field=field, max_rows=MOST_ROWS)
        pinned = f"{version.name}@{version.version}"
        at_once, parts = text_predictor.max_texts, []
        for first in range(0, len(read), at_once):  # each within the limits of a prediction
            meter.allowance.check_tokens()
            embedded = await text_predictor.embed(
                predictor, tenant_id, pinned, read[first : first + at_once], first_row=first
            )
            meter.count_tokens(embedded.n_tokens)
            parts.append(embedded.x)
        x = np.concatenate(parts)
    limits = services.settings.limits
    fit = partial(adaptation.adapt, key=key, store=store, actor=actor, limits=limits)
    answer = await to_thread.run_sync(fit, body, version, labelled, x, limiter=services.adapting)
    predictor.known.forget()
    return _response(answer)


def _response(answer: Answer) -> Response:
    headers = {REPLAYED_HEADER: "true"} if answer.is_replay else {}
    made = AdaptAnswer.model_validate_json(answer.response.body).version
    if made is not None:
        headers["Location"] = f"/heads/{made.name}/versions/{made.version}"
    return Response(
        answer.response.body, answer.response.status_code, headers, media_type="application/json"
    )
