"""The routes of datasets: store, list, look at, delete."""

import logging
from functools import partial
from typing import Annotated, Any, Final

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from service import idempotency as keys
from service.dependencies import SettingsDep, StoreDep, TenantDep
from service.idempotency import Answer, IdempotencyKey, Key
from service.ingest.formats import OCTETS
from service.openapi import BODY_STATUSES, problems
from service.reading import reading_of
from service.schemas.datasets import Dataset, DatasetCreate, DatasetPage, DatasetQuery, KeepSeconds
from service.schemas.jobs import Name
from service.uploads import FORM, Reading, Upload, receive, receive_uploaded
from service.validation import ID_PATTERN
from service.workspace import workspace
from store import datasets
from store.database import Transaction
from store.idempotency import StoredResponse
from store.store import Store

N_AT_ONCE: Final = 2
"""Uploads that are unpacked at the same time; others wait, so that predictions have threads."""

_FILE_SCHEMA: Final = {
    "type": "string",
    "format": "binary",
    "description": "Parquet, CSV or JSON, one object a line or a list of them (these two also as "
    ".gz or .zst), with a column label "
    "and the embeddings as lists in a column embedding or in numbered columns (dim_0, dim_1, ...), "
    "or texts in a column text, and, as you have them, split, domain and group; or an .npz or "
    ".safetensors file with train_x (rows x columns, float) and train_y (integers or strings), the "
    "same for validation, test and ood_<domain>, and class_names; or an .npy, with the form's part "
    "labels. "
    "docs/use/datasets.md has all of it.",
}
_VALUES_SCHEMA: Final = {
    "type": "string",
    "format": "binary",
    "description": "Beside an .npy: one value a row as an .npy, a JSON list, or a line each.",
}
_REQUEST_BODY: Final[dict[str, Any]] = {
    "content": {
        "application/json": {"schema": DatasetCreate.model_json_schema()},
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
router = APIRouter(tags=["datasets"])


async def _limiter(request: Request) -> CapacityLimiter:
    """The application's own limit of uploads being unpacked, made by the first of them."""
    state = request.app.state
    if not hasattr(state, "ingest_limiter"):
        state.ingest_limiter = CapacityLimiter(N_AT_ONCE)
    limiter: CapacityLimiter = state.ingest_limiter
    return limiter


@router.post(
    "/datasets",
    status_code=201,
    response_model=Dataset,
    openapi_extra={"requestBody": _REQUEST_BODY},
    responses={
        201: {
            "description": "The dataset is stored.",
            "headers": {
                "Location": {"description": "The dataset.", "schema": {"type": "string"}},
                keys.REPLAYED_HEADER: {
                    "description": "true if this is the first answer to the key, again.",
                    "schema": {"type": "string"},
                },
            },
        },
        **problems(404, 409, *BODY_STATUSES),
    },
)
async def create_dataset(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    limiter: Annotated[CapacityLimiter, Depends(_limiter)],
    reading: Annotated[Reading, Depends(reading_of)],
    name: Annotated[
        Name | None,
        Query(
            description="What to call it. Default: the file's name, or dataset.",
            examples=["pets"],
        ),
    ] = None,
    upload_id: Annotated[
        str | None,
        Query(
            alias="upload",
            pattern=ID_PATTERN,
            description="The file is that of a complete upload (POST /uploads), and the body is "
            "empty. The upload stays until it is deleted or expires.",
            examples=["up_31k8drzh5p2gk7m4t9x3wvq6ab"],
        ),
    ] = None,
    keep_seconds: Annotated[
        KeepSeconds | None,
        Query(
            description="After how many seconds it expires. Default: what the operator set, mostly "
            "never.",
            examples=[604800],
        ),
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Store labelled embeddings, or texts for jobs to embed: a file of any known format, or JSON.

    The answer has a profile of the rows, and warnings about what may spoil a result.
    """
    async with workspace(settings) as workdir:
        if upload_id is None:
            upload = await receive(
                request, name, reading=reading, workdir=workdir, settings=settings
            )
        else:
            upload = await receive_uploaded(
                request,
                upload_id,
                name,
                reading=reading,
                workdir=workdir,
                settings=settings,
                store=store,
                tenant_id=tenant_id,
            )
        key = None
        if idempotency_key is not None:
            request_hash = keys.request_hash(
                request.url.path,
                content_type=upload.content_type,
                body_sha256=upload.body_sha256,
                extra=upload.name
                + reading.as_text()
                + ("" if keep_seconds is None else f" keep {keep_seconds}"),
            )
            key = Key(key=idempotency_key, request_hash=request_hash)
        answer = await to_thread.run_sync(
            partial(
                _record,
                upload,
                key=key,
                keep_seconds=keep_seconds or settings.dataset_keep_seconds,
                tenant_id=tenant_id,
                store=store,
            ),
            limiter=limiter,
        )
    return keys.http_response(answer, collection="datasets")


@router.get("/datasets", responses=problems(422))
def list_datasets(
    query: Annotated[DatasetQuery, Query()], store: StoreDep, tenant_id: TenantDep
) -> DatasetPage:
    """Datasets, newest first."""
    with store.database.read() as tx:
        page = datasets.page(tx, tenant_id, cursor=query.cursor, limit=query.limit)
    return DatasetPage(
        items=[Dataset.of(dataset) for dataset in page.items], next_cursor=page.next_cursor
    )


@router.get("/datasets/{dataset_id}", responses=problems(404))
def get_dataset(dataset_id: DatasetId, store: StoreDep, tenant_id: TenantDep) -> Dataset:
    """One dataset: its classes and splits, its profile, its warnings."""
    with store.database.read() as tx:
        return Dataset.of(datasets.get(tx, tenant_id, dataset_id))


@router.delete("/datasets/{dataset_id}", status_code=204, responses=problems(404, 409))
def delete_dataset(dataset_id: DatasetId, store: StoreDep, tenant_id: TenantDep) -> None:
    """Delete a dataset, its row and its bytes; 409 while a queued or running job needs it.

    Heads and reports made from it stay.
    """
    with store.database.begin() as tx:
        sha256 = datasets.delete(tx, tenant_id, dataset_id)
        if sha256 is not None:
            # Inside the transaction: an upload of the same bytes at this moment either has its
            # row already, which keeps them, or will find them missing when it adds it.
            store.artifacts.delete(tenant_id, sha256)
    logger.info("dataset.deleted dataset_id=%s", dataset_id)


def _record(
    upload: Upload, *, key: Key | None, keep_seconds: float | None, tenant_id: str, store: Store
) -> Answer:
    """Store the dataset, or find the answer to an earlier request. Blocking; all or nothing."""
    if (earlier := keys.earlier(store, tenant_id, key)) is not None:
        return earlier
    ready = upload.prepare()
    artifact = ready.put(store.artifacts, tenant_id)

    def add(tx: Transaction) -> StoredResponse:
        record = ready.add(
            tx, tenant_id, name=upload.name, artifact=artifact, artifacts=store.artifacts
        )
        if keep_seconds is not None:
            record = datasets.keep(tx, tenant_id, record.id, keep_seconds=keep_seconds)
        return StoredResponse(status_code=201, body=Dataset.of(record).model_dump_json().encode())

    answer = keys.once(store, tenant_id, key, add)
    if not answer.is_replay:
        logger.info("dataset.created dataset_id=%s size_bytes=%s", answer.id, artifact.size_bytes)
    return answer
