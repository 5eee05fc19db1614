"""Drift windows: sums of many processes, hour by hour, for thirty days."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import select, update

from store import drift
from store.database import tables
from store.database.clock import seconds_from_now
from store.drift import KEPT_HOURS, Total
from store.store import Store

HEAD = "a" * 64


def add(store: Store, n_rows: int = 1, *, tenant: str = "default", sha256: str = HEAD) -> None:
    with store.database.begin() as tx:
        drift.add(tx, tenant, sha256, n_rows=n_rows, sums=np.array([1.5, n_rows]))


def total(store: Store, *, hours: int = 24, tenant: str = "default") -> Total:
    with store.database.read() as tx:
        return drift.total(tx, tenant, HEAD, n_sums=2, hours=hours)


def age(store: Store, hours: float) -> None:
    """Let all windows have begun so long ago."""
    with store.database.begin() as tx:
        tx.execute(update(tables.drift_windows).values(started_at=seconds_from_now(-3600 * hours)))


def test_sums_of_an_hour_are_added_up(store: Store) -> None:
    assert (total(store).n_rows, total(store).first_at) == (0, None)
    add(store, 3)
    add(store, 4)
    found = total(store)
    assert (found.n_rows, found.sums.tolist()) == (7, [3.0, 7.0])
    assert found.first_at == found.last_at
    assert found.first_at is not None
    assert (found.first_at.minute, found.first_at.second, found.first_at.microsecond) == (0, 0, 0)
    with store.database.read() as tx:
        assert len(tx.execute(select(tables.drift_windows)).all()) == 1


def test_heads_and_tenants_are_apart(store: Store) -> None:
    add(store)
    add(store, sha256="b" * 64)
    add(store, tenant="theirs")
    assert total(store).n_rows == total(store, tenant="theirs").n_rows == 1


def test_only_the_last_hours_are_told_of_and_old_windows_go(store: Store) -> None:
    add(store)
    age(store, 30)
    add(store, 5)
    assert total(store).n_rows == 5
    assert total(store, hours=48).n_rows == 6
    age_of_first = select(tables.drift_windows.c.started_at).order_by("started_at").limit(1)
    with store.database.begin() as tx:
        assert drift.prune(tx) == 0
        first = tx.execute(age_of_first).scalar_one()
        tx.execute(
            update(tables.drift_windows)
            .where(tables.drift_windows.c.started_at == first)
            .values(started_at=seconds_from_now(-3600 * (KEPT_HOURS + 1)))
        )
        assert drift.prune(tx) == 1
    assert total(store, hours=KEPT_HOURS).n_rows == 5


def test_windows_are_told_apart_oldest_first(store: Store) -> None:
    add(store, 3)
    age(store, 5)
    add(store, 4)
    with store.database.read() as tx:
        found = list(drift.windows(tx, "default", HEAD, n_sums=2, hours=24))
        assert len(list(drift.windows(tx, "default", HEAD, n_sums=2, hours=3))) == 1
    assert [(one.n_rows, one.sums.tolist()) for one in found] == [(3, [1.5, 3]), (4, [1.5, 4])]
    assert found[0].started_at < found[1].started_at
    assert (total(store).first_at, total(store).last_at) == tuple(one.started_at for one in found)


def test_processes_that_add_at_once_lose_nothing(
    store: Store, open_store: Callable[[], Store]
) -> None:
    stores = [store, open_store()]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: add(stores[at % 2]), range(40)))
    assert (total(store).n_rows, total(store).sums.tolist()) == (40, [60.0, 40.0])


def test_sums_of_another_length_are_refused(store: Store) -> None:
    add(store)
    with pytest.raises(ValueError, match="a window of 3 sums, got 2"), store.database.begin() as tx:
        drift.add(tx, "default", HEAD, n_rows=1, sums=np.zeros(3))
    assert total(store).n_rows == 1
