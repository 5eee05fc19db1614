"""Check, before a provider is used, that its key and its library are there."""

from pathlib import Path

from providers import catalogue, keys
from providers.base_url import parse_base_url
from providers.encoder import Encoder
from providers.errors import InvalidProvider, KeyMissing, NotInstalled
from providers.local import minilm
from providers.local.shelf import Shelf
from service.settings import ServiceSettings
from store.database.connection import Transaction
from store.embedding import local_encoders, provider_keys
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


def stored_place(sha256: str, *, tenant_id: str, store: Store) -> Path | None:
    """The archive of a local encoder of the tenant, if it is there."""
    return local_encoders.stored(store.artifacts, tenant_id, sha256)


def hold(tx: Transaction, tenant_id: str, encoder: Encoder, settings: ServiceSettings) -> None:
    """Keep a local encoder from being deleted before the transaction ends, whose rows then do so.

    Raises InvalidProvider if it was deleted meanwhile.
    """
    if encoder.sha256 is None or Shelf(settings.encoders_dir).find(encoder.model) is not None:
        return
    row = local_encoders.find(tx, tenant_id, encoder.model, hold=True)
    if row is None or row.sha256 != encoder.sha256:
        raise InvalidProvider(
            f"The encoder {encoder.model} was deleted just now. Add it again.", field="model"
        )


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
