"""The home of the HTTP door's dealings with keys: finding one, and whether there is one at all."""

from providers import catalogue, keys
from providers.addresses import parse_base_url
from providers.encoder import Encoder
from providers.errors import KeyMissing
from service.settings import ServiceSettings
from store import encoders
from store.store import Store


def find_key(origin: str, *, tenant_id: str, store: Store, settings: ServiceSettings) -> str | None:
    """The tenant's stored key for an origin, else the operator's. Raises KeyMissing."""
    with store.database.read() as tx:
        sealed = encoders.find_key(tx, tenant_id, origin)
    stored = None
    if sealed is not None and settings.secret is not None:
        stored = keys.unseal(sealed, secret=settings.secret, tenant_id=tenant_id, origin=origin)
    return keys.choose(origin, stored=stored, environment=settings.keys_by_origin)


def check_key(encoder: Encoder, *, tenant_id: str, store: Store, settings: ServiceSettings) -> None:
    """Refuse at once what a worker could only fail for want of a key. Raises KeyMissing."""
    if encoder.base_url is None or not catalogue.ENTRIES[encoder.provider].needs_key:
        return
    origin = parse_base_url(encoder.base_url, settings.provider_hosts).origin
    if find_key(origin, tenant_id=tenant_id, store=store, settings=settings) is None:
        raise KeyMissing(
            f"There is no key for {origin}. Store one with PUT /provider-keys, or ask the operator "
            "to add it to NMTUNE_PROVIDER_KEYS."
        )
