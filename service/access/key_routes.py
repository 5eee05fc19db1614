"""Routes of keys: make, list, show, rotate and revoke them. They never leave the tenant."""

import logging
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response

from service.access.dependencies import AccessDep
from service.access.schemas import Key, KeyCreate, KeyPage, KeyQuery, KeyRotate, MadeKey
from service.http.dependencies import ActorDep, IdentityDep, StoreDep, TenantDep
from service.http.identity import Identity
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import ADMIN
from service.http.validation import ID_PATTERN
from store.access import audit, keys

logger = logging.getLogger(__name__)
router = APIRouter(tags=["keys"], route_class=JsonRoute, dependencies=[ADMIN])

KeyId = Annotated[
    str,
    Path(
        pattern=ID_PATTERN,
        description="The key's id, which is not the key.",
        examples=["key_01k9z6v3t2n8m4q7r5s1w0x9y8"],
    ),
]
Force = Annotated[
    bool, Query(description="Revoke it even if nobody could make keys afterwards.", examples=[True])
]

_NO_STORE: Final = "no-store"


@router.post("/keys", status_code=201, responses=problems(*BODY_STATUSES))
def create_key(
    body: KeyCreate, response: Response, store: StoreDep, identity: IdentityDep, actor: ActorDep
) -> MadeKey:
    """Make a key. The answer shows it, and no later one does.

    There is no Idempotency-Key: an answer that is kept to be repeated would keep the key too.
    """
    with store.database.begin() as tx:
        made = keys.create(
            tx,
            identity.tenant_id,
            name=body.name,
            scopes=body.scopes,
            heads=body.heads,
            keep_seconds=body.keep_seconds,
            created_by=_by(identity),
        )
        audit.note(tx, actor, "key.made", made.key.id, name=body.name, scopes=list(body.scopes))
    logger.info("key.created key_id=%s by=%s", made.key.id, _by(identity))
    response.headers["Cache-Control"] = _NO_STORE
    return MadeKey.made(made)


@router.get("/keys")
def list_keys(
    query: Annotated[KeyQuery, Query()], store: StoreDep, tenant_id: TenantDep
) -> KeyPage:
    """List keys, newest first, expired and revoked ones too."""
    with store.database.read() as tx:
        page = keys.page(tx, tenant_id, cursor=query.cursor, limit=query.limit)
    return KeyPage(items=[Key.of(key) for key in page.items], next_cursor=page.next_cursor)


@router.get("/keys/{key_id}", responses=problems(404))
def get_key(key_id: KeyId, store: StoreDep, tenant_id: TenantDep) -> Key:
    """Show what is known of a key."""
    with store.database.read() as tx:
        return Key.of(keys.get(tx, tenant_id, key_id))


@router.post("/keys/{key_id}/rotate", status_code=201, responses=problems(404, 409, *BODY_STATUSES))
def rotate_key(
    key_id: KeyId,
    response: Response,
    store: StoreDep,
    identity: IdentityDep,
    actor: ActorDep,
    access: AccessDep,
    body: KeyRotate,
) -> MadeKey:
    """Make a key with the same rights, and end the old one after an overlap."""
    with store.database.begin() as tx:
        made = keys.rotate(
            tx,
            identity.tenant_id,
            key_id,
            overlap_seconds=body.overlap_seconds,
            created_by=_by(identity),
        )
        overlap = body.overlap_seconds
        audit.note(
            tx, actor, "key.rotated", key_id, successor_id=made.key.id, overlap_seconds=overlap
        )
    access.known_keys.forget()
    logger.info("key.rotated key_id=%s to=%s by=%s", key_id, made.key.id, _by(identity))
    response.headers["Cache-Control"] = _NO_STORE
    return MadeKey.made(made)


@router.delete("/keys/{key_id}", responses=problems(404, 409))
def revoke_key(
    key_id: KeyId,
    store: StoreDep,
    identity: IdentityDep,
    actor: ActorDep,
    access: AccessDep,
    force: Force = False,
) -> Key:
    """Revoke a key: at once in this process, and within a second in others."""
    with store.database.begin() as tx:
        before = keys.get(tx, identity.tenant_id, key_id)
        key = keys.revoke(tx, identity.tenant_id, key_id, force=force)
        audit.note(
            tx,
            actor,
            "key.revoked",
            key_id,
            outcome=audit.UNCHANGED if key == before else audit.DONE,
            name=key.name,
            forced=force,
        )
    access.known_keys.forget()
    logger.info("key.revoked key_id=%s by=%s", key_id, _by(identity))
    return Key.of(key)


def _by(identity: Identity) -> str:
    return identity.actor
