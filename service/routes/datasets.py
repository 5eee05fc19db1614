"""The routes of datasets: upload, list, look at, delete."""

import hashlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Final

from anyio import CancelScope, CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from service import idempotency as keys
from service.dependencies import SettingsDep, StoreDep, TenantDep
from service.errors import Problem
from service.idempotency import Answer, IdempotencyKey, Key
from service.ingest import inline, npz, prepared, texts
from service.ingest.prepared import PreparedDataset
from service.ingest.received import receive_form, receive_raw
from service.ingest.texts import PreparedTexts
from service.json_body import is_json, read_json, validate
from service.openapi import BODY_STATUSES, problems
from service.schemas import Name
from service.schemas_datasets import Dataset, DatasetCreate, DatasetPage, DatasetQuery
from service.settings import ServiceSettings
from service.validation import ID_PATTERN
from store import datasets
from store.database import Transaction
from store.idempotency import StoredResponse
from store.names import check_name
from store.store import Store

N_AT_ONCE: Final = 2
"""Uploads that are unpacked at the same time; others wait, so that predictions have threads."""

DEFAULT_NAME: Final = "dataset"
FORM: Final = "multipart/form-data"
RAW_TYPES: Final = (
    "application/x-npz",
    "application/zip",
    "application/x-zip-compressed",
    "application/octet-stream",
)

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")
_FILE_SCHEMA: Final = {
    "type": "string",
    "format": "binary",
    "description": "A .npz file with train_x (rows x columns, float) and train_y (integers or "
    "strings), the same for validation, test and ood_<domain> as you have them, and class_names "
    "if labels are integers with names. Example: numpy.savez_compressed('pets.npz', "
    "train_x=x, train_y=y, test_x=..., test_y=..., ood_sketch_x=..., ood_sketch_y=...).",
}
_REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {"schema": DatasetCreate.model_json_schema()},
        "application/x-npz": {"schema": _FILE_SCHEMA},
        "application/octet-stream": {"schema": _FILE_SCHEMA},
        FORM: {
            "schema": {
                "type": "object",
                "properties": {"file": _FILE_SCHEMA, "name": {"type": "string"}},
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


@dataclass(frozen=True, kw_only=True)
class _Upload:
    """A received body: what it is called, what it is known by, and how it becomes a dataset."""

    name: str
    content_type: str
    body_sha256: str
    prepare: Callable[[], PreparedDataset | PreparedTexts]


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
        **problems(409, *BODY_STATUSES),
    },
)
async def create_dataset(
    request: Request,
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    limiter: Annotated[CapacityLimiter, Depends(_limiter)],
    name: Annotated[
        Name | None,
        Query(
            description="What to call it. Default: the file's name, or dataset.",
            examples=["pets"],
        ),
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Store labelled embeddings (an .npz file, as the body or in a form, or JSON) or texts (JSON).

    The answer has a profile of the rows, and warnings about what may spoil a result.
    """
    async with _workspace(settings) as workdir:
        upload = await _receive(request, name, workdir=workdir, settings=settings)
        key = None
        if idempotency_key is not None:
            request_hash = keys.request_hash(
                request.url.path,
                content_type=upload.content_type,
                body_sha256=upload.body_sha256,
                extra=upload.name,
            )
            key = Key(key=idempotency_key, request_hash=request_hash)
        answer = await to_thread.run_sync(
            partial(_record, upload, key=key, tenant_id=tenant_id, store=store), limiter=limiter
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


async def _receive(
    request: Request, name: str | None, *, workdir: FilePath, settings: ServiceSettings
) -> _Upload:
    """Take the body in, in whichever of its forms it comes."""
    header = request.headers.get("content-type", "")
    content_type = header.partition(";")[0].strip().lower()
    if is_json(header):
        value = await read_json(request)
        body = validate(DatasetCreate, value)
        content = await request.body()
        digest = await to_thread.run_sync(lambda: hashlib.sha256(content).hexdigest())
        return _Upload(
            name=name or body.name or DEFAULT_NAME,
            content_type=content_type,
            body_sha256=digest,
            prepare=partial(_read_body, body, workdir=workdir),
        )
    path = workdir / "upload"
    if content_type == FORM:
        received = await receive_form(request.stream(), path, content_type=header)
        if received.name is not None:
            check_name("dataset", received.name)
    elif content_type in RAW_TYPES:
        received = await receive_raw(request.stream(), path)
    else:
        raise Problem(
            415,
            "unsupported_media_type",
            "Send an .npz file as application/x-npz or in a multipart/form-data part named file, "
            "or JSON as application/json.",
        )
    return _Upload(
        name=name or received.name or name_of_file(received.file_name),
        content_type=content_type,
        body_sha256=received.sha256,
        prepare=partial(_read_file, path, workdir=workdir, max_bytes=settings.max_upload_bytes),
    )


def _read_body(body: DatasetCreate, *, workdir: FilePath) -> PreparedDataset | PreparedTexts:
    if body.texts is None and body.embeddings is None:
        raise Problem(
            422,
            "invalid_request",
            "embeddings is required, or texts in their place.",
            field="embeddings",
        )
    if body.texts is None:
        return inline.prepare(body.embeddings, body.labels, body.splits, workdir=workdir)
    if body.embeddings is not None:
        raise Problem(
            422,
            "invalid_request",
            "Send either embeddings or texts, not both: leave out texts.",
            field="texts",
        )
    return texts.prepare(body.texts, body.labels, body.splits)


def _read_file(path: FilePath, *, workdir: FilePath, max_bytes: int) -> PreparedDataset:
    with path.open("rb") as file:
        return npz.read(file, workdir=workdir, max_bytes=max_bytes)


def name_of_file(file_name: str | None) -> str:
    """A dataset name made of a file's name: without folder and suffix, odd characters as '-'."""
    last = re.split(r"[/\\]", file_name or "")[-1]
    stem = last.rpartition(".")[0] or last
    return _NOT_IN_NAMES.sub("-", stem).lstrip("._-")[:64] or DEFAULT_NAME


def _record(upload: _Upload, *, key: Key | None, tenant_id: str, store: Store) -> Answer:
    """Store the dataset, or find the answer to an earlier request. Blocking; all or nothing."""
    if (earlier := keys.earlier(store, tenant_id, key)) is not None:
        return earlier
    ready = upload.prepare()
    artifact = ready.put(store.artifacts, tenant_id)

    def add(tx: Transaction) -> StoredResponse:
        record = ready.add(
            tx, tenant_id, name=upload.name, artifact=artifact, artifacts=store.artifacts
        )
        return StoredResponse(status_code=201, body=Dataset.of(record).model_dump_json().encode())

    answer = keys.once(store, tenant_id, key, add)
    if not answer.is_replay:
        logger.info("dataset.created dataset_id=%s size_bytes=%s", answer.id, artifact.size_bytes)
    return answer


@asynccontextmanager
async def _workspace(settings: ServiceSettings) -> AsyncIterator[FilePath]:
    """`prepared.workspace`, made and removed in a thread: unlinking gigabytes takes a while.

    It is removed also if the client leaves or the server stops in between.
    """
    with ExitStack() as stack:
        enter = partial(stack.enter_context, prepared.workspace(settings.data_dir))
        workdir = await to_thread.run_sync(enter)
        try:
            yield workdir
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(stack.close)
