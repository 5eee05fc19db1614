"""Home of the deletion of head versions: their rows, their bytes' last names, forced aliases."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, select

from store import aliases, garbage, heads
from store.database import tables
from store.database.connection import Transaction
from store.database.tables import has_status
from store.errors import HeadInUse, NotFound
from store.states import JobStatus

_versions = tables.head_versions.c
_jobs = tables.jobs.c

_ROW_FOLLOWS_WITHIN: Final = timedelta(minutes=15)
"""A running job's bytes are named by a row this long after they were put, at the latest."""


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """What a deletion took away, and which bytes are to go before its transaction ends."""

    versions: tuple[int, ...]
    aliases: tuple[str, ...]
    """Those that pointed at the versions: there are some only if the deletion was forced."""
    unnamed: tuple[str, ...]
    """The sha256 of bytes that no row of the tenant names any more."""
    unless_put_after: datetime
    """Younger bytes are the garbage collection's: a running job may have put them just now, and
    be about to name them."""


def delete_version(
    tx: Transaction, tenant_id: str, name: str, number: int, *, force: bool = False
) -> Deleted:
    """Delete one version; its number is not given again, and its job's row stays as it is.

    Remove the `unnamed` bytes before this transaction ends. Raises NotFound, and HeadInUse while
    an alias points at the version, unless `force`: the aliases then go too.
    """
    heads.lock(tx, tenant_id, name)
    return _delete(tx, tenant_id, name, [number], missing=f"{name}@{number}", force=force)


def delete_head(tx: Transaction, tenant_id: str, name: str, *, force: bool = False) -> Deleted:
    """Delete all versions of a head; later ones under its name go on counting.

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
    # The rows of other heads with the same bytes too: of two deletions at once, the second waits
    # and then sees that it was the last.
    tx.execute(
        select(_versions.version)
        .where(_versions.tenant_id == tenant_id, _versions.sha256.in_(hashes))
        .order_by(_versions.sha256, _versions.name, _versions.version)
        .with_for_update()
    ).all()
    aliases.remove(tx, tenant_id, name, list(pointing))
    tx.execute(delete(tables.head_versions).where(*which))
    # Asked for before what is named: a job that ends in between is then seen by its row.
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
        f"Aliases point at it: {named}. Point them elsewhere or delete them first, or delete with "
        "force=true, which takes the aliases too."
    )
