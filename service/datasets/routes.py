"""Routes of datasets: store, list, show, keep, delete."""

import logging
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from service.datasets.query import DatasetCreateQuery
from service.datasets.received_body import FORM, ReceivedBody, receive, receive_uploaded
from service.datasets.schemas import (
    Dataset,
    DatasetCreate,
    DatasetPage,
    DatasetPatch,
    DatasetQuery,
)
from service.datasets.storing import Storing
from service.http import idempotency
from service.http.dependencies import ActorDep, ServicesDep, StoreDep, TenantDep
from service.http.idempotency import Answer, IdempotencyKey, Key
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import READ_WRITE
from service.http.validation import ID_PATTERN
from service.http.workspace import workspace
from service.ingest.formats.detect import OCTETS
from store import datasets
from store.access import audit

_FILE_SCHEMA: Final = {
    "type": "string",
    "format": "binary",
    "description": "Parquet, CSV or JSON, one object per line or a list of them (these two also as "
    ".gz or .zst), with a column label and the embeddings as lists in a column embedding or in "
    "numbered columns (dim_0, dim_1, ...), or texts in a column text, and optionally split, domain "
    "and group; or an .npz or .safetensors file with train_x (rows x columns, float) and train_y "
    "(integers or strings), the same for validation, test and ood_<domain>, and class_names; or an "
    ".npy, with the form's part labels. docs/use/datasets.md has the details.",
}
_VALUES_SCHEMA: Final = {
    "type": "string",
    "format": "binary",
    "description": "Beside an .npy: one value per row, as an .npy, a JSON list, or one per line.",
}


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """How /docs shows the body: JSON of the model, or a file of any format."""
    return {
        "content": {
            "application/json": {"schema": model.model_json_schema()},
            **{
                media_type: {"schema": _FILE_SCHEMA}
                for media_type in (
                    "application/x-npz",
                    "application/vnd.apache.parquet",
                    "text/csv",
                    "application/x-ndjson",
                    "application/vnd.safetensors",
                    OCTETS,
                )
            },
            FORM: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": _FILE_SCHEMA,
                        "name": {"type": "string"},
                        **dict.fromkeys(
                            ("labels", "splits", "domains", "groups", "ids"), _VALUES_SCHEMA
                        ),
                    },
                    "required": ["file"],
                }
            },
        },
    }


DatasetId = Annotated[
    str,
    Path(
        pattern=ID_PATTERN,
        description="The id that POST /datasets answered.",
        examples=["ds_31k8drzh5p2gk7m4t9x3wvq6ab"],
    ),
]

logger = logging.getLogger(__name__)
router = APIRouter(tags=["datasets"], route_class=JsonRoute, dependencies=[READ_WRITE])


@router.post(
    "/datasets",
    status_code=201,
    response_model=Dataset,
    openapi_extra={"requestBody": request_body(DatasetCreate)},
    responses={
        201: {
            "description": "The dataset is stored.",
            "headers": idempotency.described_headers("The dataset."),
        },
        **problems(403, 404, 409, *BODY_STATUSES),
    },
)
async def create_dataset(
    request: Request,
    query: Annotated[DatasetCreateQuery, Query()],
    services: ServicesDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Store labelled embeddings, or texts for jobs to embed: a file of any known format, or JSON.

    The answer has a profile of the rows, and warnings about what could spoil a result.
    """
    reading, settings, store = query.reading(), services.settings, services.store
    async with workspace(settings) as workdir:
        if query.upload is None:
            received = await receive(
                request, query.name, reading=reading, workdir=workdir, settings=settings
            )
        else:
            received = await receive_uploaded(
                request,
                query.upload,
                query.name,
                reading=reading,
                workdir=workdir,
                settings=settings,
                store=store,
                tenant_id=tenant_id,
            )
        key = key_of(
            request,
            idempotency_key,
            received,
            extra=received.name
            + reading.as_text()
            + ("" if query.keep_seconds is None else f" keep {query.keep_seconds}"),
        )
        storing = Storing(
            store=store,
            actor=actor,
            key=key,
            keep_seconds=query.keep_seconds or settings.dataset_keep_seconds,
            limits=settings.limits,
            upload_id=query.upload,
        )
        answer = await to_thread.run_sync(_record, received, storing, limiter=services.unpacking)
    return idempotency.http_response(answer, collection="datasets")


@router.get("/datasets", responses=problems(422))
def list_datasets(
    query: Annotated[DatasetQuery, Query()], store: StoreDep, tenant_id: TenantDep
) -> DatasetPage:
    """List datasets, newest first."""
    with store.database.read() as tx:
        page = datasets.page(
            tx, tenant_id, parent_id=query.parent_id, cursor=query.cursor, limit=query.limit
        )
    return DatasetPage(
        items=[Dataset.of(dataset) for dataset in page.items], next_cursor=page.next_cursor
    )


@router.get("/datasets/{dataset_id}", responses=problems(404))
def get_dataset(dataset_id: DatasetId, store: StoreDep, tenant_id: TenantDep) -> Dataset:
    """Show a dataset: its classes and splits, its profile, its warnings."""
    with store.database.read() as tx:
        return Dataset.of(datasets.get(tx, tenant_id, dataset_id))


@router.delete("/datasets/{dataset_id}", status_code=204, responses=problems(404, 409))
def delete_dataset(
    dataset_id: DatasetId, store: StoreDep, tenant_id: TenantDep, actor: ActorDep
) -> None:
    """Delete a dataset, its row and its bytes; 409 while a queued or running job needs it.

    Heads and reports made from it stay.
    """
    with store.database.begin() as tx:
        sha256 = datasets.delete(tx, tenant_id, dataset_id)
        audit.note(tx, actor, "dataset.deleted", dataset_id)
        if sha256 is not None:
            # Inside the transaction: an upload of the same bytes at this moment either has its
            # row already, which keeps them, or will find them missing when it adds the row.
            store.artifacts.delete(tenant_id, sha256)
    logger.info("dataset.deleted dataset_id=%s", dataset_id)


@router.patch("/datasets/{dataset_id}", responses=problems(404, *BODY_STATUSES))
def keep_dataset(
    dataset_id: DatasetId,
    body: DatasetPatch,
    store: StoreDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> Dataset:
    """Let a dataset expire so many seconds from now, or with null never."""
    with store.database.begin() as tx:
        dataset = datasets.keep(tx, tenant_id, dataset_id, keep_seconds=body.keep_seconds)
        audit.note(tx, actor, "dataset.kept", dataset_id, keep_seconds=body.keep_seconds)
    logger.info("dataset.kept dataset_id=%s expires_at=%s", dataset_id, dataset.expires_at)
    return Dataset.of(dataset)


def key_of(
    request: Request, idempotency_key: str | None, received: ReceivedBody, *, extra: str
) -> Key | None:
    """The key with the hash of its request; None without one."""
    if idempotency_key is None:
        return None
    request_hash = idempotency.request_hash(
        request.url.path,
        content_type=received.content_type,
        body_sha256=received.sha256,
        extra=extra,
    )
    return Key(key=idempotency_key, request_hash=request_hash)


def _record(received: ReceivedBody, storing: Storing) -> Answer:
    """Store the dataset, or find the answer to an earlier request. Blocking; all or nothing."""
    if (earlier := storing.earlier()) is not None:
        return earlier
    return storing.add(received.read(), name=received.name)
