"""The routes of heads: what was trained under each name, and where the aliases point."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from service.dependencies import PredictorDep, StoreDep, TenantDep
from service.json_body import JsonRoute
from service.openapi import BODY_STATUSES, problems
from service.schemas import Alias
from service.schemas_heads import MAX_VERSION, AliasUpdate, Head, HeadPage, HeadQuery, HeadVersion
from store import heads
from store.names import NAME_PATTERN

HeadName = Annotated[
    str, Path(pattern=NAME_PATTERN, description="The head's name.", examples=["pets"])
]
VersionNumber = Annotated[
    int, Path(ge=1, le=MAX_VERSION, description="The version's number.", examples=[3])
]
AliasName = Annotated[
    Alias,
    Path(description="Not digits alone, and not latest.", examples=["prod"]),
]

router = APIRouter(tags=["heads"], route_class=JsonRoute)


@router.get("/heads")
def list_heads(
    query: Annotated[HeadQuery, Query()], store: StoreDep, tenant_id: TenantDep
) -> HeadPage:
    """Heads with their versions, newest name first."""
    with store.database.read() as tx:
        page = heads.page(tx, tenant_id, cursor=query.cursor, limit=query.limit)
    return HeadPage(items=[Head.of(head) for head in page.items], next_cursor=page.next_cursor)


@router.get("/heads/{name}", responses=problems(404))
def get_head(name: HeadName, store: StoreDep, tenant_id: TenantDep) -> Head:
    """One head: its versions, newest first, and its aliases."""
    with store.database.read() as tx:
        return Head.of(heads.get(tx, tenant_id, name))


@router.get("/heads/{name}/versions/{version}", responses=problems(404))
def get_head_version(
    name: HeadName, version: VersionNumber, store: StoreDep, tenant_id: TenantDep
) -> HeadVersion:
    """One version: where it came from, its config, classes and metrics."""
    with store.database.read() as tx:
        return HeadVersion.of(heads.version(tx, tenant_id, name, version))


@router.put("/heads/{name}/aliases/{alias}", responses=problems(404, *BODY_STATUSES))
def set_head_alias(
    name: HeadName,
    alias: AliasName,
    body: AliasUpdate,
    store: StoreDep,
    predictor: PredictorDep,
    tenant_id: TenantDep,
) -> HeadVersion:
    """Point an alias at a version, moving it if it exists.

    Predictions of this process follow at once, those of others within a second.
    """
    with store.database.begin() as tx:
        moved = HeadVersion.of(heads.set_alias(tx, tenant_id, name, alias, body.version))
    predictor.known.forget()
    return moved
