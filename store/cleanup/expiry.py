"""Expiry: remove datasets and uploads whose time is over; tell of keys whose time soon is."""

import logging
from dataclasses import dataclass
from typing import Final

from store import datasets, uploads
from store.access import audit, keys
from store.access.audit import Actor
from store.errors import DatasetInUse, NotFound
from store.store import Store
from store.webhooks import outbox
from store.webhooks.outbox import EventName, Happened

log = logging.getLogger(__name__)

_SWEEP: Final = "sweep"
"""Who removes, in the audit."""
_DATASETS_AT_ONCE: Final = 100
_KEYS_AT_ONCE: Final = 100
_UPLOADS_AT_ONCE: Final = 10
"""Fewer, because each has hundreds of parts and the sweep must look after leases too."""


@dataclass(frozen=True, kw_only=True)
class Removed:
    """The ids of what a call removed."""

    datasets: tuple[str, ...] = ()
    uploads: tuple[str, ...] = ()


def remove_expired(store: Store, *, limit: int = _DATASETS_AT_ONCE) -> Removed:
    """Remove up to `limit` expired datasets and a few uploads, of all tenants, rows and bytes.

    A dataset that a queued or running job needs stays until the job has ended. Safe in any number
    of processes. Raises DatabaseUnavailable, StorageUnavailable; the next call removes the rest.
    """
    with store.database.read() as tx:
        old_datasets = datasets.expired(tx, limit=limit)
        old_uploads = uploads.expired(tx, limit=min(limit, _UPLOADS_AT_ONCE))
    removed = Removed(
        datasets=tuple(one for tenant, one in old_datasets if _end_dataset(store, tenant, one)),
        uploads=tuple(one for tenant, one in old_uploads if _end_upload(store, tenant, one)),
    )
    if removed != Removed():
        log.info("expiry.removed %s", removed)
    return removed


def tell_of_expiring_keys(store: Store) -> int:
    """Tell webhooks of each key that ends within a week, once; return how many.

    Safe in any number of processes: of two that find a key, one writes.
    """
    with store.database.read() as tx:
        found = keys.expiring(tx, limit=_KEYS_AT_ONCE)
    return sum(_tell_of_key(store, tenant_id, key_id) for tenant_id, key_id in found)


def _tell_of_key(store: Store, tenant_id: str, key_id: str) -> bool:
    with store.database.begin() as tx:
        key = keys.note_expiry_told(tx, tenant_id, key_id)
        if key is None or key.expires_at is None:
            return False
        ends = key.expires_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        data = {"key_id": key.id, "name": key.name, "expires_at": ends, "path": f"/keys/{key.id}"}
        outbox.write(tx, tenant_id, Happened(EventName.KEY_EXPIRING, data))
    return True


def remove_upload(
    store: Store, actor: Actor, upload_id: str, *, only_expired: bool = False
) -> None:
    """Remove an upload, its row and then its bytes, which nothing else names. Raises NotFound."""
    tenant_id = actor.tenant_id
    with store.database.begin() as tx:
        hashes = uploads.remove(tx, tenant_id, upload_id, only_expired=only_expired)
        audit.note(tx, actor, "upload.expired" if only_expired else "upload.deleted", upload_id)
    for sha256 in hashes:  # if this process dies here, the garbage collection does the rest
        store.artifacts.delete(tenant_id, sha256)


def _end_dataset(store: Store, tenant_id: str, dataset_id: str) -> bool:
    try:
        with store.database.begin() as tx:
            sha256 = datasets.delete(tx, tenant_id, dataset_id, only_expired=True)
            audit.note(tx, audit.worker(tenant_id, _SWEEP), "dataset.expired", dataset_id)
            if sha256 is not None:
                # Inside the transaction; `datasets.delete` says why.
                store.artifacts.delete(tenant_id, sha256)
    except (NotFound, DatasetInUse):
        return False  # removed by another process, prolonged, or taken by a job just now
    return True


def _end_upload(store: Store, tenant_id: str, upload_id: str) -> bool:
    try:
        actor = audit.worker(tenant_id, _SWEEP)
        remove_upload(store, actor, upload_id, only_expired=True)
    except NotFound:
        return False
    return True
