"""Routes of local encoders: add, list, show and delete one."""

import logging
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from providers.local import minilm
from service.encoders import checking, provided
from service.encoders.checking import CheckedEncoder
from service.encoders.schemas import LocalEncoder, LocalEncoders
from service.http.dependencies import ActorDep, ServicesDep, SettingsDep, StoreDep, TenantDep
from service.http.errors import Problem
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import READ_WRITE
from service.http.validation import ID_PATTERN
from service.http.workspace import workspace
from service.ingest.received import receive_raw
from service.settings import ServiceSettings
from service.uploads import parts
from store.access import audit, quotas
from store.access.audit import Actor
from store.embedding import local_encoders
from store.embedding.local_encoders import LocalEncoderRow
from store.errors import NotFound
from store.names import NAME_PATTERN, check_name
from store.store import Store

MEDIA_TYPES: Final = ("application/x-tar", "application/octet-stream")

EncoderName = Annotated[
    str,
    Path(pattern=NAME_PATTERN, description="The encoder's name.", examples=["my-minilm"]),
]
UploadId = Annotated[
    str | None,
    Query(
        pattern=ID_PATTERN,
        description="A finished upload that holds the archive, instead of a body.",
        examples=["up_31k8drzh5p2gk7m4t9x3wvq6ab"],
    ),
]

_BODY: Final[dict[str, Any]] = {
    "content": {
        media_type: {
            "schema": {
                "type": "string",
                "format": "binary",
                "description": "The model's directory as a tar file, not compressed, as of tar -cf "
                "model.tar -C DIRECTORY . (docs/use/encoders.md says which files are read).",
            }
        }
        for media_type in MEDIA_TYPES
    }
}

logger = logging.getLogger(__name__)
router = APIRouter(tags=["encoders"], route_class=JsonRoute, dependencies=[READ_WRITE])


@router.put(
    "/encoders/{encoder_name}",
    status_code=201,
    response_model=LocalEncoder,
    openapi_extra={"requestBody": _BODY},
    responses={
        200: {"description": "It was there already, with the same files.", "model": LocalEncoder},
        201: {"description": "The encoder is stored, and embeds texts."},
        **problems(403, 404, 409, 422, *BODY_STATUSES),
    },
)
async def put_encoder(
    request: Request,
    encoder_name: EncoderName,
    services: ServicesDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    upload: UploadId = None,
) -> Response:
    """Add an encoder: config.json, model.safetensors and tokenizer.json in a tar file.

    It is checked and tried, and nothing in it is ever run as code.
    """
    settings, store = services.settings, services.store
    check_name("encoder", encoder_name)
    minilm.check_libraries(encoder_name)
    if provided.is_taken(encoder_name, settings):
        raise Problem(
            409,
            "encoder_exists",
            f"{encoder_name} is an encoder of the server's own: choose another name.",
            field="encoder_name",
        )
    async with workspace(settings) as workdir:
        path = await _received(request, upload, workdir, services, tenant_id)
        checked = await to_thread.run_sync(
            partial(checking.check, path, workdir=workdir), limiter=services.unpacking
        )
        add = partial(_add, encoder_name, checked, store, settings, actor, upload)
        row, is_new = await to_thread.run_sync(add)
    body = LocalEncoder.of_row(row).model_dump_json()
    return Response(body, 201 if is_new else 200, media_type="application/json")


@router.get("/encoders")
def list_encoders(store: StoreDep, settings: SettingsDep, tenant_id: TenantDep) -> LocalEncoders:
    """List the encoders that run in this server."""
    with store.database.read() as tx:
        rows = local_encoders.of_tenant(tx, tenant_id)
    return LocalEncoders(
        items=[LocalEncoder.of_row(row) for row in rows], provided=provided.provided(settings)
    )


@router.get("/encoders/{encoder_name}", responses=problems(404))
def get_encoder(
    encoder_name: EncoderName, store: StoreDep, settings: SettingsDep, tenant_id: TenantDep
) -> LocalEncoder:
    """Show an encoder."""
    found = provided.find(encoder_name, settings)
    if found is not None:
        return found
    with store.database.read() as tx:
        return LocalEncoder.of_row(local_encoders.get(tx, tenant_id, encoder_name))


@router.delete("/encoders/{encoder_name}", status_code=204, responses=problems(404, 409))
def delete_encoder(
    encoder_name: EncoderName,
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> None:
    """Delete an encoder that you added; 409 while a head or an unfinished job needs it."""
    if provided.is_taken(encoder_name, settings):
        raise Problem(
            409,
            "encoder_provided",
            f"{encoder_name} is the server's own, and only the operator can take it away.",
            field="encoder_name",
        )
    with store.database.begin() as tx:
        sha256 = local_encoders.delete(tx, tenant_id, encoder_name)
        audit.note(tx, actor, "encoder.deleted", encoder_name)
        if sha256 is not None:
            # Inside the transaction: whoever adds the same files at this moment either has its row
            # already, which keeps them, or will find them missing when it adds the row.
            store.artifacts.delete(tenant_id, sha256)
    logger.info("encoder.deleted name=%s", encoder_name)


async def _received(
    request: Request,
    upload: str | None,
    workdir: FilePath,
    services: ServicesDep,
    tenant_id: str,
) -> FilePath:
    """The archive, from the body or an upload."""
    if upload is not None:
        received, _ = await parts.assembled(
            services.store, tenant_id, upload, workdir=workdir, settings=services.settings
        )
        return received.path
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in MEDIA_TYPES:
        raise Problem(
            415,
            "unsupported_media_type",
            "Send the model's directory as a tar file, with the Content-Type application/x-tar.",
        )
    received = await receive_raw(request.stream(), workdir / "upload")
    return received.path


def _add(
    name: str,
    checked: CheckedEncoder,
    store: Store,
    settings: ServiceSettings,
    actor: Actor,
    upload: str | None,
) -> tuple[LocalEncoderRow, bool]:
    """Store the archive, then its row. Blocking."""
    tenant_id = actor.tenant_id
    artifact = store.artifacts.put_file(tenant_id, checked.archive)
    with store.database.begin() as tx:
        known = local_encoders.find(tx, tenant_id, name)
        more = 0 if known is not None else artifact.size_bytes
        quotas.check_stored_bytes(tx, tenant_id, settings.limits, more=more, but_upload=upload)
        row, is_new = local_encoders.add(
            tx,
            tenant_id,
            name,
            sha256=artifact.sha256,
            size_bytes=artifact.size_bytes,
            description=checked.description,
        )
        if not store.artifacts.exists(tenant_id, artifact.sha256):
            raise NotFound("encoder", name)
        if is_new:
            audit.note(
                tx, actor, "encoder.added", name, sha256=row.sha256, size_bytes=row.size_bytes
            )
    logger.info("encoder.added name=%s sha256=%s", name, row.sha256)
    return row, is_new
