"""The head registry: versions of a head under its name, and movable aliases."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, exists, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from store.database import cursors, tables
from store.database.clock import UtcDateTime, latest, now
from store.database.connection import Transaction
from store.database.cursors import AnyRow, Page
from store.errors import Conflict, InvalidReference, NotFound
from store.names import check_alias, check_name, is_name
from store.registry import aliases
from store.registry.head_to_publish import NewHeadVersion as NewHeadVersion
from store.webhooks import outbox
from store.webhooks.outbox import EventName, Happened

_heads = tables.heads.c
_versions = tables.head_versions.c
_aliases = tables.head_aliases.c
_datasets = tables.datasets.c
_jobs = tables.jobs.c

_ALIAS_FIELDS: Final = ("alias", "advised_against_because")


@dataclass(frozen=True, kw_only=True)
class Published:
    """A version just published, and the outcome of its alias."""

    version: "HeadVersion"
    alias: aliases.Outcome | None


@dataclass(frozen=True, kw_only=True)
class HeadVersion:
    """One immutable version of a head."""

    tenant_id: str
    name: str
    version: int
    job_id: str
    dataset_id: str
    sha256: str
    size_bytes: int
    method: str
    n_columns: int
    classes: list[str]
    n_parameters: int
    config: dict[str, Any]
    metrics: dict[str, Any]
    encoder: dict[str, Any] | None
    """The encoder of the embeddings that it learnt from, if known."""
    dataset_sha256: str | None
    """The hash of its training data; it outlives the dataset."""
    lineage: dict[str, Any]
    adapted_from: int | None = None
    """The version of this head that it was adapted from, if it was; that may be deleted since."""
    migrated_from: int | None = None  # the same of one that it replaces with another encoder
    class_shares: dict[str, float] | None = None
    """Of a version found by an alias: the class shares that the alias has predictions corrected to.
    """
    description: str | None = None
    """Notes of its owner, like `tags`."""
    tags: dict[str, str] = field(default_factory=dict)
    created_at: datetime
    aliases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Head:
    """A head's name with its versions, newest first."""

    tenant_id: str
    name: str
    latest_version: int
    aliases: dict[str, int]
    versions: list[HeadVersion]
    created_at: datetime


def publish(
    tx: Transaction,
    tenant_id: str,
    *,
    job_id: str,
    dataset_id: str,
    new: NewHeadVersion,
    not_before: datetime | None = None,
) -> Published:
    """Add the next version under `new.name`, and point `new.alias` at it as `aliases.follow` does.

    Its `created_at` is not before `not_before`, whatever the database's clock says.

    Raises InvalidName, and Conflict if this candidate of the job is published already.
    """
    check_name("head", new.name)
    if new.adapted_from is None and of_candidate(tx, tenant_id, job_id, new.method) is not None:
        raise Conflict(f"Job {job_id} has already published {new.method}.")
    number = _next_version(tx, tenant_id, new.name)
    values = {
        one.name: getattr(new, one.name) for one in fields(new) if one.name not in _ALIAS_FIELDS
    }
    values |= {
        "classes": list(new.classes),
        "config": dict(new.config),
        "metrics": dict(new.metrics),
        "encoder": None if new.encoder is None else dict(new.encoder),
        "lineage": dict(new.lineage),
    }
    data = select(_datasets.sha256).where(
        _datasets.tenant_id == tenant_id, _datasets.id == dataset_id
    )
    tx.execute(
        insert(tables.head_versions).values(
            tenant_id=tenant_id,
            version=number,
            job_id=job_id,
            dataset_id=dataset_id,
            dataset_sha256=data.scalar_subquery(),
            description=select(_jobs.description).where(_jobs.id == job_id).scalar_subquery(),
            tags=select(_jobs.tags).where(_jobs.id == job_id).scalar_subquery(),
            created_at=now() if not_before is None else latest(now(), _moment(not_before)),
            **values,
        )
    )
    outcome = None
    if new.alias is not None:
        check_alias(new.alias)
        outcome = aliases.follow(  # `_next_version` has locked the head's row
            tx,
            tenant_id,
            new.name,
            new.alias,
            number,
            advised_against_because=new.advised_against_because,
        )
    published_at = f"/heads/{new.name}/versions/{number}"
    ids = {"head": new.name, "version": number, "job_id": job_id, "path": published_at}
    told = [Happened(EventName.HEAD_PUBLISHED, ids)]
    if outcome is not None and outcome.moved:
        told.append(aliases.moved(new.name, outcome.name, outcome.previous_version, number))
    outbox.write(tx, tenant_id, *told)
    return Published(version=version(tx, tenant_id, new.name, number), alias=outcome)


