"""What is kept for a time: gone to its owner at once, its rows and bytes once no job needs them."""

import pytest

from store import datasets, jobs, transitions
from store.cleanup import expiry
from store.database import tables
from store.database.clock import seconds_from_now
from store.datasets import Dataset
from store.errors import NotFound
from store.store import Store
from tests.store.made_rows import Rows, new_head


@pytest.fixture
def kept(store: Store, rows: Rows) -> Dataset:
    """A dataset with bytes, which expired a second ago."""
    sha256 = store.artifacts.put_bytes("default", b"rows").sha256
    dataset = rows.dataset(sha256=sha256)
    let_expire(store, dataset)
    return dataset


def let_expire(store: Store, dataset: Dataset, *, seconds: float = -1) -> None:
    with store.database.begin() as tx:
        tx.execute(
            tables.datasets.update()
            .where(tables.datasets.c.id == dataset.id)
            .values(expires_at=seconds_from_now(seconds))
        )


def has_bytes(store: Store, dataset: Dataset) -> bool:
    return store.artifacts.exists("default", dataset.sha256)


def test_an_expired_dataset_is_gone_to_its_owner(store: Store, rows: Rows, kept: Dataset) -> None:
    other = rows.dataset()
    with store.database.read() as tx:
        assert [one.id for one in datasets.page(tx, "default").items] == [other.id]
        with pytest.raises(NotFound):
            datasets.get(tx, "default", kept.id)
        assert datasets.get(tx, "default", kept.id, even_expired=True).id == kept.id
    with pytest.raises(NotFound), store.database.begin() as tx:
        datasets.keep(tx, "default", kept.id, keep_seconds=None)


def test_its_row_and_bytes_are_removed(store: Store, rows: Rows, kept: Dataset) -> None:
    other = rows.dataset()
    let_expire(store, other, seconds=60)
    assert expiry.remove_expired(store).datasets == (kept.id,)
    assert not has_bytes(store, kept)
    with store.database.read() as tx, pytest.raises(NotFound):
        datasets.get(tx, "default", kept.id, even_expired=True)
    assert expiry.remove_expired(store) == expiry.Removed()


def test_bytes_that_another_dataset_has_stay(store: Store, rows: Rows, kept: Dataset) -> None:
    rows.dataset(sha256=kept.sha256)
    assert expiry.remove_expired(store).datasets == (kept.id,)
    assert has_bytes(store, kept)


def test_a_dataset_that_a_job_needs_stays_until_the_job_has_ended(store: Store, rows: Rows) -> None:
    dataset = rows.dataset(sha256=store.artifacts.put_bytes("default", b"rows").sha256)
    job = rows.queued(dataset=dataset)
    let_expire(store, dataset)
    assert expiry.remove_expired(store) == expiry.Removed()
    running = rows.claimed(job)
    assert expiry.remove_expired(store) == expiry.Removed()
    with store.database.read() as tx:
        datasets.get(tx, "default", dataset.id, even_expired=True)
    assert has_bytes(store, dataset)
    with store.database.begin() as tx:
        transitions.succeed(tx, running, report_sha256="e" * 64, head=new_head())
    assert expiry.remove_expired(store).datasets == (dataset.id,)
    assert not has_bytes(store, dataset)
    assert rows.read(job).head_version == 1


def test_those_that_are_needed_do_not_stand_in_the_way(
    store: Store, rows: Rows, kept: Dataset
) -> None:
    for _ in range(3):
        needed = rows.dataset()
        rows.queued(dataset=needed)
        let_expire(store, needed, seconds=-100)
    assert expiry.remove_expired(store, limit=1).datasets == (kept.id,)


def test_no_job_is_submitted_for_what_expiry_removed(
    store: Store, rows: Rows, kept: Dataset
) -> None:
    expiry.remove_expired(store)
    with pytest.raises(NotFound), store.database.begin() as tx:
        jobs.submit(tx, "default", name="a", dataset_id=kept.id, method="m", config={})


def test_what_was_prolonged_meanwhile_stays(store: Store, rows: Rows) -> None:
    dataset = rows.dataset()
    let_expire(store, dataset, seconds=60)
    with store.database.begin() as tx:
        with pytest.raises(NotFound):
            datasets.delete(tx, "default", dataset.id, only_expired=True)
        kept = datasets.keep(tx, "default", dataset.id, keep_seconds=3600)
        assert kept.expires_at is not None
        assert 3590 < (kept.expires_at - kept.created_at).total_seconds() < 3700
        assert datasets.keep(tx, "default", dataset.id, keep_seconds=None).expires_at is None
