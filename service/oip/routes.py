"""Routes of the Open Inference Protocol, for clients such as tritonclient.

A model is a head, and its versions are the head's. Wherever a version is expected, an alias works
too (`versions/prod`), and `pets@prod` is a model name for clients that send no version.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from anyio import from_thread
from fastapi import APIRouter, Depends, Header, Path, Request, Response

from nmtune.version import __version__
from service.http.dependencies import StoreDep, TenantDep
from service.http.errors import Problem
from service.http.fields import MAX_REFERENCE_CHARACTERS
from service.http.openapi import BODY_STATUSES
from service.http.scopes import OPEN, PREDICT
from service.limits.predictions import Meter, MeterDep
from service.oip import inference_answer, inference_request
from service.oip.inference_request import INPUT, LABELS, LENGTH_HEADER, PROBABILITIES, invalid
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
from service.predict import rendering
from service.predict.services import BodyBudgetDep, PredictorDep
from store.registry import heads

BINARY: Final = "application/octet-stream"

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
    if "@" in name:
        raise invalid(
            f"Name the version only once: {name.partition('@')[0]} with versions/{version}."
        )
    return f"{name}@{version}"


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


async def _body(request: Request, budget: BodyBudgetDep) -> AsyncIterator[bytes]:
    """The body, counted in the budget of all bodies until the answer is out."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(415, "unsupported_media_type", "Send the body without compression.")
    announced = request.headers.get("content-length", "")
    with budget.held() as held:
        budget.check(int(announced[:20]) if announced.isdecimal() else 0)
        parts = []
        async for part in request.stream():
            held.take(len(part))
            parts.append(part)
        yield b"".join(parts)


Body = Annotated[bytes, Depends(_body)]
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


def _infer(
    reference: str,
    body: bytes,
    header_length: str | None,
    predictor: PredictorDep,
    tenant_id: str,
    meter: Meter,
) -> Response:
    asked = inference_request.read(body, header_length, check_n_rows=predictor.check_n_rows)
    from_thread.run(meter.take_rest, len(asked.x))
    found = predictor.predict(tenant_id, reference, asked.x, asked.class_shares)
    meter.count(len(asked.x))
    answer = inference_answer.write(asked, found)
    headers = rendering.headers_of(found.serving)
    if answer.n_json is None:
        return Response(answer.body, media_type="application/json", headers=headers)
    headers[LENGTH_HEADER] = str(answer.n_json)
    return Response(answer.body, media_type=BINARY, headers=headers)


@router.post("/models/{name}/infer", name="oip_infer", dependencies=[PREDICT], **_INFER)
def infer(
    reference: HeadAlone,
    body: Body,
    predictor: PredictorDep,
    tenant_id: TenantDep,
    meter: MeterDep,
    header_length: HeaderLength = None,
) -> Response:
    """Classify embeddings with a head, sent as JSON, or as bytes after the JSON."""
    return _infer(reference, body, header_length, predictor, tenant_id, meter)


@router.post(
    "/models/{name}/versions/{version}/infer",
    name="oip_infer_version",
    dependencies=[PREDICT],
    **_INFER,
)
def infer_version(
    reference: HeadVersion,
    body: Body,
    predictor: PredictorDep,
    tenant_id: TenantDep,
    meter: MeterDep,
    header_length: HeaderLength = None,
) -> Response:
    """Classify embeddings with one version of a head."""
    return _infer(reference, body, header_length, predictor, tenant_id, meter)
