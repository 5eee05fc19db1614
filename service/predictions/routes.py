"""Routes of predictions of a whole dataset: submit, download the output, delete it."""

from functools import partial
from typing import Annotated, Any, Final

from anyio import to_thread
from fastapi import APIRouter, Header, Request, Response

from service.http import stored_file
from service.http.dependencies import ActorDep, QueueDep, SettingsDep, StoreDep, TenantDep
from service.http.idempotency import IdempotencyKey, key_of
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import READ_WRITE
from service.http.stored_file import StoredFile
from service.jobs.routes import QUEUED, JobId, Prefer, when_ended
from service.jobs.schemas import Job
from service.predictions.schemas import PredictionCreate
from service.predictions.submission import submit
from store import jobs, outputs
from store.access import audit

MEDIA_TYPES: Final = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
}

_FILE: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}

router = APIRouter(tags=["predictions"], route_class=JsonRoute, dependencies=[READ_WRITE])


@router.post(
    "/predictions",
    status_code=202,
    response_model=Job,
    responses={
        200: {"model": Job, "description": "With Prefer: wait, the ended job."},
        202: QUEUED,
        **problems(403, 404, 409, 502, *BODY_STATUSES),
    },
)
async def create_prediction(
    body: PredictionCreate,
    request: Request,
    store: StoreDep,
    queue: QueueDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """Predict all rows of a stored dataset, as a job that writes one file.

    GET /jobs/{id}/output has the file once the job has succeeded.
    """
    key = await key_of(request, idempotency_key)
    answer = await to_thread.run_sync(
        partial(
            submit,
            body,
            key=key,
            actor=actor,
            store=store,
            queue=queue,
            settings=settings,
        )
    )
    return await when_ended(answer, request, prefer=prefer, tenant_id=tenant_id)


@router.get(
    "/jobs/{job_id}/output",
    response_class=Response,
    responses={
        200: {
            "description": "The file; Repr-Digest has its sha-256 (RFC 9530).",
            "content": {
                "application/vnd.apache.parquet": _FILE,
                "text/csv": _FILE,
                "application/x-ndjson": _FILE,
            },
        },
        206: {"description": "The range that Range asks for."},
        304: {"description": "If-None-Match names this file."},
        **problems(404, 409, 416),
    },
)
def get_output(
    job_id: JobId,
    request: Request,
    store: StoreDep,
    tenant_id: TenantDep,
    if_none_match: Annotated[  # noqa: ARG001  read with the range; named here for /docs
        str | None,
        Header(
            max_length=1000,
            description="The ETag of a file that you already have.",
            examples=[f'"{"0" * 64}"'],
        ),
    ] = None,
    byte_range: Annotated[  # noqa: ARG001
        str | None,
        Header(
            alias="Range",
            max_length=100,
            description="One range of the file, such as bytes=1000-1999 or bytes=1000-.",
            examples=["bytes=0-999"],
        ),
    ] = None,
) -> Response:
    """Download the file that a prediction wrote; 409 output_not_ready if there is none.

    Its bytes are checked against their hash first: 503 artifact_corrupt if they are damaged.
    """
    with store.database.read() as tx:
        job = jobs.get(tx, tenant_id, job_id)
    output = outputs.of_job(job)
    file = StoredFile(
        tenant_id=tenant_id,
        sha256=output.sha256,
        size_bytes=output.size_bytes,
        media_type=MEDIA_TYPES[output.format],
        filename=f"{job.name}-{job.head_version}-{job.id}.{output.format}",
    )
    return stored_file.answer(file, request, store.artifacts)


@router.delete("/jobs/{job_id}/output", status_code=204, responses=problems(404, 409))
def delete_output(job_id: JobId, store: StoreDep, tenant_id: TenantDep, actor: ActorDep) -> None:
    """Delete the file that a prediction wrote for good; the job stays."""
    with store.database.begin() as tx:
        unnamed = outputs.delete(tx, tenant_id, job_id)
        audit.note(tx, actor, "output.deleted", job_id)
        if unnamed is not None:
            store.artifacts.delete(
                tenant_id, unnamed.sha256, unless_put_after=unnamed.unless_put_after
            )
