"""Make keys in a store as the doors do, each in its own transaction; move a key's times."""

from datetime import timedelta
from typing import Any

from sqlalchemy import update

from store.access import keys
from store.access.keys import ApiKey, NewKey
from store.database import tables
from store.store import Store


def make_key(store: Store, tenant_id: str = "default", **changes: Any) -> NewKey:
    """A new key, an admin's unless `changes` says otherwise."""
    values = {"name": "ci", "scopes": ["admin"], "created_by": "operator"} | changes
    with store.database.begin() as tx:
        return keys.create(tx, tenant_id, **values)


def read_key(store: Store, key: ApiKey) -> ApiKey:
    with store.database.read() as tx:
        return keys.get(tx, key.tenant_id, key.id)


def age_key(store: Store, key: ApiKey, seconds: float) -> None:
    """Let time pass for a key: what it notes of times lies so many seconds further back."""
    by = timedelta(seconds=seconds)
    key = read_key(store, key)
    values = {
        name: moment - by
        for name in ("created_at", "expires_at", "revoked_at", "last_used_at")
        if (moment := getattr(key, name)) is not None
    }
    with store.database.begin() as tx:
        tx.execute(update(tables.api_keys).where(tables.api_keys.c.id == key.id).values(**values))
