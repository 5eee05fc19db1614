"""The head registry: versions, aliases, references."""

import pytest

from store.errors import InvalidName, InvalidReference, NotFound
from store.registry import heads
from store.registry.heads import HeadVersion
from store.store import Store
from tests.store.made_rows import Rows, new_head


def resolve(store: Store, reference: str) -> HeadVersion:
    with store.database.read() as tx:
        return heads.resolve(tx, "default", reference)


def set_alias(store: Store, name: str, alias: str, number: int) -> HeadVersion:
    with store.database.begin() as tx:
        return heads.set_alias(tx, "default", name, alias, number)


def test_versions_count_up_from_one_per_name(store: Store, rows: Rows) -> None:
    numbers = [rows.succeeded(name=name).head_version for name in ("a", "a", "b", "a")]
    assert numbers == [1, 2, 1, 3]
    rows.succeeded("theirs", name="a")
    with store.database.read() as tx:
        assert heads.get(tx, "theirs", "a").latest_version == 1


def test_a_version_reads_back_as_it_was_published(store: Store, rows: Rows) -> None:
    job = rows.succeeded(alias="prod")
    with store.database.read() as tx:
        version = heads.version(tx, "default", "pets", 1)
    new = new_head()
    assert (version.sha256, version.size_bytes, version.method) == ("a" * 64, 10, "nmtune")
    assert (version.classes, version.n_columns, version.n_parameters) == (["cat", "dög"], 2, 6)
    assert (version.config, version.metrics) == (new.config, new.metrics)
    assert (version.job_id, version.dataset_id) == (job.id, job.dataset_id)
    assert version.aliases == ("prod",)


def test_a_head_shows_its_versions_newest_first_and_its_aliases(store: Store, rows: Rows) -> None:
    rows.succeeded(alias="prod")
    rows.succeeded(alias="canary")
    set_alias(store, "pets", "old", 1)
    with store.database.read() as tx:
        head = heads.get(tx, "default", "pets")
    assert head.latest_version == 2
    assert [version.version for version in head.versions] == [2, 1]
    assert head.aliases == {"prod": 1, "old": 1, "canary": 2}
    assert [version.aliases for version in head.versions] == [("canary",), ("old", "prod")]


def test_publishing_with_an_alias_moves_it(store: Store, rows: Rows) -> None:
    rows.succeeded(alias="prod")
    rows.succeeded(alias="prod")
    assert resolve(store, "pets@prod").version == 2
    assert resolve(store, "pets@1").aliases == ()


def test_references_mean_a_version_now(store: Store, rows: Rows) -> None:
    for _ in range(3):
        rows.succeeded()
    set_alias(store, "pets", "prod", 2)
    assert resolve(store, "pets").version == 3
    assert resolve(store, "pets@latest").version == 3
    assert resolve(store, "pets@1").version == 1
    assert resolve(store, "pets@prod") == resolve(store, "pets@2")
    set_alias(store, "pets", "prod", 1)
    assert resolve(store, "pets@prod").version == 1


@pytest.mark.parametrize(
    "reference",
    ["", "@", "@1", "pets@", "pets@prod@1", "pe ts", "pets@a b", "../pets", "pets\n", "x" * 65],
)
def test_what_is_no_reference_is_told_how_to_write_one(store: Store, reference: str) -> None:
    with pytest.raises(InvalidReference, match="name@alias"):
        resolve(store, reference)


@pytest.mark.parametrize(
    "reference", ["cats", "cats@latest", "pets@2", "pets@0", "pets@prod", "pets@" + "9" * 30]
)
def test_what_is_not_there_is_not_found(store: Store, rows: Rows, reference: str) -> None:
    rows.succeeded()
    with pytest.raises(NotFound) as caught:
        resolve(store, reference)
    assert caught.value.id == reference


def test_an_alias_needs_a_version_that_exists_and_a_name_that_is_one(
    store: Store, rows: Rows
) -> None:
    rows.succeeded()
    with pytest.raises(NotFound):
        set_alias(store, "pets", "prod", 2)
    with pytest.raises(NotFound):
        set_alias(store, "cats", "prod", 1)
    for alias in ("latest", "12", "a/b", ""):
        with pytest.raises(InvalidName):
            set_alias(store, "pets", alias, 1)


def test_heads_are_listed_newest_name_first(store: Store, rows: Rows) -> None:
    for name in ("a", "b", "c", "a"):
        rows.succeeded(name=name, alias="prod")
    with store.database.read() as tx:
        first = heads.page(tx, "default", limit=2)
        second = heads.page(tx, "default", limit=2, cursor=first.next_cursor)
        assert first.items[0] == heads.get(tx, "default", "c")
    assert [head.name for head in first.items + second.items] == ["c", "b", "a"]
    assert [len(head.versions) for head in first.items + second.items] == [1, 1, 2]
    assert second.next_cursor is None


def test_a_head_that_is_not_there_is_not_found(store: Store) -> None:
    with store.database.read() as tx:
        with pytest.raises(NotFound):
            heads.get(tx, "default", "pets")
        with pytest.raises(NotFound):
            heads.version(tx, "default", "pets", 1)
        assert heads.page(tx, "default").items == ()


def test_a_version_of_any_tenant_is_a_head_to_be_ready_for(store: Store, rows: Rows) -> None:
    with store.database.read() as tx:
        assert not heads.exist(tx)
    rows.queued()
    with store.database.read() as tx:
        assert not heads.exist(tx)
    rows.succeeded("theirs")
    with store.database.read() as tx:
        assert heads.exist(tx)


def test_notes_are_of_one_version_of_one_tenant(store: Store, rows: Rows) -> None:
    for tenant in ("default", "default", "theirs"):
        rows.succeeded(tenant)
    notes = {"description": "good", "tags": {"ticket": "ML-12"}}
    with store.database.begin() as tx:
        noted = heads.annotate(tx, "default", "pets", 1, notes=notes)
        assert (noted.description, noted.tags) == ("good", {"ticket": "ML-12"})
        assert heads.annotate(tx, "default", "pets", 1, notes={}) == noted
        with pytest.raises(NotFound):
            heads.annotate(tx, "default", "pets", 3, notes=notes)
    with store.database.read() as tx:
        for tenant, number in (("default", 2), ("theirs", 1)):
            other = heads.version(tx, tenant, "pets", number)
            assert (other.description, other.tags) == (None, {})
