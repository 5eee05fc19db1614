"""Routes of webhooks: make, list, change and delete one; rotate its secret."""

import logging
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Path

from outbound import webhook_secret
from outbound.errors import AddressForbidden, LookupFailed, OutboundError
from outbound.receiver_url import UrlNotAllowed, parse_receiver_url
from service.http.dependencies import ActorDep, SettingsDep, StoreDep, TenantDep
from service.http.errors import Problem
from service.http.json_body import JsonRoute
from service.http.openapi import BODY_STATUSES, problems
from service.http.scopes import ADMIN
from service.http.validation import ID_PATTERN
from service.settings import ServiceSettings
from service.webhooks.schemas import (
    NewWebhook,
    Webhook,
    WebhookPatch,
    Webhooks,
    WebhookWithSecret,
)
from store.access import audit
from store.webhooks import endpoints
from store.webhooks.endpoints import Disabled

logger = logging.getLogger(__name__)
router = APIRouter(tags=["webhooks"], route_class=JsonRoute, dependencies=[ADMIN])

WebhookId = Annotated[
    str,
    Path(
        pattern=ID_PATTERN,
        description="The webhook's id.",
        examples=["ep_31k8drzh5p2gk7m4t9x3wvq6ab"],
    ),
]


@router.post("/webhooks", status_code=201, responses=problems(403, 409, *BODY_STATUSES))
def create_webhook(
    body: NewWebhook,
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> WebhookWithSecret:
    """Tell a URL of events. The answer alone shows the secret that verifies the messages."""
    key = _key(settings)
    _check_url(body.url, settings)
    endpoint_id, secret = endpoints.new_endpoint_id(), webhook_secret.new_secret()
    sealed = webhook_secret.seal(secret, key=key, tenant_id=tenant_id, endpoint_id=endpoint_id)
    with store.database.begin() as tx:
        made = endpoints.add(
            *(tx, tenant_id, endpoint_id),
            url=body.url,
            events=body.events,
            description=body.description,
            sealed=sealed,
        )
        events = [str(one) for one in body.events]
        audit.note(tx, actor, "webhook.created", made.id, host=_host(body.url), events=events)
    logger.info("webhook.created endpoint_id=%s events=%s", made.id, ",".join(made.events))
    return WebhookWithSecret.showing(made, secret)


@router.get("/webhooks")
def list_webhooks(store: StoreDep, tenant_id: TenantDep) -> Webhooks:
    """List all webhooks, the oldest first."""
    with store.database.read() as tx:
        return Webhooks(items=[Webhook.of(one) for one in endpoints.of_tenant(tx, tenant_id)])


@router.get("/webhooks/{webhook_id}", responses=problems(404))
def get_webhook(webhook_id: WebhookId, store: StoreDep, tenant_id: TenantDep) -> Webhook:
    """Show a webhook and how it fares."""
    with store.database.read() as tx:
        return Webhook.of(endpoints.get(tx, tenant_id, webhook_id))


@router.patch("/webhooks/{webhook_id}", responses=problems(404, *BODY_STATUSES))
def change_webhook(
    webhook_id: WebhookId,
    body: WebhookPatch,
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> Webhook:
    """Change the URL, the events or the description; disable it, or enable it again."""
    given = body.model_dump(include=body.model_fields_set)
    enabled = given.pop("enabled", None)
    if "url" in given:
        _check_url(body.url, settings)
    with store.database.begin() as tx:
        changed = endpoints.change(tx, tenant_id, webhook_id, values=given)
        if enabled is not None:
            changed = (
                endpoints.enable(tx, tenant_id, webhook_id)
                if enabled
                else endpoints.disable(tx, tenant_id, webhook_id, Disabled.BY_HAND)
            )
        audit.note(
            tx,
            actor,
            "webhook.changed",
            webhook_id,
            fields=sorted(body.model_fields_set),
            host=_host(changed.url),
            enabled=enabled,
        )
    logger.info(
        "webhook.changed endpoint_id=%s fields=%s", webhook_id, sorted(body.model_fields_set)
    )
    return Webhook.of(changed)


@router.delete("/webhooks/{webhook_id}", status_code=204, responses=problems(404))
def delete_webhook(
    webhook_id: WebhookId, store: StoreDep, tenant_id: TenantDep, actor: ActorDep
) -> None:
    """Delete a webhook with its deliveries and their log."""
    with store.database.begin() as tx:
        endpoints.delete(tx, tenant_id, webhook_id)
        audit.note(tx, actor, "webhook.deleted", webhook_id)
    logger.info("webhook.deleted endpoint_id=%s", webhook_id)


@router.post("/webhooks/{webhook_id}/rotate", responses=problems(404, 409))
def rotate_webhook_secret(
    webhook_id: WebhookId,
    store: StoreDep,
    settings: SettingsDep,
    tenant_id: TenantDep,
    actor: ActorDep,
) -> WebhookWithSecret:
    """Make a new secret. For 24 hours messages are signed with the one before, too."""
    with store.database.read() as tx:
        endpoints.get(tx, tenant_id, webhook_id)
    secret = webhook_secret.new_secret()
    sealed = webhook_secret.seal(
        secret, key=_key(settings), tenant_id=tenant_id, endpoint_id=webhook_id
    )
    with store.database.begin() as tx:
        rotated = endpoints.rotate(tx, tenant_id, webhook_id, sealed=sealed)
        audit.note(tx, actor, "webhook.rotated", webhook_id)
    logger.info("webhook.rotated endpoint_id=%s", webhook_id)
    return WebhookWithSecret.showing(rotated, secret)


def _host(url: str) -> str:
    """All of a URL that the audit keeps: path and query may hold the receiver's secrets."""
    return urlsplit(url).hostname or ""


def _key(settings: ServiceSettings) -> bytes:
    """What seals secrets. Raises Problem."""
    if settings.secret is None:
        raise Problem(
            409,
            "secret_key_missing",
            "This server has no secret that encrypts the secrets of webhooks. Ask the operator to "
            "start API and workers with the same NMTUNE_SECRET_KEY=$(openssl rand -base64 32).",
        )
    return settings.secret


def _check_url(url: str, settings: ServiceSettings) -> None:
    """Refuse what could never be sent to, by its form and by where its name leads now.

    A name that cannot be looked up at this moment passes: each attempt looks again.
    """
    from outbound.sockets import GuardedBackend  # an HTTP client, which few processes need

    allowed = settings.webhook_hosts
    try:
        there = parse_receiver_url(url, allowed)
        GuardedBackend(allowed).check(there.host, there.port)
    except UrlNotAllowed as error:
        raise _refused(str(error)) from error
    except LookupFailed:
        return
    except AddressForbidden as error:
        raise _refused(
            f"url leads into a private network, which messages must not reach. The operator can "
            f"allow it by adding {error.host}:{error.port} to NMTUNE_WEBHOOK_ALLOW_HOSTS."
        ) from error
    except OutboundError as error:
        raise _refused(f"There is no host {error.host}. Is url spelled correctly?") from error


def _refused(detail: str) -> Problem:
    return Problem(422, "url_not_allowed", f"No messages can go there: {detail}", field="url")
