"""Dataset rows: add, read, list, delete."""

import pytest

from store import datasets, jobs, transitions
from store.errors import DatasetInUse, InvalidName, NotFound
from store.store import Store
from tests.store.made_rows import Rows


def delete(store: Store, dataset_id: str) -> str | None:
    with store.database.begin() as tx:
        return datasets.delete(tx, "default", dataset_id)


def test_a_dataset_reads_back_as_it_was_added(store: Store, rows: Rows) -> None:
    added = rows.dataset()
    with store.database.read() as tx:
        found = datasets.get(tx, "default", added.id)
    assert found == added
    assert added.id.startswith("ds_")
    assert added.classes == ["cat", "dög"]
    assert added.splits == [{"name": "train", "n_rows": 3, "class_counts": [2, 1]}]
    assert (added.profile, added.warnings) == ({"norm_mean": 1.5}, ["few rows"])
    assert (added.n_rows, added.n_columns, added.size_bytes) == (3, 2, 24)


def test_a_dataset_may_be_larger_than_32_bits_count(store: Store) -> None:
    with store.database.begin() as tx:
        added = datasets.add(
            tx,
            "default",
            name="big",
            sha256="a" * 64,
            size_bytes=2**40,
            n_rows=2**33,
            n_columns=1,
            classes=[],
            splits=[],
            profile={},
        )
        assert datasets.get(tx, "default", added.id).size_bytes == 2**40


def test_a_bad_name_is_refused(rows: Rows) -> None:
    with pytest.raises(InvalidName):
        rows.dataset(name="../d")


def test_pages_are_newest_first_and_whole(store: Store, rows: Rows) -> None:
    added = [rows.dataset().id for _ in range(5)]
    with store.database.read() as tx:
        first = datasets.page(tx, "default", limit=3)
        second = datasets.page(tx, "default", limit=3, cursor=first.next_cursor)
    assert [item.id for item in first.items + second.items] == added[::-1]
    assert second.next_cursor is None


def test_deleting_gives_the_bytes_to_remove(store: Store, rows: Rows) -> None:
    dataset = rows.dataset(sha256="1" * 64)
    assert delete(store, dataset.id) == "1" * 64
    with pytest.raises(NotFound):
        delete(store, dataset.id)


def test_bytes_that_two_datasets_share_stay_until_the_last_is_deleted(
    store: Store, rows: Rows
) -> None:
    one, two = rows.dataset(sha256="1" * 64), rows.dataset(sha256="1" * 64)
    rows.dataset("theirs", sha256="1" * 64)  # bytes are kept by tenant
    assert delete(store, one.id) is None
    assert delete(store, two.id) == "1" * 64


def test_a_dataset_a_job_still_needs_cannot_be_deleted(store: Store, rows: Rows) -> None:
    dataset = rows.dataset()
    job = rows.queued(dataset=dataset)
    with pytest.raises(DatasetInUse, match=job.id):
        delete(store, dataset.id)
    running = rows.claimed(job)
    with pytest.raises(DatasetInUse, match="cancel it"):
        delete(store, dataset.id)
    with store.database.begin() as tx:
        transitions.fail(tx, running, error={"code": "a", "message": "b"})
    assert delete(store, dataset.id) is not None


def test_a_job_cannot_be_submitted_for_a_deleted_dataset(store: Store, rows: Rows) -> None:
    dataset = rows.dataset()
    delete(store, dataset.id)
    with pytest.raises(NotFound), store.database.begin() as tx:
        jobs.submit(tx, "default", name="a", dataset_id=dataset.id, method="m", config={})


def test_a_dataset_knows_what_it_was_made_from(store: Store, rows: Rows) -> None:
    parent = rows.dataset()
    lineage = datasets.Lineage(
        parent_id=parent.id, parent_sha256=parent.sha256, n_relabelled=2, n_dropped=1, note="by Ada"
    )
    with store.database.begin() as tx:
        child = datasets.add(
            tx,
            "default",
            name="pets",
            sha256="c" * 64,
            size_bytes=1,
            n_rows=2,
            n_columns=2,
            classes=["cat", "dog"],
            splits=[],
            profile={},
            lineage=lineage,
        )
    assert delete(store, parent.id) is not None
    with store.database.read() as tx:
        found = datasets.get(tx, "default", child.id)
        made = datasets.page(tx, "default", parent_id=parent.id)
        none = datasets.page(tx, "default", parent_id=child.id)
        others = datasets.page(tx, "other", parent_id=parent.id)
    assert found.parent_id == parent.id
    assert found.lineage == {
        "parent_sha256": parent.sha256,
        "n_relabelled": 2,
        "n_dropped": 1,
        "n_added": 0,
        "note": "by Ada",
    }
    assert (parent.parent_id, parent.lineage) == (None, None)
    assert [one.id for one in made.items] == [child.id]
    assert (none.items, others.items) == ((), ())
