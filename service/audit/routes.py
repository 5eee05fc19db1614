"""The route of the audit: a page as JSON, or everything that matches as JSON lines."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from service.audit.schemas import AuditEntry, AuditFilter, AuditPage, AuditQuery
from service.http.accept import preferred
from service.http.dependencies import StoreDep, TenantDep
from service.http.errors import Problem
from service.http.scopes import ADMIN
from store.access import audit
from store.database.cursors import MAX_LIMIT
from store.store import Store

LINES: Final = "application/x-ndjson"

router = APIRouter(tags=["audit"], dependencies=[ADMIN])


class AuditQueryOrFile(AuditQuery):
    """Which entries to list, and in what form."""

    form: Literal["json", "jsonl"] | None = Query(
        default=None,
        alias="format",
        description="Goes before the Accept header; jsonl: all matching entries as one file.",
        examples=["jsonl"],
    )


@router.get(
    "/audit",
    response_model=AuditPage,
    responses={
        200: {
            "description": "A page; or, for Accept: application/x-ndjson, all entries that match, "
            "one to a line.",
            "content": {LINES: {"schema": {"type": "string"}}},
        },
    },
)
def list_audit(
    query: Annotated[AuditQueryOrFile, Query()],
    request: Request,
    store: StoreDep,
    tenant_id: TenantDep,
) -> Response:
    """List what was done and by whom, newest first. Kept for NMTUNE_AUDIT_DAYS.

    What was refused is not here, but in the server's log.
    """
    vary = {"Vary": "Accept"}
    accept = request.headers.get("accept", "*/*")
    wants_lines = preferred(accept, "application/json", LINES) == LINES
    if query.form == "jsonl" or (query.form is None and wants_lines):
        return _file(query, store, tenant_id, vary)
    page = page_of(query, store, tenant_id)
    return Response(page.model_dump_json(), headers=vary, media_type="application/json")


def page_of(query: AuditQuery, store: Store, tenant_id: str) -> AuditPage:
    """One page of what the query wants. Raises InvalidCursor."""
    with store.database.read() as tx:
        page = audit.page(tx, tenant_id, query.wanted(), cursor=query.cursor, limit=query.limit)
    return AuditPage(items=[AuditEntry.of(one) for one in page.items], next_cursor=page.next_cursor)


def _file(
    query: AuditQueryOrFile, store: Store, tenant_id: str, headers: dict[str, str]
) -> Response:
    for field in ("cursor", "limit"):
        if field in query.model_fields_set:
            raise Problem(
                422,
                "invalid_request",
                f"JSON lines hold all matching entries: {field} is for JSON pages.",
                field=field,
            )
    return StreamingResponse(
        _lines(store, tenant_id, query),
        headers={**headers, "Content-Disposition": 'attachment; filename="audit.jsonl"'},
        media_type=LINES,
    )


def _lines(store: Store, tenant_id: str, query: AuditFilter) -> Iterator[str]:
    """All that matches, a page at a time; what is done meanwhile is newer and left out."""
    cursor, wanted = None, query.wanted()
    while True:
        with store.database.read() as tx:
            page = audit.page(tx, tenant_id, wanted, cursor=cursor, limit=MAX_LIMIT)
        yield "".join(f"{AuditEntry.of(one).model_dump_json()}\n" for one in page.items)
        cursor = page.next_cursor
        if cursor is None:
            return
