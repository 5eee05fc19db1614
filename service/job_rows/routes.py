"""Routes of the rows behind a job's numbers."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from service.http.accept import preferred
from service.http.dependencies import StoreDep, TenantDep
from service.http.errors import Problem
from service.http.openapi import problems
from service.http.scopes import READ_WRITE
from service.job_rows import files
from service.job_rows.names import Names
from service.job_rows.page import page
from service.job_rows.schemas import JobRowPage, RowQuery
from service.job_rows.selection import select
from service.jobs.routes import JobId
from store import job_files
from store.store import Store

SAFETENSORS: Final = "application/vnd.safetensors"
PARQUET: Final = "application/vnd.apache.parquet"

router = APIRouter(tags=["jobs"], dependencies=[READ_WRITE])


class RowQueryOrFile(RowQuery):
    """Which rows to list, and in what form."""

    form: Literal["json", "parquet"] | None = Query(
        default=None,
        alias="format",
        description="Goes before the Accept header; parquet: all matching rows as one file.",
        examples=["parquet"],
    )


@router.get(
    "/jobs/{job_id}/rows",
    response_model=JobRowPage,
    responses={
        200: {
            "description": "A page of rows; or, for Accept: application/vnd.apache.parquet, all "
            "that match as one Parquet file.",
            "content": {PARQUET: {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems(404, 409, 410),
    },
)
def list_job_rows(
    job_id: JobId,
    query: Annotated[RowQueryOrFile, Query()],
    request: Request,
    store: StoreDep,
    tenant_id: TenantDep,
) -> Response:
    """List the rows of a succeeded job's dataset with what a candidate says of each.

    Kept for NMTUNE_JOB_FILES_DAYS: then 410 job_file_expired.
    """
    found = files.find(store, tenant_id, job_id, job_files.ROWS)
    accept = request.headers.get("accept", "*/*")
    wants_file = preferred(accept, "application/json", PARQUET) == PARQUET
    vary = {"Vary": "Accept"}
    if query.form == "parquet" or (query.form is None and wants_file):
        return _parquet(store, found, query, vary)
    listed = page(store, found, RowQuery(**query.model_dump(exclude={"form"})))
    return Response(listed.model_dump_json(), media_type="application/json", headers=vary)


def _parquet(
    store: Store, found: files.Found, query: RowQuery, headers: dict[str, str]
) -> Response:
    from service.job_rows.parquet import stream  # pyarrow, which only files need

    for field, is_given in (
        ("cursor", query.cursor is not None),
        ("limit", "limit" in query.model_fields_set),
        ("sort", query.sort != "row"),
        ("neighbours", query.neighbours),
    ):
        if is_given:
            raise Problem(
                422,
                "invalid_request",
                f"A Parquet file holds all matching rows in the order of the splits: {field} is "
                "for JSON pages.",
                field=field,
            )
    rows = files.open_rows(store, found)
    selection = select(rows, query)
    names = Names.of(store, found.dataset)
    filename = f"{found.job.head_name}-{found.job.head_version}-rows.parquet"
    return StreamingResponse(
        stream(rows, names, selection, found),
        media_type=PARQUET,
        headers={**headers, "Content-Disposition": f'attachment; filename="{filename}"'},
    )


@router.get(
    "/jobs/{job_id}/map",
    response_class=Response,
    responses={
        200: {
            "description": "A safetensors file: columns of at most 10,000 points, and metadata.",
            "content": {SAFETENSORS: {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems(404, 409, 410),
    },
)
def get_job_map(job_id: JobId, store: StoreDep, tenant_id: TenantDep) -> Response:
    """Show the rows of a succeeded job as points of a plane, by PCA and, once drawn, by t-SNE.

    Kept for NMTUNE_JOB_FILES_DAYS: then 410 job_file_expired.
    """
    from store.files.job_map import JobMap

    found = files.find(store, tenant_id, job_id, job_files.MAP)
    data = store.artifacts.get_bytes(tenant_id, found.file.sha256)
    shown = JobMap.from_bytes(data).as_of(found.file.age_seconds)
    return Response(
        shown.to_bytes(), media_type=SAFETENSORS, headers={"Cache-Control": "private, no-cache"}
    )
