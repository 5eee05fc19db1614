"""What aliases remember, and how far back they go."""

import pytest

from store.errors import NotFound, NothingToRollBack
from store.registry import head_deletion, heads
from store.registry.aliases import MAX_HISTORY
from store.store import Store
from tests.store.conftest import OpenStore
from tests.store.made_rows import Rows
from tests.store.test_concurrency import at_once


@pytest.fixture
def pets(store: Store, rows: Rows) -> None:
    """The versions 1 to 3 of pets; prod named each of them in turn."""
    for _ in range(3):
        rows.succeeded(alias="prod")


def roll_back(store: Store, expected: int | None = None) -> int:
    with store.database.begin() as tx:
        return heads.roll_back(tx, "default", "pets", "prod", expected=expected).version


def point(store: Store, number: int) -> None:
    with store.database.begin() as tx:
        heads.set_alias(tx, "default", "pets", "prod", number)


@pytest.mark.usefixtures("pets")
def test_a_rollback_goes_one_step_back_until_there_is_none(store: Store) -> None:
    assert [roll_back(store), roll_back(store)] == [2, 1]
    said = "There is no earlier version to go back to: pets@prod points at version 1"
    with pytest.raises(NothingToRollBack, match=said):
        roll_back(store)
    point(store, 3)
    assert roll_back(store) == 1


@pytest.mark.usefixtures("pets")
def test_pointing_an_alias_where_it_points_is_no_step(store: Store) -> None:
    point(store, 3)
    point(store, 3)
    assert roll_back(store) == 2


@pytest.mark.usefixtures("pets")
def test_versions_deleted_meanwhile_are_passed_over(store: Store) -> None:
    with store.database.begin() as tx:
        head_deletion.delete_version(tx, "default", "pets", 2)
    assert roll_back(store) == 1


@pytest.mark.usefixtures("pets")
def test_a_rollback_of_what_somebody_moved_is_refused(store: Store) -> None:
    with pytest.raises(NothingToRollBack, match="somebody has moved it"):
        roll_back(store, expected=2)
    assert roll_back(store, expected=3) == 2


@pytest.mark.usefixtures("pets")
def test_an_alias_that_is_deleted_forgets(store: Store) -> None:
    with store.database.begin() as tx:
        heads.delete_alias(tx, "default", "pets", "prod")
        with pytest.raises(NotFound):
            heads.delete_alias(tx, "default", "pets", "prod")
        assert heads.get(tx, "default", "pets").aliases == {}
    with pytest.raises(NotFound, match="pets@prod"):
        roll_back(store)
    point(store, 1)
    with pytest.raises(NothingToRollBack):
        roll_back(store)


@pytest.mark.usefixtures("pets")
def test_the_history_is_bounded(store: Store) -> None:
    for step in range(2 * MAX_HISTORY):
        point(store, 1 + step % 2)
    for _ in range(MAX_HISTORY):
        roll_back(store)
    with pytest.raises(NothingToRollBack):
        roll_back(store)


@pytest.mark.usefixtures("pets")
def test_two_rollbacks_at_once_that_expect_the_same_go_back_once(open_store: OpenStore) -> None:
    outcomes = at_once(open_store, *[lambda store: roll_back(store, expected=3)] * 2)
    assert sorted(str(type(one).__name__) for one in outcomes) == ["NothingToRollBack", "int"]


def test_aliases_that_are_made_at_once_are_one(open_store: OpenStore, rows: Rows) -> None:
    rows.succeeded()
    outcomes = at_once(open_store, *[lambda store: point(store, 1)] * 4)
    assert outcomes == [None] * 4
