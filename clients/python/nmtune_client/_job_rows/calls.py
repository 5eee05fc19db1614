"""The requests about a job's rows and map."""

from nmtune_client._http.calls import nothing, page_of, params_of
from nmtune_client._http.values import Page
from nmtune_client._http.wire import Call, Route
from nmtune_client._job_rows.map_file import JobMap
from nmtune_client._job_rows.values import JobRow

_LIST_ROWS = Route("GET", "/jobs/{job_id}/rows")
_GET_MAP = Route("GET", "/jobs/{job_id}/map")


def list_rows(
    job_id: str,
    *,
    cursor: str | None = None,
    limit: int | None = None,
    neighbours: bool = False,
    **filters: str | None,
) -> Call[Page[JobRow]]:
    """One page of rows."""
    params = params_of(cursor=cursor, limit=limit, **filters)
    return Call(
        route=_LIST_ROWS,
        ids={"job_id": job_id},
        parse=page_of(JobRow.from_json),
        params=params | ({"neighbours": "true"} if neighbours else {}),
        headers={"Accept": "application/json"},
    )


def get_rows_file(job_id: str, **filters: str | None) -> Call[None]:
    """All matching rows as a Parquet file, to be downloaded, not sent."""
    return Call(
        route=_LIST_ROWS,
        ids={"job_id": job_id},
        parse=nothing,
        params=params_of(**filters),
        headers={"Accept": "application/vnd.apache.parquet"},
    )


def get_map(job_id: str) -> Call[JobMap]:
    """The rows as points of a plane."""
    return Call(
        route=_GET_MAP,
        ids={"job_id": job_id},
        parse=lambda answer: JobMap.from_bytes(answer.content),
        headers={"Accept": "application/vnd.safetensors"},
    )
