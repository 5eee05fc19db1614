"""The page of the audit, for administrators."""

from fastapi import Request, Response

from service.audit.routes import page_of
from service.audit.schemas import AuditQuery
from service.http.dependencies import StoreDep, TenantDep
from service.http.scopes import ADMIN
from service.ui.answers import html, page_router, place
from service.ui.queries import read_query

router = page_router(ADMIN)


@router.get("/ui/audit")
def audit_page(request: Request, store: StoreDep, tenant_id: TenantDep) -> Response:
    """Who did what, newest first."""
    from pages.views import audit as view

    given = {name: text for name, text in request.query_params.items() if text}
    query = read_query(AuditQuery, given)
    found = page_of(query, store, tenant_id).model_dump(mode="json")
    chosen: dict[str, str] = {name: given[name] for name in view.FIELDS if name in given}
    is_first = query.cursor is None
    return html(view.audit_page(found, place(request), chosen=chosen, is_first=is_first))
