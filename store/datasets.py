"""Dataset rows: each describes an immutable set of rows and names its bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, exists, insert, or_, select, update
from sqlalchemy import delete as sql_delete

from store.database import cursors, tables
from store.database.clock import now, seconds_from_now
from store.database.conditions import has_status
from store.database.connection import Transaction
from store.database.cursors import AnyRow, Page
from store.errors import DatasetInUse, NotFound
from store.ids import new_id
from store.names import check_name
from store.states import JobStatus
from store.webhooks import outbox
from store.webhooks.outbox import EventName, Happened

EMBEDDINGS: Final = "embeddings"
TEXTS: Final = "texts"

_datasets = tables.datasets.c
_jobs = tables.jobs.c
_MOST_REVISIONS: Final = 20
_UNFINISHED: Final = has_status(JobStatus.QUEUED, JobStatus.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One dataset; `sha256` names its bytes in the artifact storage."""

    id: str
    tenant_id: str
    name: str
    sha256: str
    size_bytes: int
    n_rows: int
    n_columns: int
    """The width of the embeddings; 0 for texts."""
    content: str
    """`embeddings` or `texts`."""
    classes: list[str]
    splits: list[dict[str, Any]]
    """One `{"name", "n_rows", "class_counts"}` each; counts in the order of `classes`."""
    profile: dict[str, Any]
    warnings: list[Any]
    created_at: datetime
    expires_at: datetime | None
    """When it expires; None: it stays."""
    parent_id: str | None = None
    """The dataset that it was made from by corrections or additions; that one may be gone."""
    lineage: dict[str, Any] | None = None
    """The rest of `Lineage`, if there is a parent."""

    @property
    def is_labelled(self) -> bool:
        """Whether a head can be trained on it; rows without labels can only be predicted."""
        return bool(self.classes)


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """How a dataset was made from another one: counts of rows, and a note for people."""

    parent_id: str
    parent_sha256: str
    n_relabelled: int = 0
    n_dropped: int = 0
    n_added: int = 0
    changed_splits: tuple[str, ...] = ()
    """The splits that differ from the parent's; all others are the same, row by row."""
    note: str | None = None


_COLUMNS = tuple(_datasets[field.name] for field in fields(Dataset))


def add(
    tx: Transaction,
    tenant_id: str,
    *,
    name: str,
    sha256: str,
    size_bytes: int,
    n_rows: int,
    n_columns: int,
    classes: Sequence[str],
    splits: Sequence[Mapping[str, object]],
    profile: Mapping[str, object],
    warnings: Sequence[object] = (),
    content: str = EMBEDDINGS,
    lineage: Lineage | None = None,
) -> Dataset:
    """Record a dataset whose bytes are already stored. Raises InvalidName.

    Check afterwards, in this transaction, that the bytes are still there: the deletion of the last
    dataset with the same bytes may just have removed them.
    """
    # Locked against that deletion, which locks its row too: the second of the two sees what the
    # first has done.
    same_bytes = select(_datasets.id).where(
        _datasets.tenant_id == tenant_id, _datasets.sha256 == sha256
    )
    tx.execute(same_bytes.order_by(_datasets.id).with_for_update()).all()
    told = None
    if lineage is not None:
        told = asdict(lineage) | {"changed_splits": list(lineage.changed_splits)}
    row = tx.execute(
        insert(tables.datasets)
        .values(
            id=new_id("ds"),
            tenant_id=tenant_id,
            name=check_name("dataset", name),
            sha256=sha256,
            size_bytes=size_bytes,
            n_rows=n_rows,
            n_columns=n_columns,
            content=content,
            classes=list(classes),
            splits=[dict(split) for split in splits],
            profile=dict(profile),
            warnings=list(warnings),
            created_at=now(),
            parent_id=None if told is None else told.pop("parent_id"),
            lineage=told,
        )
        .returning(*_COLUMNS)
    ).one()
    dataset = _dataset_of(row)
    data = {"dataset_id": dataset.id, "name": name, "content": content, "n_rows": n_rows}
    data |= {"path": f"/datasets/{dataset.id}"}
    outbox.write(tx, tenant_id, Happened(EventName.DATASET_CREATED, data))
    return dataset


def get(tx: Transaction, tenant_id: str, dataset_id: str, *, even_expired: bool = False) -> Dataset:
    """The dataset. Raises NotFound, also once it has expired.

    `even_expired` is for a queued or running job, whose dataset stays until the job ends.
    """
    query = select(*_COLUMNS).where(_datasets.tenant_id == tenant_id, _datasets.id == dataset_id)
    if not even_expired:
        query = query.where(_is_kept())
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound("dataset", dataset_id)
    return _dataset_of(row)


