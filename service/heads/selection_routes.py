"""The route that chooses rows to label."""

import base64
import hashlib
from functools import partial
from typing import Any, Final

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Response

from service.heads import selection
from service.heads.routes import HeadName
from service.heads.selection_schemas import SelectRequest
from service.http.dependencies import ServicesDep, StoreDep, TenantDep
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import READ
from service.ingest.dataset import texts
from service.limits.meter import MeterDep
from service.predict.services import PredictorDep, TextPredictorDep
from store.registry import heads

router = APIRouter(tags=["heads"], route_class=JsonRoute)

_MEDIA_TYPES: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
_FILE: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/heads/{name}/select",
    dependencies=[READ],
    response_class=Response,
    responses={
        200: {
            "description": "The file; X-NMTune-OOD-Share has the share of all rows that are "
            "unlike the training rows.",
            "content": {"application/x-ndjson": _FILE, "text/csv": _FILE},
        },
        **problems(404, 409, 502, *BODY_STATUSES),
    },
)
async def select_rows(
    name: HeadName,
    body: SelectRequest,
    store: StoreDep,
    predictor: PredictorDep,
    text_predictor: TextPredictorDep,
    tenant_id: TenantDep,
    services: ServicesDep,
    meter: MeterDep,
) -> Response:
    """Choose the rows of a dataset without labels that are worth a label, as a file to fill in.

    Rows that the head is unsure of, far from each other, and some unlike its training rows. Send
    the file with its labels to POST /datasets/{dataset_id}/rows.
    """

    def find() -> heads.HeadVersion:
        with store.database.read() as tx:
            return heads.resolve(tx, tenant_id, f"{name}@{body.version}")

    version = await to_thread.run_sync(find)
    pool = await to_thread.run_sync(selection.read, body, version, store)
    x = None
    if pool.texts is not None:
        read = texts.read_texts(pool.texts, field="dataset_id")
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
    choose = partial(selection.select, body, version, pool, x, store=store)
    made = await to_thread.run_sync(choose, limiter=services.adapting)
    digest = base64.b64encode(hashlib.sha256(made.content).digest()).decode()
    filename = f"{version.name}-{version.version}-to-label.{body.format}"
    headers = {
        "Content-Disposition": f'attachment; filename="{filename}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "X-NMTune-Head": f"{version.name}@{version.version}",
    }
    if made.ood_share is not None:
        headers["X-NMTune-OOD-Share"] = f"{made.ood_share:.4f}"
    return Response(made.content, media_type=_MEDIA_TYPES[body.format], headers=headers)
