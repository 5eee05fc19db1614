"""Deleting versions and heads: what goes, what stays, what is refused, what never comes back."""

from datetime import UTC, datetime, timedelta

import pytest

from store import datasets, jobs, transitions
from store.errors import HeadInUse, NotFound
from store.registry import head_deletion, heads
from store.registry.head_deletion import Deleted
from store.store import Store
from tests.store.conftest import OpenStore
from tests.store.made_rows import Rows, new_head
from tests.store.test_concurrency import at_once


def delete_version(
    store: Store, number: int, *, name: str = "pets", force: bool = False
) -> Deleted:
    with store.database.begin() as tx:
        deleted = head_deletion.delete_version(tx, "default", name, number, force=force)
        for sha256 in deleted.unnamed:
            store.artifacts.delete(
                "default", sha256, unless_put_after=deleted.unless_put_after + _A_MOMENT
            )
    return deleted


def delete_head(store: Store, name: str = "pets", *, force: bool = False) -> Deleted:
    with store.database.begin() as tx:
        return head_deletion.delete_head(tx, "default", name, force=force)


_A_MOMENT = timedelta(seconds=1)  # a file's time is the kernel's, up to a tick behind the clock


def test_a_version_goes_with_its_bytes_and_its_job_keeps_its_history(
    store: Store, rows: Rows
) -> None:
    sha256 = store.artifacts.put_bytes("default", b"head").sha256
    job = rows.succeeded(sha256=sha256)
    rows.succeeded()
    deleted = delete_version(store, 1)
    assert (deleted.versions, deleted.aliases, deleted.unnamed) == ((1,), (), (sha256,))
    assert not store.artifacts.exists("default", sha256)
    with store.database.read() as tx:
        with pytest.raises(NotFound):
            heads.version(tx, "default", "pets", 1)
        with pytest.raises(NotFound):
            heads.resolve(tx, "default", "pets@1")
        assert heads.resolve(tx, "default", "pets").version == 2
        kept = jobs.get(tx, "default", job.id)
    assert (kept.head_name, kept.head_version, kept.report_sha256) == ("pets", 1, "e" * 64)


def test_numbers_are_never_given_again(store: Store, rows: Rows) -> None:
    rows.succeeded()
    rows.succeeded()
    delete_version(store, 2)
    with store.database.read() as tx:
        assert heads.get(tx, "default", "pets").latest_version == 1
    assert rows.succeeded().head_version == 3
    delete_head(store)
    assert rows.succeeded().head_version == 4
    with store.database.read() as tx:
        head = heads.get(tx, "default", "pets")
    assert [version.version for version in head.versions] == [4]


def test_a_deleted_head_is_not_found_and_not_listed(store: Store, rows: Rows) -> None:
    rows.succeeded()
    rows.succeeded(name="other")
    assert delete_head(store).versions == (1,)
    with store.database.read() as tx:
        with pytest.raises(NotFound):
            heads.get(tx, "default", "pets")
        assert [head.name for head in heads.page(tx, "default").items] == ["other"]
    with pytest.raises(NotFound):
        delete_head(store)
    with pytest.raises(NotFound):
        delete_version(store, 1)


def test_what_an_alias_points_at_is_kept_unless_forced(store: Store, rows: Rows) -> None:
    rows.succeeded(alias="prod")
    rows.succeeded(alias="next")
    with store.database.begin() as tx:
        heads.set_alias(tx, "default", "pets", "blue", 1)
    with pytest.raises(HeadInUse, match=r"pets@blue \(version 1\), pets@prod \(version 1\)"):
        delete_version(store, 1)
    with pytest.raises(HeadInUse, match="force=true"):
        delete_head(store)
    assert delete_version(store, 1, force=True).aliases == ("blue", "prod")
    with store.database.read() as tx:
        assert heads.get(tx, "default", "pets").aliases == {"next": 2}
    assert delete_head(store, force=True).aliases == ("next",)