def exist(tx: Transaction) -> bool:
    """Whether there is any head version. Crosses tenants by nature: one process serves them all."""
    return tx.execute(select(_versions.version).limit(1)).first() is not None


def _moment(value: datetime) -> ColumnElement[datetime]:
    return literal(value, UtcDateTime)


def get(tx: Transaction, tenant_id: str, name: str) -> Head:
    """The head with all its versions. Raises NotFound."""
    row = tx.execute(_select_heads(tenant_id).where(_heads.name == name)).one_or_none()
    if row is None:
        raise NotFound("head", name)
    return _with_versions(tx, tenant_id, [row])[0]


def page(
    tx: Transaction, tenant_id: str, *, cursor: str | None = None, limit: int = 50
) -> Page[Head]:
    """The tenant's heads, newest name first, each with its versions. Raises InvalidCursor."""
    query = cursors.paged(
        _select_heads(tenant_id),
        _heads.created_at,
        _heads.name,
        kind="heads",
        cursor=cursor,
        limit=limit,
    )
    rows = tx.execute(query).all()
    found = {head.name: head for head in _with_versions(tx, tenant_id, rows[:limit])}
    return cursors.page_of(
        rows,
        lambda row: found[row.name],
        kind="heads",
        limit=limit,
        position=lambda head: (head.created_at, head.name),
    )


def version(tx: Transaction, tenant_id: str, name: str, number: int) -> HeadVersion:
    """One version. Raises NotFound."""
    row = tx.execute(
        _select_versions(_versions.tenant_id == tenant_id, _versions.name == name).where(
            _versions.version == number
        )
    ).one_or_none()
    if row is None:
        raise NotFound("head version", f"{name}@{number}")
    return _version_of(row)


def of_candidate(
    tx: Transaction, tenant_id: str, job_id: str, candidate: str
) -> HeadVersion | None:
    """The version that the candidate of a job was published as; None if there is none now."""
    of_job = (
        _versions.tenant_id == tenant_id,
        _versions.job_id == job_id,
        _versions.adapted_from.is_(None),
    )
    row = tx.execute(_select_versions(*of_job).where(_versions.method == candidate)).one_or_none()
    return None if row is None else _version_of(row)


def resolve(tx: Transaction, tenant_id: str, reference: str) -> HeadVersion:
    """The version that `pets` or `pets@latest`, `pets@3` or `pets@prod` means now.

    One query, because each prediction may need it. Raises InvalidReference, NotFound.
    """
    name, separator, label = reference.partition("@")
    if not is_name(name) or (separator and not is_name(label)):
        raise InvalidReference(
            f"{reference[:140]!r} is not a head reference: write name, name@version, name@alias or "
            "name@latest."
        )
    query = _select_versions(_versions.tenant_id == tenant_id, _versions.name == name)
    if label in {"", "latest"}:
        query = query.order_by(_versions.version.desc()).limit(1)
    elif re.fullmatch(r"[0-9]{1,9}", label):
        query = query.where(_versions.version == int(label))
    else:
        of_name = (_aliases.tenant_id == tenant_id, _aliases.name == name)
        of_alias = (*of_name, _aliases.alias == label)
        shares = select(_aliases.class_shares).where(*of_alias).scalar_subquery()
        query = query.add_columns(shares.label("class_shares")).where(
            _versions.version == select(_aliases.version).where(*of_alias).scalar_subquery()
        )
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound("head" if label in {"", "latest"} else "head version", reference)
    return _version_of(row)


def annotate(
    tx: Transaction, tenant_id: str, name: str, number: int, *, notes: Mapping[str, object]
) -> HeadVersion:
    """Set the `description` or `tags` of a version. Raises NotFound."""
    if notes:
        of_version = (
            _versions.tenant_id == tenant_id,
            _versions.name == name,
            _versions.version == number,
        )
        tx.execute(update(tables.head_versions).where(*of_version).values(**notes))
    return version(tx, tenant_id, name, number)


def set_alias(
    tx: Transaction,
    tenant_id: str,
    name: str,
    alias: str,
    number: int,
    *,
    class_shares: Mapping[str, float] | None = None,
    keeps_shares: bool = True,
) -> HeadVersion:
    """Point `alias` at a version, moving it if it exists.

    class_shares: what predictions by the alias are corrected to; None: nothing, or, if it
    `keeps_shares`, what they were. Raises NotFound, InvalidName, and SharesDoNotFit if shares that
    are kept do not fit the version.
    """
    check_alias(alias)
    lock(tx, tenant_id, name)
    version(tx, tenant_id, name, number)
    if not keeps_shares:
        aliases.set_class_shares(tx, tenant_id, name, alias, None)  # they need not fit
    before = aliases.point(tx, tenant_id, name, alias, number)
    if class_shares is not None:
        aliases.set_class_shares(tx, tenant_id, name, alias, class_shares)
    if before != number:
        outbox.write(tx, tenant_id, aliases.moved(name, alias, before, number))
    return version(tx, tenant_id, name, number)


