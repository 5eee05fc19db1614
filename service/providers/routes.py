"""Routes of provider keys: store one, list the origins that have one, delete one."""

import logging
from typing import Annotated

from fastapi import APIRouter, Query

from providers import keys
from service.http.dependencies import ActorDep, SettingsDep, StoreDep, TenantDep
from service.http.errors import Problem
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import ADMIN
from service.providers.schemas import KnownKey, KnownKeys, ProviderKey
from service.settings import ServiceSettings
from store.access import audit
from store.embedding import provider_keys

logger = logging.getLogger(__name__)
router = APIRouter(tags=["providers"], route_class=JsonRoute, dependencies=[ADMIN])

Origin = Annotated[
    str,
    Query(
        max_length=300,
        description="The origin, https://host, or the name of a provider.",
        examples=["https://api.openai.com"],
    ),
]


@router.put("/provider-keys", status_code=204, responses=problems(409, *BODY_STATUSES))
def put_provider_key(
    body: ProviderKey,
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> None:
    """Store a key for an origin, replacing an earlier one; it overrides the operator's."""
    origin = _origin(body.origin, settings)
    if settings.secret is None:
        raise Problem(
            409,
            "keys_not_taken",
            f"This server stores no keys yet. {keys.ways_to_give(body.origin, stores_keys=False)}",
        )
    try:
        key = keys.check_key(body.key)
    except ValueError as error:
        raise Problem(422, "invalid_request", f"key: {error}.", field="key") from error
    sealed = keys.seal(key, secret=settings.secret, tenant_id=tenant_id, origin=origin)
    with store.database.begin() as tx:
        provider_keys.put(tx, tenant_id, origin, sealed)
        audit.note(tx, actor, "provider_key.stored", origin)
    logger.info("provider_key.stored origin=%s", origin)


@router.get("/provider-keys")
def list_provider_keys(store: StoreDep, tenant_id: TenantDep) -> KnownKeys:
    """List the origins for which keys are stored; the keys themselves are never shown."""
    with store.database.read() as tx:
        found = provider_keys.origins(tx, tenant_id)
    return KnownKeys(items=[KnownKey(origin=origin, created_at=at) for origin, at in found])


@router.delete("/provider-keys", status_code=204, responses=problems(404))
def delete_provider_key(
    origin: Origin,
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> None:
    """Delete the key of an origin."""
    whose = _origin(origin, settings)
    with store.database.begin() as tx:
        provider_keys.delete(tx, tenant_id, whose)
        audit.note(tx, actor, "provider_key.deleted", whose)


def _origin(name: str, settings: ServiceSettings) -> str:
    try:
        return keys.origin_of(name, settings.provider_hosts)
    except ValueError as error:
        raise Problem(422, "invalid_request", f"origin: {error}", field="origin") from error
