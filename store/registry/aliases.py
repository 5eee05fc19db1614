"""Aliases: the version that each names, and the versions that it named before.

`heads` and `head_deletion` beside it call these functions with the head's row locked, so that the
aliases of a head move one after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, insert, select, update

from store.database import tables
from store.database.clock import latest, now
from store.database.connection import Transaction
from store.database.cursors import AnyRow
from store.errors import NotFound, NothingToRollBack, SharesDoNotFit
from store.webhooks.outbox import EventName, Happened

MAX_HISTORY: Final = 20
"""How many earlier versions an alias remembers; it forgets the oldest first."""

_versions = tables.head_versions.c
_aliases = tables.head_aliases.c


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What happened to a job's alias when the job published a version.

    version: the version that the alias names now, or None. previous_version: the one that it named
    before. reason: a sentence. command: the command that moves the alias, if it did not move.
    """

    name: str
    moved: bool
    version: int | None
    previous_version: int | None
    reason: str
    command: str | None

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Alias:
    """The version that an alias names, since when, and those that it named before, latest last.

    history: {"version", "set_at"} of each, `set_at` in ISO format; at most `MAX_HISTORY`.
    class_shares: what predictions by the alias are corrected to; None: nothing.
    """

    alias: str
    version: int
    set_at: datetime
    history: list[dict[str, Any]]
    class_shares: dict[str, float] | None = None


def of_head(tx: Transaction, tenant_id: str, name: str) -> list[Alias]:
    """The aliases of a head by name; none of a head that is not there."""
    rows = tx.execute(
        select(
            _aliases.alias,
            _aliases.version,
            _aliases.updated_at,
            _aliases.history,
            _aliases.class_shares,
        )
        .where(_aliases.tenant_id == tenant_id, _aliases.name == name)
        .order_by(_aliases.alias)
    )
    return [
        Alias(
            alias=row.alias,
            version=row.version,
            set_at=row.updated_at,
            history=row.history,
            class_shares=row.class_shares,
        )
        for row in rows
    ]


def follow(
    tx: Transaction,
    tenant_id: str,
    name: str,
    alias: str,
    number: int,
    *,
    advised_against_because: str | None = None,
) -> Outcome:
    """Move the alias to the version just published, unless the report advises against it.

    A new alias is made in any case: it serves nobody yet, so that nothing better is lost.
    """
    row = _row(tx, tenant_id, name, alias)
    if row is not None and not _fit(tx, tenant_id, name, row.class_shares, number):
        advised_against_because = (
            "its class shares need a version with known training rows of each of them"
        )
    if row is not None and row.version != number and advised_against_because is not None:
        return Outcome(
            name=alias,
            moved=False,
            version=row.version,
            previous_version=row.version,
            reason=f"{name}@{alias} did not move to version {number} and still names version "
            f"{row.version}: {advised_against_because}.",
            command=f"nmtune heads alias {name} {alias} {number}",
        )
    before = point(tx, tenant_id, name, alias, number)
    if before == number:
        reason = f"{name}@{alias} names version {number} already."
    elif before is not None:
        reason = f"{name}@{alias} moved from version {before} to version {number}."
    elif advised_against_because is None:
        reason = f"{name}@{alias} is new and names version {number}."
    else:
        reason = (
            f"{name}@{alias} is new, so it names version {number} although "
            f"{advised_against_because}."
        )
    return Outcome(
        name=alias,
        moved=True,
        version=number,
        previous_version=before,
        reason=reason,
        command=None,
    )


def point(tx: Transaction, tenant_id: str, name: str, alias: str, number: int) -> int | None:
    """Point the alias at this version; return the version that it named before, None if new.

    Pointing it where it already points changes nothing, so that a repeated request cannot push the
    version to roll back to out of the history. Raises SharesDoNotFit if the alias has class shares
    that predictions of the version cannot be corrected to.
    """
    row = _row(tx, tenant_id, name, alias)
    if row is None:
        key = {"tenant_id": tenant_id, "name": name, "alias": alias}
        tx.execute(
            insert(tables.head_aliases).values(version=number, history=[], updated_at=now(), **key)
        )
    elif row.version != number:
        _check_fit(tx, tenant_id, name, alias, row.class_shares, number)
        left = {"version": row.version, "set_at": row.updated_at.isoformat()}
        history = [*row.history, left][-MAX_HISTORY:]
        _move(tx, tenant_id, name, alias, number, history)
    return None if row is None else int(row.version)