def revisions(
    tx: Transaction, tenant_id: str, dataset_id: str | None, *, since: str | None
) -> tuple[Dataset, ...]:
    """The datasets from `since` (left out) to `dataset_id`, each made from the one before it.

    Empty if it was not made from that one, or if one between is gone or they are very many.
    """
    found: list[Dataset] = []
    wanted = dataset_id
    while wanted != since and wanted is not None and len(found) < _MOST_REVISIONS:
        try:
            found.insert(0, get(tx, tenant_id, wanted))
        except NotFound:
            return ()
        wanted = found[0].parent_id
    return tuple(found) if wanted == since and since is not None else ()


def page(
    tx: Transaction,
    tenant_id: str,
    *,
    parent_id: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Dataset]:
    """The tenant's datasets, or those made from `parent_id`; newest first. Raises InvalidCursor."""
    mine = [_datasets.tenant_id == tenant_id, _is_kept()]
    if parent_id is not None:
        mine.append(_datasets.parent_id == parent_id)
    query = cursors.paged(
        select(*_COLUMNS).where(*mine),
        _datasets.created_at,
        _datasets.id,
        kind="datasets",
        cursor=cursor,
        limit=limit,
    )
    return cursors.page_of(
        tx.execute(query).all(),
        _dataset_of,
        kind="datasets",
        limit=limit,
        position=lambda dataset: (dataset.created_at, dataset.id),
    )


def keep(
    tx: Transaction, tenant_id: str, dataset_id: str, *, keep_seconds: float | None
) -> Dataset:
    """Let it expire so long from now, or never with None. Raises NotFound once it has expired."""
    row = tx.execute(
        update(tables.datasets)
        .where(_datasets.tenant_id == tenant_id, _datasets.id == dataset_id, _is_kept())
        .values(expires_at=None if keep_seconds is None else seconds_from_now(keep_seconds))
        .returning(*_COLUMNS)
    ).one_or_none()
    if row is None:
        raise NotFound("dataset", dataset_id)
    return _dataset_of(row)


def expired(tx: Transaction, *, limit: int = 100) -> tuple[tuple[str, str], ...]:
    """(tenant, id) of expired datasets that no unfinished job needs, the oldest first.

    Crosses tenants by nature.
    """
    is_needed = exists().where(
        _jobs.tenant_id == _datasets.tenant_id, _jobs.dataset_id == _datasets.id, _UNFINISHED
    )
    found = tx.execute(
        select(_datasets.tenant_id, _datasets.id)
        .where(_datasets.expires_at.is_not(None), _datasets.expires_at <= now(), ~is_needed)
        .order_by(_datasets.expires_at)
        .limit(limit)
    )
    return tuple((row.tenant_id, row.id) for row in found)


def delete(
    tx: Transaction, tenant_id: str, dataset_id: str, *, only_expired: bool = False
) -> str | None:
    """Delete the row; return its sha256 if no other dataset of the tenant has these bytes.

    Remove the bytes before this transaction ends, so that an upload of the same bytes finds
    either the row or the bytes missing. Raises NotFound, and DatasetInUse while a queued or running
    job needs the dataset; with `only_expired` NotFound too if it has not expired.
    """
    mine = [_datasets.tenant_id == tenant_id, _datasets.id == dataset_id]
    if only_expired:
        mine.append(_datasets.expires_at <= now())
    sha256 = tx.execute(
        select(_datasets.sha256).where(*mine).with_for_update()
    ).scalar_one_or_none()
    if sha256 is None:
        raise NotFound("dataset", dataset_id)
    user = tx.execute(
        select(_jobs.id)
        .where(
            _jobs.tenant_id == tenant_id,
            _jobs.dataset_id == dataset_id,
            _UNFINISHED,
        )
        .limit(1)
    ).scalar_one_or_none()
    if user is not None:
        raise DatasetInUse(
            f"Job {user} still needs dataset {dataset_id}: wait for it to finish, or cancel it."
        )
    name = tx.execute(
        sql_delete(tables.datasets).where(*mine).returning(_datasets.name)
    ).scalar_one()
    if only_expired:
        data = {"dataset_id": dataset_id, "name": name}
        outbox.write(tx, tenant_id, Happened(EventName.DATASET_EXPIRED, data))
    shared = tx.execute(
        select(_datasets.id)
        .where(_datasets.tenant_id == tenant_id, _datasets.sha256 == sha256)
        .limit(1)
    ).one_or_none()
    return sha256 if shared is None else None


def _is_kept() -> ColumnElement[bool]:
    return or_(_datasets.expires_at.is_(None), _datasets.expires_at > now())


def _dataset_of(row: AnyRow) -> Dataset:
    return Dataset(**dict(row._mapping))
