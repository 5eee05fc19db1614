"""Drift windows: hourly sums over the predictions of each head.

The caller gives the vector of sums its meaning. A head is named by the sha256 of its bytes, so that
the sums belong to these bytes whatever is published, moved or deleted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from store.database import tables
from store.database.clock import now, read_clock, seconds_from_now
from store.database.connection import Transaction, insert_or_ignore

KEPT_HOURS: Final = 30 * 24
"""How long a window is kept."""

CALM: Final = "none"
STATES: Final = (CALM, "some", "much")
"""What drift can be said to be, the calmest first."""

_windows = tables.drift_windows.c
_states = tables.drift_states.c
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """One hour of a head's predictions: when it began, how many rows there were, their sums."""

    started_at: datetime
    n_rows: int
    sums: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Total:
    """The total of some windows: the number of rows, their sums, and the windows' starts."""

    n_rows: int
    sums: NDArray[np.float64]
    first_at: datetime | None
    last_at: datetime | None

    @classmethod
    def of(cls, windows: Iterable[Window], *, n_sums: int) -> Self:
        """The total of windows of `n_sums` sums each, in the order of their starts."""
        sums, n_rows = np.zeros(n_sums), 0
        starts: list[datetime] = []
        for one in windows:
            sums += one.sums
            n_rows += one.n_rows
            starts.append(one.started_at)
        return cls(
            n_rows=n_rows,
            sums=sums,
            first_at=starts[0] if starts else None,
            last_at=starts[-1] if starts else None,
        )


def add(
    tx: Transaction, tenant_id: str, sha256: str, *, n_rows: int, sums: NDArray[np.float64]
) -> None:
    """Add rows to the window of this hour, by the database's clock.

    Several processes may add at once. Raises ValueError for sums of another length.
    """
    moment = read_clock(tx)
    started_at = moment.replace(minute=0, second=0, microsecond=0)
    key = _key(tenant_id, sha256, started_at)
    if not _add_to(tx, key, n_rows, sums):
        try:
            with tx.begin_nested():
                tx.execute(
                    insert(tables.drift_windows).values(
                        tenant_id=tenant_id,
                        sha256=sha256,
                        started_at=started_at,
                        n_rows=n_rows,
                        sums=sums.astype("<f8").tobytes(),
                    )
                )
        except IntegrityError:  # another process opened the window between the two statements
            _add_to(tx, key, n_rows, sums)


def windows(
    tx: Transaction, tenant_id: str, sha256: str, *, n_sums: int, hours: int = 24
) -> Iterator[Window]:
    """The windows that began in the last hours, oldest first; hours without rows have none.

    Raises ValueError for windows of another length than `n_sums`.
    """
    query = (
        select(_windows.started_at, _windows.n_rows, _windows.sums)
        .where(
            _windows.tenant_id == tenant_id,
            _windows.sha256 == sha256,
            _windows.started_at > seconds_from_now(-hours * _HOUR),
        )
        .order_by(_windows.started_at)
    )
    for row in tx.execute(query):
        yield Window(started_at=row.started_at, n_rows=row.n_rows, sums=_vector(row.sums, n_sums))


def total(tx: Transaction, tenant_id: str, sha256: str, *, n_sums: int, hours: int = 24) -> Total:
    """The total of `windows`, which raises alike."""
    return Total.of(windows(tx, tenant_id, sha256, n_sums=n_sums, hours=hours), n_sums=n_sums)


def note_state(tx: Transaction, tenant_id: str, sha256: str, state: str) -> str | None:
    """Note that the head's drift is now in this state; return the one before if it has changed.

    The first state counts as a change from `CALM`. A state that is calmer than the one before is
    taken over only an hour after the last change, so that drift at a bound is not told all day.
    """
    mine = (_states.tenant_id == tenant_id, _states.sha256 == sha256)
    first = {"tenant_id": tenant_id, "sha256": sha256, "state": CALM, "changed_at": _LONG_AGO}
    tx.execute(insert_or_ignore(tx, tables.drift_states).values(first))
    may_calm = _states.changed_at <= seconds_from_now(-_HOUR)
    before = tx.execute(
        select(_states.state, may_calm.label("may_calm")).where(*mine).with_for_update()
    ).one()
    is_calmer = STATES.index(state) < STATES.index(before.state)
    if state == before.state or (is_calmer and not before.may_calm):
        return None
    tx.execute(update(tables.drift_states).where(*mine).values(state=state, changed_at=now()))
    return str(before.state)


def versions(tx: Transaction, tenant_id: str, sha256: str) -> list[tuple[str, int]]:
    """(head, version) of all that are these bytes: usually one, none if it was deleted."""
    named = tables.head_versions.c
    query = select(named.name, named.version).where(
        named.tenant_id == tenant_id, named.sha256 == sha256
    )
    return [(row.name, row.version) for row in tx.execute(query)]


def prune(tx: Transaction) -> int:
    """Forget the old windows of all tenants; return how many. Crosses tenants by nature."""
    old = _windows.started_at <= seconds_from_now(-KEPT_HOURS * _HOUR)
    n_pruned = tx.execute(delete(tables.drift_windows).where(old)).rowcount
    if n_pruned:
        window = (_windows.tenant_id == _states.tenant_id) & (_windows.sha256 == _states.sha256)
        tx.execute(delete(tables.drift_states).where(~exists().where(window)))
    return n_pruned


def _key(tenant_id: str, sha256: str, started_at: datetime) -> Sequence[ColumnElement[bool]]:
    return (
        _windows.tenant_id == tenant_id,
        _windows.sha256 == sha256,
        _windows.started_at == started_at,
    )


def _add_to(
    tx: Transaction,
    key: Sequence[ColumnElement[bool]],
    n_rows: int,
    sums: NDArray[np.float64],
) -> bool:
    """Add to the window; return False if there is none."""
    row = tx.execute(select(_windows.sums).where(*key).with_for_update()).one_or_none()
    if row is None:
        return False
    together = _vector(row.sums, len(sums)) + sums
    tx.execute(
        update(tables.drift_windows)
        .where(*key)
        .values(n_rows=_windows.n_rows + n_rows, sums=together.astype("<f8").tobytes())
    )
    return True


def _vector(data: bytes, n_sums: int) -> NDArray[np.float64]:
    vector = np.frombuffer(data, "<f8").astype(np.float64)
    if vector.shape != (n_sums,):
        raise ValueError(f"expected a window of {n_sums} sums, got {len(vector)}")
    return vector