def roll_back(
    tx: Transaction, tenant_id: str, name: str, alias: str, *, expected: int | None = None
) -> tuple[int, int]:
    """Point the alias at the version that it named before; return what it named, and that version.

    The alias forgets where it was, so a second rollback goes one step further back, past deleted
    versions. Raises NotFound, NothingToRollBack if no version is left or if the alias does not
    point at `expected` (somebody has moved it), and SharesDoNotFit as `point` does.
    """
    row = _row(tx, tenant_id, name, alias)
    if row is None:
        raise NotFound("alias", f"{name}@{alias}")
    if expected is not None and row.version != expected:
        raise NothingToRollBack(
            f"{name}@{alias} points at version {row.version}, not at {expected}: somebody has "
            "moved it. Check it, and repeat the request if you still want to roll back."
        )
    there = _existing(tx, tenant_id, name, [item["version"] for item in row.history])
    history: list[dict[str, Any]] = list(row.history)
    while history:
        number: int = history.pop()["version"]
        if number in there and number != row.version:
            _check_fit(tx, tenant_id, name, alias, row.class_shares, number)
            _move(tx, tenant_id, name, alias, number, history)
            return int(row.version), number
    raise NothingToRollBack(
        f"There is no earlier version to go back to: {name}@{alias} points at version "
        f"{row.version}, and every other version that it named is gone. Point it at a version "
        "instead."
    )


def set_class_shares(
    tx: Transaction,
    tenant_id: str,
    name: str,
    alias: str,
    class_shares: Mapping[str, float] | None,
) -> None:
    """Have predictions by the alias corrected to these class shares; None: not corrected."""
    tx.execute(
        update(tables.head_aliases)
        .where(_aliases.tenant_id == tenant_id, _aliases.name == name, _aliases.alias == alias)
        .values(class_shares=None if class_shares is None else dict(class_shares))
    )


def named(tx: Transaction, tenant_id: str, name: str, alias: str) -> int | None:
    """The version that the alias names, its row locked; None if there is no such alias."""
    row = _row(tx, tenant_id, name, alias)
    return None if row is None else int(row.version)


def of_versions(
    tx: Transaction, tenant_id: str, name: str, numbers: Sequence[int]
) -> dict[str, int]:
    """The aliases that point at one of these versions, each with its version."""
    rows = tx.execute(
        select(_aliases.alias, _aliases.version)
        .where(_aliases.tenant_id == tenant_id, _aliases.name == name)
        .where(_aliases.version.in_(numbers))
        .order_by(_aliases.alias)
    )
    return {row.alias: row.version for row in rows}


def remove(tx: Transaction, tenant_id: str, name: str, aliases: Sequence[str]) -> int:
    """Delete these aliases with their histories; return how many there were."""
    return tx.execute(
        delete(tables.head_aliases).where(
            _aliases.tenant_id == tenant_id, _aliases.name == name, _aliases.alias.in_(aliases)
        )
    ).rowcount


def moved(
    name: str, alias: str, before: int | None, after: int | None, *, rolled_back: bool = False
) -> Happened:
    """What webhooks tell of an alias that is new, moved or (after: None) removed."""
    data = {
        "head": name,
        "alias": alias,
        "from": before,
        "to": after,
        "rolled_back": rolled_back,
        "path": f"/heads/{name}",
    }
    return Happened(EventName.HEAD_ALIAS_MOVED, data)


def _row(tx: Transaction, tenant_id: str, name: str, alias: str) -> AnyRow | None:
    return tx.execute(
        select(_aliases.version, _aliases.history, _aliases.updated_at, _aliases.class_shares)
        .where(_aliases.tenant_id == tenant_id, _aliases.name == name, _aliases.alias == alias)
        .with_for_update()
    ).one_or_none()


def _move(
    tx: Transaction,
    tenant_id: str,
    name: str,
    alias: str,
    number: int,
    history: Sequence[dict[str, Any]],
) -> None:
    tx.execute(
        update(tables.head_aliases)
        .where(_aliases.tenant_id == tenant_id, _aliases.name == name, _aliases.alias == alias)
        .values(
            version=number, history=list(history), updated_at=latest(now(), _aliases.updated_at)
        )
    )


def _existing(tx: Transaction, tenant_id: str, name: str, numbers: Sequence[int]) -> set[int]:
    query = select(_versions.version).where(
        _versions.tenant_id == tenant_id, _versions.name == name, _versions.version.in_(numbers)
    )
    return set(tx.execute(query).scalars())


def _fit(
    tx: Transaction, tenant_id: str, name: str, shares: Mapping[str, float] | None, number: int
) -> bool:
    """Whether predictions of this version can be corrected to the shares, if there are any.

    They name its classes then, and it has learnt from known shares of each.
    """
    if shares is None:
        return True
    row = tx.execute(
        select(_versions.classes, _versions.lineage).where(
            _versions.tenant_id == tenant_id, _versions.name == name, _versions.version == number
        )
    ).one()
    trained = row.lineage.get("class_shares") or {}
    return set(row.classes) == set(shares) and all(trained.get(one) for one in shares)


def _check_fit(
    tx: Transaction,
    tenant_id: str,
    name: str,
    alias: str,
    shares: Mapping[str, float] | None,
    number: int,
) -> None:
    if not _fit(tx, tenant_id, name, shares, number):
        raise SharesDoNotFit(
            f"{name}@{alias} has class shares, which version {number} cannot be corrected to: it "
            "has other classes, or does not know its training rows of each, as versions of earlier "
            "releases do not. Point the alias at it with class_shares null to have none, or with "
            "others for other classes."
        )
