"""Routes of a dataset's rows: show them, correct them, add to them; each change a new dataset."""

import hashlib
from functools import partial
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response

from service.datasets.additions import append
from service.datasets.corrections import correct
from service.datasets.query import AdditionQuery
from service.datasets.received_body import receive, receive_uploaded
from service.datasets.revision_schemas import CorrectionCreate, DatasetRowPage, DatasetRowQuery
from service.datasets.routes import DatasetId, key_of, request_body
from service.datasets.rows import listed
from service.datasets.schemas import Dataset, RowsCreate
from service.datasets.storing import Storing
from service.http import idempotency
from service.http.dependencies import ActorDep, ServicesDep, StoreDep, TenantDep
from service.http.idempotency import IdempotencyKey, Key
from service.http.json_body import JsonRoute, read_json, validate
from service.http.openapi import BODY_STATUSES, REF_TEMPLATE, problems
from service.http.scopes import READ_WRITE
from service.http.workspace import workspace

_CREATED: Final = {
    "description": "The new dataset; the one that it was made from stays as it is.",
    "headers": idempotency.described_headers("The new dataset."),
}

router = APIRouter(tags=["datasets"], route_class=JsonRoute, dependencies=[READ_WRITE])


@router.get("/datasets/{dataset_id}/rows", responses=problems(404))
def list_dataset_rows(
    dataset_id: DatasetId,
    query: Annotated[DatasetRowQuery, Query()],
    store: StoreDep,
    tenant_id: TenantDep,
) -> DatasetRowPage:
    """Show rows with label, your id and place in your file, and text: some, or page by page."""
    return listed(dataset_id, query, tenant_id=tenant_id, store=store)


@router.post(
    "/datasets/{dataset_id}/corrections",
    status_code=201,
    response_model=Dataset,
    openapi_extra={
        "requestBody": {
            "content": {
                "application/json": {
                    "schema": CorrectionCreate.model_json_schema(ref_template=REF_TEMPLATE)
                }
            }
        }
    },
    responses={201: _CREATED, **problems(403, 404, 409, *BODY_STATUSES)},
)
async def correct_dataset(
    dataset_id: DatasetId,
    request: Request,
    services: ServicesDep,
    actor: ActorDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a dataset with other labels for some rows, and without others.

    It is what an upload of the corrected rows would be. The old dataset stays, and jobs that use
    it are not disturbed.
    """
    value = await read_json(request)
    body = await to_thread.run_sync(validate, CorrectionCreate, value)
    settings = services.settings
    storing = Storing(
        store=services.store,
        actor=actor,
        key=await _key_of(request, idempotency_key),
        keep_seconds=body.keep_seconds or settings.dataset_keep_seconds,
        limits=settings.limits,
    )
    async with workspace(settings) as workdir:
        answer = await to_thread.run_sync(
            partial(correct, dataset_id, body, storing=storing, workdir=workdir),
            limiter=services.unpacking,
        )
    return idempotency.http_response(answer, collection="datasets")


@router.post(
    "/datasets/{dataset_id}/rows",
    status_code=201,
    response_model=Dataset,
    openapi_extra={"requestBody": request_body(RowsCreate)},
    responses={201: _CREATED, **problems(403, 404, 409, *BODY_STATUSES)},
)
async def append_rows(
    dataset_id: DatasetId,
    request: Request,
    query: Annotated[AdditionQuery, Query()],
    services: ServicesDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a dataset of a stored one and of freshly labelled rows, in any form of POST /datasets.

    Rows that name no split become train. The old dataset stays.
    """
    reading, settings, store = query.reading(), services.settings, services.store
    async with workspace(settings) as workdir:
        if query.upload is None:
            received = await receive(
                request,
                query.name,
                reading=reading,
                workdir=workdir,
                settings=settings,
                is_addition=True,
            )
        else:
            received = await receive_uploaded(
                request,
                query.upload,
                query.name or "",
                reading=reading,
                workdir=workdir,
                settings=settings,
                store=store,
                tenant_id=tenant_id,
            )
        extra = "\n".join(
            [received.name, reading.as_text(), query.note or "", str(query.keep_seconds)]
        )
        storing = Storing(
            store=store,
            actor=actor,
            key=key_of(request, idempotency_key, received, extra=extra),
            keep_seconds=query.keep_seconds or settings.dataset_keep_seconds,
            limits=settings.limits,
            upload_id=query.upload,
        )
        answer = await to_thread.run_sync(
            partial(
                append,
                dataset_id,
                received,
                note=query.note,
                storing=storing,
                workdir=workdir,
                max_bytes=settings.max_upload_bytes,
            ),
            limiter=services.unpacking,
        )
    return idempotency.http_response(answer, collection="datasets")


async def _key_of(request: Request, idempotency_key: str | None) -> Key | None:
    """The key with the hash of its JSON request; None without one."""
    if idempotency_key is None:
        return None
    content = await request.body()
    digest = await to_thread.run_sync(lambda: hashlib.sha256(content).hexdigest())
    request_hash = idempotency.request_hash(
        request.url.path, content_type="application/json", body_sha256=digest
    )
    return Key(key=idempotency_key, request_hash=request_hash)
