"""Routes of heads: list and show, describe, move aliases, compare, delete."""

import hashlib
import logging
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from nmtune.heads import class_shares as known_shares
from service.heads import comparison
from service.heads.comparison_schemas import CompareQuery, HeadComparison
from service.heads.notes import HeadVersionPatch
from service.heads.pairing import SharedRows, pair
from service.heads.schemas import (
    AliasUpdate,
    Head,
    HeadAlias,
    HeadAliases,
    HeadPage,
    HeadQuery,
    HeadVersion,
)
from service.http import idempotency
from service.http.dependencies import ActorDep, IdentityDep, StoreDep, TenantDep
from service.http.errors import Problem
from service.http.fields import MAX_VERSION, Alias
from service.http.idempotency import REPLAYED_HEADER, IdempotencyKey, Key
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import PREDICT, READ, WRITE
from service.predict.services import PredictorDep
from store import datasets
from store.access import audit
from store.access.audit import Actor
from store.bytes.port import Artifacts
from store.database.connection import Transaction
from store.idempotency import StoredResponse
from store.names import NAME_PATTERN
from store.registry import aliases, head_deletion, heads
from store.registry.head_deletion import Deleted

HeadName = Annotated[
    str, Path(pattern=NAME_PATTERN, description="The head's name.", examples=["pets"])
]
VersionNumber = Annotated[
    int, Path(ge=1, le=MAX_VERSION, description="The version number.", examples=[3])
]
AliasName = Annotated[
    Alias,
    Path(description="A name that is not a number and not latest.", examples=["prod"]),
]

Force = Annotated[
    bool,
    Query(
        description="Also delete versions that aliases point at, and these aliases.",
        examples=[True],
    ),
]

_EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()

logger = logging.getLogger(__name__)
router = APIRouter(tags=["heads"], route_class=JsonRoute)


@router.get("/heads", dependencies=[PREDICT])
def list_heads(
    query: Annotated[HeadQuery, Query()], store: StoreDep, identity: IdentityDep
) -> HeadPage:
    """List heads with their versions, newest name first."""
    if identity.heads is not None:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "scope_missing",
            "This key is only good for some heads, so it lists none. Ask for one by its name: "
            f"{', '.join(sorted(identity.heads)[:5])}.",
            extensions={"scope_needed": "predict"},
        )
    with store.database.read() as tx:
        page = heads.page(tx, identity.tenant_id, cursor=query.cursor, limit=query.limit)
    return HeadPage(items=[Head.of(head) for head in page.items], next_cursor=page.next_cursor)


@router.get("/heads/{name}", dependencies=[PREDICT], responses=problems(404))
def get_head(name: HeadName, store: StoreDep, tenant_id: TenantDep) -> Head:
    """Show a head: its versions, newest first, and its aliases."""
    with store.database.read() as tx:
        return Head.of(heads.get(tx, tenant_id, name))


@router.get("/heads/{name}/versions/{version}", dependencies=[PREDICT], responses=problems(404))
def get_head_version(
    name: HeadName, version: VersionNumber, store: StoreDep, tenant_id: TenantDep
) -> HeadVersion:
    """Show a version: where it came from, its config, classes and metrics."""
    with store.database.read() as tx:
        return HeadVersion.of(heads.version(tx, tenant_id, name, version))