def test_bytes_that_another_row_names_stay(store: Store, rows: Rows) -> None:
    for name in ("pets", "twin"):
        rows.succeeded(name=name)
    assert delete_version(store, 1).unnamed == ()
    assert delete_version(store, 1, name="twin").unnamed == ("a" * 64,)
    rows.succeeded()
    running = rows.running()
    with store.database.begin() as tx:
        transitions.heartbeat(tx, running, lease_seconds=60, checkpoint={"head": "a" * 64})
    assert delete_version(store, 2).unnamed == ()


def test_another_tenants_bytes_are_not_asked_for(store: Store, rows: Rows) -> None:
    rows.succeeded()
    rows.succeeded("theirs")
    assert delete_version(store, 1).unnamed == ("a" * 64,)


def test_young_bytes_are_spared_while_a_job_runs(store: Store, rows: Rows) -> None:
    """The job may have put the same bytes just now, and be about to name them by its row."""
    rows.succeeded()
    rows.succeeded()
    before = datetime.now(UTC)
    assert delete_version(store, 1).unless_put_after >= before
    rows.running()
    assert delete_version(store, 2).unless_put_after < before - timedelta(minutes=10)


def test_a_dataset_that_was_deleted_is_known_by_its_hash(store: Store, rows: Rows) -> None:
    job = rows.succeeded()
    with store.database.begin() as tx:
        datasets.delete(tx, "default", job.dataset_id)
    with store.database.read() as tx:
        version = heads.version(tx, "default", "pets", 1)
    assert version.dataset_sha256 == "d" * 64


def test_of_many_deletions_at_once_one_finds_the_version(open_store: OpenStore, rows: Rows) -> None:
    rows.succeeded()
    outcomes = at_once(open_store, *[lambda store: delete_version(store, 1)] * 4)
    assert sum(isinstance(one, Deleted) for one in outcomes) == 1, outcomes
    assert sum(isinstance(one, NotFound) for one in outcomes) == 3, outcomes


def test_of_two_heads_with_the_same_bytes_deleted_at_once_one_takes_the_bytes(
    open_store: OpenStore, rows: Rows
) -> None:
    for _ in range(3):
        numbers = [rows.succeeded(name=name).head_version for name in ("a", "b")]
        outcomes = at_once(
            open_store,
            *[
                lambda store, name=name, number=number: delete_version(store, number, name=name)
                for name, number in zip(("a", "b"), numbers, strict=True)
            ],
        )
        assert sorted(len(one.unnamed) for one in outcomes if isinstance(one, Deleted)) == [0, 1]


def test_a_deletion_beside_an_alias_being_set_leaves_no_alias_of_nothing(
    open_store: OpenStore, rows: Rows, store: Store
) -> None:
    for _ in range(5):
        number = rows.succeeded().head_version or 0

        def point(store: Store, number: int = number) -> object:
            with store.database.begin() as tx:
                return heads.set_alias(tx, "default", "pets", "prod", number)

        def delete(store: Store, number: int = number) -> Deleted:
            return delete_version(store, number)

        at_once(open_store, point, delete)
        with store.database.begin() as tx:
            for head in heads.page(tx, "default").items:
                for alias, named in head.aliases.items():
                    assert heads.version(tx, "default", "pets", named).aliases == (alias,)
                    heads.delete_alias(tx, "default", "pets", alias)


def test_a_deletion_beside_a_publication_loses_no_version(
    open_store: OpenStore, rows: Rows, store: Store
) -> None:
    for _ in range(3):
        number = rows.succeeded().head_version or 0
        running = rows.running()

        def publish(store: Store, running: jobs.Job = running) -> jobs.Job:
            with store.database.begin() as tx:
                return transitions.succeed(tx, running, report_sha256="e" * 64, head=new_head())

        def delete(store: Store, number: int = number) -> Deleted:
            return delete_version(store, number)

        outcomes = at_once(open_store, publish, delete)
        assert isinstance(outcomes[0], jobs.Job), outcomes
        assert isinstance(outcomes[1], Deleted), outcomes
        with store.database.read() as tx:
            assert heads.resolve(tx, "default", "pets").version == number + 1
