"""Export a head version as a file."""

import base64
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Response

from service.export.formats import Format
from service.heads.routes import HeadName
from service.http.dependencies import ServicesDep, TenantDep
from service.http.openapi import problems
from service.http.scopes import READ
from service.http.services import Services
from store.names import NAME_PATTERN

if TYPE_CHECKING:
    from service.export.exports import Export

VersionLabel = Annotated[
    str,
    Path(
        pattern=NAME_PATTERN,
        description="The version number, an alias, or latest.",
        examples=["3"],
    ),
]

_FILE: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}

router = APIRouter(tags=["heads"], dependencies=[READ])


def _exported(services: Services, tenant_id: str, reference: str, form: Format) -> "Export":
    from service.export.exports import export  # torch, which only heads need

    places = services.settings.encoders_dir
    return export(services.store, tenant_id, reference, form, encoders_dir=places)


@router.get(
    "/heads/{name}/versions/{version}/export",
    response_class=Response,
    responses={
        200: {
            "description": "The file; Repr-Digest has its sha-256 (RFC 9530), X-NMTune-Head its "
            "version.",
            "content": {"application/octet-stream": _FILE, "application/zip": _FILE},
        },
        **problems(404),
    },
)
async def export_head_version(
    name: HeadName,
    version: VersionLabel,
    services: ServicesDep,
    tenant_id: TenantDep,
    form: Annotated[
        Format,
        Query(
            alias="format",
            description="safetensors: the head as it is stored. onnx: for onnxruntime and others. "
            "bundle: a zip of both with a model card, metrics and a runner that needs only numpy. "
            "sklearn: a skops file of scikit-learn's own classes. mlflow: a zip of a folder that "
            "MLflow loads and serves. hf: a zip of a folder for a model hub. Where the encoder was "
            "adapted also peft: a zip of the adapter in PEFT's layout, and encoder: a zip of the "
            "merged encoder as a directory of sentence-transformers.",
            examples=["bundle"],
        ),
    ] = "bundle",
) -> Response:
    """Download a head version; refused (500 export_disagrees) unless it answers as served.

    The file's probabilities are within 1e-5 of the served head's, and its classes the same, on the
    rows that were stored with the head.
    """
    made = await to_thread.run_sync(
        partial(_exported, services, tenant_id, f"{name}@{version}", form),
        limiter=services.exporting,
    )
    digest = base64.b64encode(hashlib.sha256(made.content).digest()).decode()
    return Response(
        made.content,
        media_type=made.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{made.filename}"',
            "Repr-Digest": f"sha-256=:{digest}:",
            "X-NMTune-Head": f"{made.version.name}@{made.version.version}",
        },
    )
