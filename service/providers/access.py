"""Check, before a provider is used, that its key and its library are there."""

from providers import catalogue, keys
from providers.base_url import parse_base_url
from providers.encoder import Encoder
from providers.errors import KeyMissing, NotInstalled
from providers.local import minilm
from service.settings import ServiceSettings
from store.embedding import provider_keys
from store.store import Store


def find_key(origin: str, *, tenant_id: str, store: Store, settings: ServiceSettings) -> str | None:
    """The tenant's stored key for an origin, else the operator's. Raises KeyMissing."""
    with store.database.read() as tx:
        sealed = provider_keys.find(tx, tenant_id, origin)
    return keys.choose(sealed, tenant_id, origin, settings)


def local_provider_lacks() -> str | None:
    """What `local-minilm` lacks here, with what to do; None if it lacks nothing."""
    try:
        minilm.check_installed()
    except NotInstalled as error:
        return str(error)
    return None


def check(encoder: Encoder, *, tenant_id: str, store: Store, settings: ServiceSettings) -> None:
    """Refuse at once what a worker could only fail because a library or a key is missing.

    Raises NotInstalled, KeyMissing.
    """
    catalogue.check_installed(encoder)
    if encoder.base_url is None or not catalogue.ENTRIES[encoder.provider].needs_key:
        return
    origin = parse_base_url(encoder.base_url, settings.provider_hosts).origin
    if find_key(origin, tenant_id=tenant_id, store=store, settings=settings) is None:
        raise KeyMissing(keys.missing(origin, stores_keys=settings.secret_key is not None))
