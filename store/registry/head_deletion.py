"""Delete head versions: their rows, bytes that only they name, and aliases if forced."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, select

from store.cleanup import garbage
from store.database import tables
from store.database.conditions import has_status
from store.database.connection import Transaction
from store.errors import HeadInUse, NotFound
from store.registry import aliases, heads
from store.states import JobStatus
from store.webhooks import outbox
from store.webhooks.outbox import EventName, Happened

_versions = tables.head_versions.c
_jobs = tables.jobs.c

_ROW_FOLLOWS_WITHIN: Final = timedelta(minutes=15)
"""A running job puts bytes at most this long before a row names them."""


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """What a deletion removed, and the bytes to remove before its transaction ends."""

    versions: tuple[int, ...]
    aliases: tuple[str, ...]
    """The aliases that pointed at the versions; empty unless the deletion was forced."""
    unnamed: tuple[str, ...]
    """The sha256 of bytes that no row of the tenant names any longer."""
    unless_put_after: datetime
    """Leave younger bytes to the garbage collection: a running job may be about to name them."""


def delete_version(
    tx: Transaction, tenant_id: str, name: str, number: int, *, force: bool = False
) -> Deleted:
    """Delete one version; its number is never used again, and its job's row stays.

    Remove the `unnamed` bytes before this transaction ends. Raises NotFound, and HeadInUse while
    an alias points at the version; with `force` those aliases are deleted too.
    """
    heads.lock(tx, tenant_id, name)
    return _delete(tx, tenant_id, name, [number], missing=f"{name}@{number}", force=force)


def delete_head(tx: Transaction, tenant_id: str, name: str, *, force: bool = False) -> Deleted:
    """Delete all versions of a head; later versions of that name continue the count.

    As `delete_version`. Raises NotFound, HeadInUse.
    """
    heads.lock(tx, tenant_id, name)
    numbers = tx.execute(
        select(_versions.version)
        .where(_versions.tenant_id == tenant_id, _versions.name == name)
        .order_by(_versions.version)
    ).scalars()
    return _delete(tx, tenant_id, name, list(numbers), missing=name, force=force)


def _delete(
    tx: Transaction, tenant_id: str, name: str, numbers: list[int], *, missing: str, force: bool
) -> Deleted:
    which = (
        _versions.tenant_id == tenant_id,
        _versions.name == name,
        _versions.version.in_(numbers),
    )
    hashes = set(tx.execute(select(_versions.sha256).where(*which)).scalars())
    if not hashes:
        raise NotFound("head" if missing == name else "head version", missing)
    pointing = aliases.of_versions(tx, tenant_id, name, numbers)
    if pointing and not force:
        raise HeadInUse(_in_use(name, pointing))
    started_at = datetime.now(UTC)
    # Lock rows of other heads with the same bytes too: of two deletions at once, the second waits
    # and then sees that it was the last.
    tx.execute(
        select(_versions.version)
        .where(_versions.tenant_id == tenant_id, _versions.sha256.in_(hashes))
        .order_by(_versions.sha256, _versions.name, _versions.version)
        .with_for_update()
    ).all()
    aliases.remove(tx, tenant_id, name, list(pointing))
    tx.execute(delete(tables.head_versions).where(*which))
    told = {"head": name, "version": numbers[0] if len(numbers) == 1 else None}
    told |= {"n_versions": len(numbers), "path": f"/heads/{name}"}
    outbox.write(tx, tenant_id, Happened(EventName.HEAD_DELETED, told))
    # Before `named`: a job that ends in between is then seen by its row.
    is_training = tx.execute(
        select(_jobs.id).where(_jobs.tenant_id == tenant_id, has_status(JobStatus.RUNNING)).limit(1)
    ).one_or_none()
    named = garbage.named(tx, tenant_id)
    return Deleted(
        versions=tuple(numbers),
        aliases=tuple(pointing),
        unnamed=tuple(sorted(one for one in hashes if (tenant_id, one) not in named)),
        unless_put_after=started_at - _ROW_FOLLOWS_WITHIN if is_training else started_at,
    )


def _in_use(name: str, pointing: dict[str, int]) -> str:
    named = ", ".join(f"{name}@{alias} (version {number})" for alias, number in pointing.items())
    return (
        f"Aliases point at it: {named}. Move or delete them first, or delete with force=true, "
        "which deletes the aliases too."
    )
