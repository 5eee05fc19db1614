"""Routes of the Open Inference Protocol, for clients such as tritonclient.

A model is a head, and its versions are the head's. Wherever a version is expected, an alias works
too (`versions/prod`), and `pets@prod` is a model name for clients that send no version.
"""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from nmtune.version import __version__
from service.http.dependencies import StoreDep, TenantDep
from service.http.fields import MAX_REFERENCE_CHARACTERS
from service.http.openapi import BODY_STATUSES
from service.http.scopes import OPEN, PREDICT
from service.oip.door import BINARY, reference_of
from service.oip.inference_request import INPUT, LABELS, LENGTH_HEADER, PROBABILITIES
from service.oip.schemas import (
    EMBEDDED_BODY,
    InferAnswer,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
    oip_errors,
)
from service.operate import health
from service.predict.services import PredictorDep
from store.registry import heads

ModelName = Annotated[
    str,
    Path(
        max_length=MAX_REFERENCE_CHARACTERS,
        description="The head: pets (its latest version), pets@3 or pets@prod.",
        examples=["pets"],
    ),
]
ModelVersion = Annotated[
    str,
    Path(
        max_length=MAX_REFERENCE_CHARACTERS,
        description="The version number, or an alias.",
        examples=["3", "prod"],
    ),
]

router = APIRouter(prefix="/v2", tags=["open inference protocol"])


async def _head_alone(name: ModelName) -> str:
    return name


async def _head_and_version(name: ModelName, version: ModelVersion) -> str:
    return reference_of(name, version)


HeadAlone = Annotated[str, Depends(_head_alone)]
HeadVersion = Annotated[str, Depends(_head_and_version)]


@router.get("", name="oip_server", dependencies=[PREDICT])
async def server_metadata() -> ServerMetadata:
    """Show which server this is, and its extensions of the protocol."""
    return ServerMetadata(version=__version__)


@router.get("/health/live", name="oip_live", dependencies=[OPEN])
async def live() -> ServerLive:
    """Say whether the process answers; nothing else is checked."""
    return ServerLive()


@router.get("/health/ready", name="oip_ready", dependencies=[OPEN], responses=oip_errors(503))
async def ready(request: Request) -> ServerReady:
    """Say whether the service is ready for work; `/readyz` gives reasons."""
    await health.readyz(request)
    return ServerReady()


def _metadata(reference: str, store: StoreDep, tenant_id: TenantDep) -> ModelMetadata:
    with store.database.read() as tx:
        version = heads.resolve(tx, tenant_id, reference)
        head = heads.get(tx, tenant_id, version.name)
    return ModelMetadata(
        name=version.name,
        versions=[str(one.version) for one in reversed(head.versions)],
        inputs=[TensorMetadata(name=INPUT, datatype="FP32", shape=[-1, version.n_columns])],
        outputs=[
            TensorMetadata(
                name=PROBABILITIES,
                datatype="FP32",
                shape=[-1, len(version.classes)],
                parameters={"classes": version.classes},
            ),
            TensorMetadata(name=LABELS, datatype="BYTES", shape=[-1]),
        ],
    )


@router.get(
    "/models/{name}",
    name="oip_model",
    dependencies=[PREDICT],
    responses=oip_errors(404, 503),
    response_model_exclude_none=True,
)
def model_metadata(reference: HeadAlone, store: StoreDep, tenant_id: TenantDep) -> ModelMetadata:
    """Show the inputs, outputs and versions of a head."""
    return _metadata(reference, store, tenant_id)


@router.get(
    "/models/{name}/versions/{version}",
    name="oip_model_version",
    dependencies=[PREDICT],
    responses=oip_errors(400, 404, 503),
    response_model_exclude_none=True,
)
def model_version_metadata(
    reference: HeadVersion, store: StoreDep, tenant_id: TenantDep
) -> ModelMetadata:
    """Show the inputs and outputs of one version of a head, and all its versions."""
    return _metadata(reference, store, tenant_id)


@router.get(
    "/models/{name}/ready",
    name="oip_model_ready",
    dependencies=[PREDICT],
    responses=oip_errors(404, 503),
)
def model_ready(reference: HeadAlone, predictor: PredictorDep, tenant_id: TenantDep) -> ModelReady:
    """Say whether a head can answer; loads it if necessary."""
    return ModelReady(name=predictor.find(tenant_id, reference).version.name)


@router.get(
    "/models/{name}/versions/{version}/ready",
    name="oip_model_version_ready",
    dependencies=[PREDICT],
    responses=oip_errors(400, 404, 503),
)
def model_version_ready(
    reference: HeadVersion, predictor: PredictorDep, tenant_id: TenantDep
) -> ModelReady:
    """Say whether one version of a head can answer; loads it if necessary."""
    return ModelReady(name=predictor.find(tenant_id, reference).version.name)


HeaderLength = Annotated[
    str | None,
    Header(
        alias=LENGTH_HEADER,
        description="The number of bytes of JSON, if the bytes of a tensor follow it.",
        examples=["152"],
    ),
]

_INFER: Final[dict[str, Any]] = {
    "response_model": InferAnswer,
    "responses": oip_errors(404, 429, *BODY_STATUSES, 503),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": EMBEDDED_BODY},
                BINARY: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
}


# Never called: InferDoor, ahead of the router, answers these paths. The functions are here for
# /docs, for the Allow header of other methods, and for the names in the metrics.


@router.post("/models/{name}/infer", name="oip_infer", dependencies=[PREDICT], **_INFER)
async def infer(
    reference: HeadAlone,  # noqa: ARG001 - what /docs shows
    header_length: HeaderLength = None,  # noqa: ARG001
) -> Response:
    """Classify embeddings with a head, sent as JSON, or as bytes after the JSON."""
    raise AssertionError("InferDoor answers before the router")


@router.post(
    "/models/{name}/versions/{version}/infer",
    name="oip_infer_version",
    dependencies=[PREDICT],
    **_INFER,
)
async def infer_version(
    reference: HeadVersion,  # noqa: ARG001 - what /docs shows
    header_length: HeaderLength = None,  # noqa: ARG001
) -> Response:
    """Classify embeddings with one version of a head."""
    raise AssertionError("InferDoor answers before the router")


INFER_ROUTE: Final = router.routes[-2]
INFER_VERSION_ROUTE: Final = router.routes[-1]
