"""Tenants: the owners of all rows. Only the operator's commands make them."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, insert, select, update
from sqlalchemy.exc import IntegrityError

from store.access import limits
from store.database import tables
from store.database.clock import now
from store.database.connection import Transaction
from store.database.cursors import AnyRow
from store.errors import Conflict, NotFound, TenantNotNamed
from store.names import check_name

_tenants = tables.tenants.c
_ANYWHERE: Final = 2**30


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """An owner; while it is disabled nobody acts for it."""

    tenant_id: str
    created_at: datetime
    disabled_at: datetime | None
    limits: dict[str, Any]
    """Its own limits, by the names of `Limits`; null: none. What is not here the settings say."""


def create(tx: Transaction, tenant_id: str) -> Tenant:
    """Add a tenant. Raises InvalidName, and Conflict if it exists."""
    check_name("tenant", tenant_id)
    try:
        with tx.begin_nested():
            tx.execute(
                insert(tables.tenants).values(
                    tenant_id=tenant_id,
                    created_at=now(),
                    # Not where a deleted tenant of this name stood: a process that remembers a key
                    # of that one would take it for good.
                    key_changes=secrets.randbelow(_ANYWHERE),
                )
            )
    except IntegrityError as error:
        raise Conflict(f"There is a tenant {tenant_id!r} already.") from error
    return get(tx, tenant_id)


def get(tx: Transaction, tenant_id: str) -> Tenant:
    """The tenant. Raises NotFound."""
    row = tx.execute(_select().where(_tenants.tenant_id == tenant_id)).one_or_none()
    if row is None:
        raise NotFound("tenant", tenant_id)
    return _record(row)


def everyone(tx: Transaction) -> list[Tenant]:
    """All tenants by name, for the operator. Crosses tenants by nature."""
    return [_record(row) for row in tx.execute(_select().order_by(_tenants.tenant_id))]


def sole(tx: Transaction) -> Tenant:
    """The one tenant that there is. Raises TenantNotNamed if there are several."""
    found = everyone(tx)
    if len(found) != 1:
        names = ", ".join(one.tenant_id for one in found[:10])
        raise TenantNotNamed(f"There are {len(found)} tenants: say which with --tenant ({names}).")
    return found[0]


def is_there(tx: Transaction, tenant_id: str) -> bool:
    """Whether the tenant exists, which it then does until this transaction ends.

    For what is written beside requests: it may come after the tenant's deletion.
    """
    mine = select(_tenants.tenant_id).where(_tenants.tenant_id == tenant_id)
    held = mine.with_for_update(read=True, key_share=True)
    return tx.execute(held).one_or_none() is not None


def named_or_sole(tx: Transaction, named: str | None) -> str:
    """The name of the tenant that was named, or of the only one.

    Raises NotFound, and TenantNotNamed if there are several and none was named.
    """
    return (get(tx, named) if named is not None else sole(tx)).tenant_id


def set_disabled(tx: Transaction, tenant_id: str, *, disabled: bool) -> Tenant:
    """Shut a tenant out, or let it in again; nothing of it is deleted. Raises NotFound."""
    note_key_change(tx, tenant_id)
    # A tenant that is disabled already stays so since then.
    changed = update(tables.tenants).where(
        _tenants.tenant_id == tenant_id, _tenants.disabled_at.is_(None) == disabled
    )
    tx.execute(changed.values(disabled_at=now() if disabled else None))
    return get(tx, tenant_id)


def set_limits(
    tx: Transaction, tenant_id: str, changes: Mapping[str, float | None], *, forget: Iterable[str]
) -> Tenant:
    """Give a tenant limits of its own (None: none), and let the settings decide about `forget`.

    Raises InvalidLimit, NotFound.
    """
    mine = select(_tenants.limits).where(_tenants.tenant_id == tenant_id)
    row = tx.execute(mine.with_for_update(key_share=True)).one_or_none()
    if row is None:
        raise NotFound("tenant", tenant_id)
    checked = {name: limits.check(name, value) for name, value in changes.items()}
    for name in forget:
        limits.check(name, None)
    kept = {**(row.limits or {}), **checked}
    for name in forget:
        kept.pop(name, None)
    changed = update(tables.tenants).where(_tenants.tenant_id == tenant_id)
    tx.execute(changed.values(limits=kept or None))
    return get(tx, tenant_id)


def limits_of(tx: Transaction, tenant_ids: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
    """The limits of their own of these tenants, by name; only of those that have some."""
    query = select(_tenants.tenant_id, _tenants.limits).where(
        _tenants.tenant_id.in_(list(tenant_ids)), _tenants.limits.is_not(None)
    )
    return {row.tenant_id: row.limits for row in tx.execute(query)}


def note_key_change(tx: Transaction, tenant_id: str) -> None:
    """Count a change that takes something from a key, and hold the tenant's row until the end.

    So two such changes at a time come one after the other. Raises NotFound.
    """
    mine = update(tables.tenants).where(_tenants.tenant_id == tenant_id)
    if not tx.execute(mine.values(key_changes=_tenants.key_changes + 1)).rowcount:
        raise NotFound("tenant", tenant_id)


def key_changes(tx: Transaction) -> tuple[Mapping[str, int], datetime]:
    """How many changes each tenant's keys have had, and the time by the database's clock."""
    rows = tx.execute(select(_tenants.tenant_id, _tenants.key_changes, now().label("at"))).all()
    if not rows:  # a database without tenants has no keys either
        return {}, tx.execute(select(now())).scalar_one()
    return {row.tenant_id: row.key_changes for row in rows}, rows[0].at


def _select() -> Select[Any]:
    return select(_tenants.tenant_id, _tenants.created_at, _tenants.disabled_at, _tenants.limits)


def _record(row: AnyRow) -> Tenant:
    return Tenant(
        tenant_id=row.tenant_id,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        limits=dict(row.limits or {}),
    )