def roll_back(
    tx: Transaction, tenant_id: str, name: str, alias: str, *, expected: int | None = None
) -> HeadVersion:
    """Point `alias` at the version that it named before. Raises as `aliases.roll_back` does."""
    lock(tx, tenant_id, name)
    before, number = aliases.roll_back(tx, tenant_id, name, alias, expected=expected)
    outbox.write(tx, tenant_id, aliases.moved(name, alias, before, number, rolled_back=True))
    return version(tx, tenant_id, name, number)


def delete_alias(tx: Transaction, tenant_id: str, name: str, alias: str) -> None:
    """Delete the alias; its version stays. Raises NotFound."""
    lock(tx, tenant_id, name)
    before = aliases.named(tx, tenant_id, name, alias)
    if before is None:
        raise NotFound("alias", f"{name}@{alias}")
    aliases.remove(tx, tenant_id, name, [alias])
    outbox.write(tx, tenant_id, aliases.moved(name, alias, before, None))


def aliased(tx: Transaction) -> list[tuple[str, HeadVersion]]:
    """(reference, version) of all aliases, such as `pets@prod`.

    Crosses tenants by nature: a process that starts checks the heads of all tenants.
    """
    is_named = and_(
        _aliases.tenant_id == _versions.tenant_id,
        _aliases.name == _versions.name,
        _aliases.version == _versions.version,
    )
    versions = map(_version_of, tx.execute(_select_versions(exists().where(is_named))).all())
    return [(f"{one.name}@{alias}", one) for one in versions for alias in one.aliases]


def lock(tx: Transaction, tenant_id: str, name: str) -> None:
    """Keep other transactions from changing this head's versions or aliases until this one ends.

    Readers, such as predictions, never wait for it.
    """
    row = select(_heads.name).where(_heads.tenant_id == tenant_id, _heads.name == name)
    tx.execute(row.with_for_update()).one_or_none()


def _next_version(tx: Transaction, tenant_id: str, name: str) -> int:
    """Count up the head's versions; the row's lock makes concurrent jobs wait in line."""
    count_up = (
        update(tables.heads)
        .where(_heads.tenant_id == tenant_id, _heads.name == name)
        .values(latest_version=_heads.latest_version + 1)
        .returning(_heads.latest_version)
    )
    number = tx.execute(count_up).scalar_one_or_none()
    if number is None:
        try:
            with tx.begin_nested():
                tx.execute(
                    insert(tables.heads).values(
                        tenant_id=tenant_id, name=name, latest_version=1, created_at=now()
                    )
                )
            number = 1
        except IntegrityError:  # another job published the first version meanwhile
            number = tx.execute(count_up).scalar_one()
    return number


def _select_heads(tenant_id: str) -> Select[Any]:
    """Heads with at least one version: a deleted head keeps its row, so that numbers go on."""
    has_version = exists().where(
        _versions.tenant_id == _heads.tenant_id, _versions.name == _heads.name
    )
    return select(_heads.name, _heads.created_at).where(_heads.tenant_id == tenant_id, has_version)


def _select_versions(*where: ColumnElement[bool]) -> Select[Any]:
    # Aliases obey the naming rule, so a comma cannot be part of one.
    aliases = (
        select(func.aggregate_strings(_aliases.alias, ","))
        .where(
            _aliases.tenant_id == _versions.tenant_id,
            _aliases.name == _versions.name,
            _aliases.version == _versions.version,
        )
        .correlate(tables.head_versions)
        .scalar_subquery()
    )
    return select(tables.head_versions, aliases.label("aliases")).where(*where)


def _with_versions(tx: Transaction, tenant_id: str, rows: Sequence[AnyRow]) -> list[Head]:
    """The heads of these rows with their versions, by one query whatever their number."""
    names = [row.name for row in rows]
    versions: dict[str, list[HeadVersion]] = {name: [] for name in names}
    query = _select_versions(_versions.tenant_id == tenant_id, _versions.name.in_(names))
    for row in tx.execute(query.order_by(_versions.version.desc())):
        versions[row.name].append(_version_of(row))
    return [
        Head(
            tenant_id=tenant_id,
            name=row.name,
            latest_version=versions[row.name][0].version,
            aliases={alias: item.version for item in versions[row.name] for alias in item.aliases},
            versions=versions[row.name],
            created_at=row.created_at,
        )
        for row in rows
    ]


def _version_of(row: AnyRow) -> HeadVersion:
    aliases = tuple(sorted(row.aliases.split(","))) if row.aliases else ()
    return HeadVersion(**dict(row._mapping) | {"aliases": aliases})
