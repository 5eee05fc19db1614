"""Routes of resumable uploads: tus 1.0, and a list to find an interrupted one in."""

import logging
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Header, Path, Query, Request, Response

from service.http.dependencies import ActorDep, SettingsDep, StoreDep, TenantDep
from service.http.errors import Problem
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import READ_WRITE
from service.http.validation import ID_PATTERN
from service.http.workspace import workspace
from service.settings import ServiceSettings
from service.uploads import tus
from service.uploads.parts import PartStore, receive
from service.uploads.schemas import Upload, UploadPage, UploadQuery
from service.uploads.tus import TusRoute, read_checksum, read_metadata, read_number
from store import uploads
from store.access import audit, quotas
from store.cleanup import expiry
from store.uploads import Upload as UploadRecord

logger = logging.getLogger(__name__)
router = APIRouter(tags=["uploads"], route_class=TusRoute, dependencies=[READ_WRITE])

UploadId = Annotated[
    str,
    Path(
        pattern=ID_PATTERN,
        description="The id that POST /uploads answered.",
        examples=["up_31k8drzh5p2gk7m4t9x3wvq6ab"],
    ),
]
Length = Annotated[
    str | None,
    Header(alias="Upload-Length", description="Bytes of the whole file.", examples=["2147483648"]),
]
Described = Annotated[
    str,
    Header(
        alias="Upload-Metadata",
        description="filename, filetype (its Content-Type) and sha256 (of the whole file, as hex), "
        "each with its value in base64, separated by commas; all are optional.",
        examples=["filename cGV0cy5wYXJxdWV0"],
    ),
]
Offset = Annotated[
    str | None,
    Header(
        alias="Upload-Offset",
        description="Where the part begins: the number of bytes stored so far.",
        examples=["335544320"],
    ),
]
CheckedBy = Annotated[
    str | None,
    Header(
        alias="Upload-Checksum",
        description="sha256 or sha1, a space, and the checksum of the part in base64. The part is "
        "then stored whole or not at all.",
        examples=["sha256 n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="],
    ),
]

_PART_BODY: Final = {
    "required": True,
    "content": {tus.PART_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}
_PRECONDITION: Final = problems(412)


@router.options("/uploads", status_code=204)
async def describe_uploads(settings: SettingsDep) -> Response:
    """Describe the protocol: tus 1.0 with these extensions, up to this size."""
    return Response(
        status_code=204,
        headers={
            "Tus-Version": tus.VERSION,
            "Tus-Extension": tus.EXTENSIONS,
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
            "Tus-Max-Size": str(settings.max_upload_bytes),
        },
    )


@router.post(
    "/uploads",
    status_code=201,
    response_model=Upload,
    responses={
        201: {
            "description": "The upload has begun; send its bytes to Location.",
            "headers": {"Location": {"description": "The upload.", "schema": {"type": "string"}}},
        },
        **problems(400, 403, 413),
        **_PRECONDITION,
    },
)
def create_upload(
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    length: Length = None,
    described: Described = "",
) -> Response:
    """Begin an upload in parts; stored parts survive whatever breaks in between.

    Once all bytes are there, POST /datasets?upload=ID makes the dataset.
    """
    size_bytes = read_number(length, field="Upload-Length")
    if size_bytes > settings.max_upload_bytes:
        raise Problem(
            413,
            "body_too_large",
            f"An upload may have at most {settings.max_upload_bytes:,} bytes. Save the embeddings "
            "as float16, which halves them, or send fewer rows.",
            field="Upload-Length",
        )
    metadata = read_metadata(described)
    with store.database.begin() as tx:
        quotas.check_stored_bytes(tx, tenant_id, settings.limits, more=size_bytes)
        upload = uploads.create(
            tx,
            tenant_id,
            size_bytes=size_bytes,
            keep_seconds=settings.upload_keep_seconds,
            metadata=described,
            sha256=metadata.sha256,
        )
        audit.note(tx, actor, "upload.created", upload.id, size_bytes=size_bytes)
    logger.info("upload.created upload_id=%s size_bytes=%d", upload.id, size_bytes)
    return Response(
        _shown(upload, settings).model_dump_json(),
        201,
        {"Location": f"/uploads/{upload.id}", **tus.headers_of(upload)},
        media_type="application/json",
    )


@router.get("/uploads")
def list_uploads(
    query: Annotated[UploadQuery, Query()],
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
) -> UploadPage:
    """List uploads that have not expired, newest first."""
    with store.database.read() as tx:
        page = uploads.page(
            tx, tenant_id, sha256=query.sha256, cursor=query.cursor, limit=query.limit
        )
    return UploadPage(
        items=[_shown(upload, settings) for upload in page.items], next_cursor=page.next_cursor
    )


@router.get("/uploads/{upload_id}", responses=problems(404))
def get_upload(
    upload_id: UploadId, store: StoreDep, settings: SettingsDep, tenant_id: TenantDep
) -> Upload:
    """Show how far an upload has come."""
    with store.database.read() as tx:
        return _shown(uploads.get(tx, tenant_id, upload_id), settings)


@router.head("/uploads/{upload_id}", responses={**problems(404), **_PRECONDITION})
def head_upload(upload_id: UploadId, store: StoreDep, tenant_id: TenantDep) -> Response:
    """Show how far an upload has come, in the headers Upload-Offset and Upload-Length."""
    with store.database.read() as tx:
        upload = uploads.get(tx, tenant_id, upload_id)
    headers = {**tus.headers_of(upload), "Upload-Length": str(upload.size_bytes)}
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return Response(status_code=200, headers=headers)


@router.patch(
    "/uploads/{upload_id}",
    status_code=204,
    openapi_extra={"requestBody": _PART_BODY},
    responses={**problems(404, 409, *BODY_STATUSES), **_PRECONDITION},
)
async def append_to_upload(
    request: Request,
    upload_id: UploadId,
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    offset: Offset = None,
    checked_by: CheckedBy = None,
) -> Response:
    """Add the next bytes; 409 unless Upload-Offset is where the upload ends.

    Received bytes stay even if the connection breaks. A part with Upload-Checksum is stored whole
    or not at all; 460 says that it does not match its checksum.
    """
    begin = read_number(offset, field="Upload-Offset")
    checksum = read_checksum(checked_by)
    if request.headers.get("content-type", "").partition(";")[0].strip() != tus.PART_TYPE:
        raise Problem(
            415, "unsupported_media_type", f"Send the bytes as Content-Type: {tus.PART_TYPE}."
        )

    def find() -> UploadRecord:
        with store.database.read() as tx:
            return uploads.get(tx, tenant_id, upload_id)

    upload = await to_thread.run_sync(find)
    if upload.received_bytes != begin:
        raise uploads.offset_mismatch(upload, begin=begin)
    async with workspace(settings) as workdir:
        part_store = PartStore.of(store, workdir, settings)
        upload = await receive(request.stream(), upload, part_store, checksum=checksum)
    return Response(status_code=204, headers=tus.headers_of(upload))


@router.delete(
    "/uploads/{upload_id}", status_code=204, responses={**problems(404), **_PRECONDITION}
)
def delete_upload(upload_id: UploadId, store: StoreDep, actor: ActorDep) -> None:
    """Delete an upload and its bytes; a dataset made from it stays."""
    expiry.remove_upload(store, actor, upload_id)
    logger.info("upload.deleted upload_id=%s", upload_id)


def _shown(upload: UploadRecord, settings: ServiceSettings) -> Upload:
    return Upload.of(upload, part_bytes=settings.upload_part_bytes)
