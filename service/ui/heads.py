"""The pages of heads: the list, one, and two of its versions side by side."""

from typing import Annotated

from fastapi import Query, Request, Response

from service.heads.comparison_schemas import CompareQuery
from service.heads.routes import (
    HeadName,
    compare_head_versions,
    get_head,
    list_head_aliases,
    list_heads,
)
from service.heads.schemas import HeadQuery
from service.http.dependencies import IdentityDep, StoreDep, TenantDep
from service.http.errors import Problem
from service.http.fields import MAX_VERSION
from service.ui.answers import html, page_router, place

router = page_router()


@router.get("/ui/heads")
def heads_page(
    query: Annotated[HeadQuery, Query()], request: Request, store: StoreDep, identity: IdentityDep
) -> Response:
    """The list of heads, newest name first."""
    from pages.views import heads as view

    found = list_heads(query, store, identity).model_dump(mode="json")
    return html(view.heads_page(found, place(request), is_first=query.cursor is None))


@router.get("/ui/heads/{name}")
def head_page(
    name: HeadName,
    request: Request,
    store: StoreDep,
    tenant_id: TenantDep,
    version: Annotated[int | None, Query(ge=1, le=MAX_VERSION)] = None,
) -> Response:
    """A head: its versions side by side, its aliases, one version closely."""
    from pages.views import head as view

    found = get_head(name, store, tenant_id).model_dump(mode="json")
    aliases = list_head_aliases(name, store, tenant_id).model_dump(mode="json")["items"]
    try:
        return html(view.head_page(found, aliases, place(request), version=version))
    except view.NoVersionError as unknown:
        raise Problem(404, "not_found", str(unknown)) from None


@router.get("/ui/heads/{name}/compare")
def compare_page(
    name: HeadName,
    query: Annotated[CompareQuery, Query()],
    request: Request,
    store: StoreDep,
    tenant_id: TenantDep,
) -> Response:
    """Two versions of a head: what the newer gained, and whether to promote it."""
    from pages.views import compare as view

    found = compare_head_versions(name, query, store, tenant_id)
    return html(view.compare_page(found.model_dump(mode="json", by_alias=True), place(request)))