@router.patch(
    "/heads/{name}/versions/{version}",
    dependencies=[WRITE],
    responses=problems(404, *BODY_STATUSES),
)
def annotate_head_version(
    name: HeadName,
    version: VersionNumber,
    body: HeadVersionPatch,
    store: StoreDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> HeadVersion:
    """Set the description and the tags of a version; nothing else about it ever changes."""
    notes = body.model_dump(include=body.model_fields_set)
    with store.database.begin() as tx:
        described = heads.annotate(tx, tenant_id, name, version, notes=notes)
        audit.note(tx, actor, "head.described", f"{name}@{version}", fields=sorted(notes))
    return HeadVersion.of(described)


@router.get("/heads/{name}/aliases", dependencies=[PREDICT], responses=problems(404))
def list_head_aliases(name: HeadName, store: StoreDep, tenant_id: TenantDep) -> HeadAliases:
    """List the aliases of a head: what each names, since when, and what it named before."""
    with store.database.read() as tx:
        found = aliases.of_head(tx, tenant_id, name)
        if not found:
            heads.get(tx, tenant_id, name)  # 404 for a head that is not there
    return HeadAliases(items=[HeadAlias.of(one) for one in found])


@router.put(
    "/heads/{name}/aliases/{alias}",
    dependencies=[WRITE],
    responses=problems(404, 409, *BODY_STATUSES),
)
def set_head_alias(
    name: HeadName,
    alias: AliasName,
    body: AliasUpdate,
    store: StoreDep,
    predictor: PredictorDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> HeadVersion:
    """Point an alias at a version, moving it if it exists, and set or remove its class shares.

    Predictions in this process follow at once, those in other processes within a second.
    """
    with store.database.begin() as tx:
        if body.class_shares is not None:
            version = heads.version(tx, tenant_id, name, body.version)
            known_shares.offsets(
                body.class_shares, version.lineage.get("class_shares"), version.classes
            )
        before = _named(tx, tenant_id, name, alias)
        moved = heads.set_alias(
            tx,
            tenant_id,
            name,
            alias,
            body.version,
            class_shares=body.class_shares,
            keeps_shares="class_shares" not in body.model_fields_set,
        )
        sets_shares = "class_shares" in body.model_fields_set
        audit.note(
            tx,
            actor,
            "alias.moved",
            f"{name}@{alias}",
            outcome=audit.UNCHANGED if before == body.version and not sets_shares else audit.DONE,
            before=before,
            after=body.version,
            sets_class_shares=sets_shares,
        )
    predictor.known.forget()
    return HeadVersion.of(moved)


@router.delete(
    "/heads/{name}/aliases/{alias}", dependencies=[WRITE], status_code=204, responses=problems(404)
)
def delete_head_alias(
    name: HeadName,
    alias: AliasName,
    store: StoreDep,
    predictor: PredictorDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> None:
    """Remove an alias; the version that it pointed at stays."""
    with store.database.begin() as tx:
        before = _named(tx, tenant_id, name, alias)
        heads.delete_alias(tx, tenant_id, name, alias)
        audit.note(tx, actor, "alias.deleted", f"{name}@{alias}", before=before)
    predictor.known.forget()


@router.post(
    "/heads/{name}/aliases/{alias}/rollback",
    dependencies=[WRITE],
    response_model=HeadVersion,
    responses=problems(404, 409),
)
def roll_back_head_alias(
    request: Request,
    name: HeadName,
    alias: AliasName,
    store: StoreDep,
    predictor: PredictorDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    expected: Annotated[
        int | None,
        Query(
            alias="from",
            ge=1,
            le=MAX_VERSION,
            description="Roll back only if the alias points at this version now; otherwise 409.",
            examples=[3],
        ),
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Point an alias back at the version that it named before; a second call goes further back.

    Versions deleted since are skipped; 409 if no other is left. With an Idempotency-Key, a request
    that is repeated because its answer was lost does not go back twice.
    """
    key = None
    if idempotency_key is not None:
        request_hash = idempotency.request_hash(
            request.url.path, content_type="", body_sha256=_EMPTY_SHA256, extra=str(expected)
        )
        key = Key(key=idempotency_key, request_hash=request_hash)

    def act(tx: Transaction) -> StoredResponse:
        before = _named(tx, tenant_id, name, alias)
        version = heads.roll_back(tx, tenant_id, name, alias, expected=expected)
        reference, after = f"{name}@{alias}", version.version
        audit.note(tx, actor, "alias.rolled_back", reference, before=before, after=after)
        body = HeadVersion.of(version).model_dump_json().encode()
        return StoredResponse(status_code=200, body=body)

    answer = idempotency.earlier(store, tenant_id, key) or idempotency.once(
        store, tenant_id, key, act
    )
    predictor.known.forget()
    headers = {REPLAYED_HEADER: "true"} if answer.is_replay else {}
    return Response(answer.response.body, 200, headers, media_type="application/json")


@router.get("/heads/{name}/compare", dependencies=[READ], responses=problems(404))
def compare_head_versions(
    name: HeadName,
    query: Annotated[CompareQuery, Query()],
    store: StoreDep,
    tenant_id: TenantDep,
) -> HeadComparison:
    """Compare two versions: metrics, config, classes, lineage, and a cautious verdict.

    It is paired, row by row, if both were trained on the same data and their jobs keep their rows.
    """
    with store.database.read() as tx:
        before = heads.resolve(tx, tenant_id, f"{name}@{query.from_}")
        after = heads.resolve(tx, tenant_id, f"{name}@{query.to}")
        revisions = datasets.revisions(tx, tenant_id, after.dataset_id, since=before.dataset_id)
    shared = SharedRows.of(before, after, revisions)
    pairing = pair(store, before, after, shared)
    return HeadComparison.of(comparison.compare(before, after, pairing, shared), revisions)


@router.delete(
    "/heads/{name}/versions/{version}",
    dependencies=[WRITE],
    status_code=204,
    responses=problems(404, 409),
)
def delete_head_version(
    name: HeadName,
    version: VersionNumber,
    store: StoreDep,
    predictor: PredictorDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    force: Force = False,
) -> None:
    """Delete a version, its row and its bytes; 409 while an alias points at it.

    Predictions with it end at once in this process, within a second in others. Its number is never
    used again. The job that made it, and the report, stay.
    """
    with store.database.begin() as tx:
        deleted = head_deletion.delete_version(tx, tenant_id, name, version, force=force)
        _note_deletion(tx, actor, name, deleted)
        _remove_bytes(store.artifacts, tenant_id, deleted)
    predictor.known.forget()
    logger.info("head.deleted name=%s versions=%s aliases=%s", name, version, deleted.aliases)


@router.delete("/heads/{name}", dependencies=[WRITE], status_code=204, responses=problems(404, 409))
def delete_head(
    name: HeadName,
    store: StoreDep,
    predictor: PredictorDep,
    tenant_id: TenantDep,
    actor: ActorDep,
    force: Force = False,
) -> None:
    """Delete all versions of a head, rows and bytes; 409 while it has aliases.

    Versions published under this name later go on with the numbering.
    """
    with store.database.begin() as tx:
        deleted = head_deletion.delete_head(tx, tenant_id, name, force=force)
        _note_deletion(tx, actor, name, deleted)
        _remove_bytes(store.artifacts, tenant_id, deleted)
    predictor.known.forget()
    logger.info(
        "head.deleted name=%s versions=%s aliases=%s",
        name,
        ",".join(map(str, deleted.versions)),
        deleted.aliases,
    )


def _named(tx: Transaction, tenant_id: str, name: str, alias: str) -> int | None:
    """The version that the alias names, its head locked, so that it stays so until it moves."""
    heads.lock(tx, tenant_id, name)
    return aliases.named(tx, tenant_id, name, alias)


def _note_deletion(tx: Transaction, actor: Actor, name: str, deleted: Deleted) -> None:
    for version in deleted.versions:
        audit.note(tx, actor, "head.deleted", f"{name}@{version}")
    for alias in deleted.aliases:
        audit.note(tx, actor, "alias.deleted", f"{name}@{alias}", forced=True)


def _remove_bytes(artifacts: Artifacts, tenant_id: str, deleted: Deleted) -> None:
    """Inside the deletion's transaction, so that no row can come to name them meanwhile."""
    for sha256 in deleted.unnamed:
        artifacts.delete(tenant_id, sha256, unless_put_after=deleted.unless_put_after)
