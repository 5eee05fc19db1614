"""What aliases remember, and how far back they go."""

from dataclasses import replace

import pytest

from store import transitions
from store.errors import NotFound, NothingToRollBack, SharesDoNotFit
from store.registry import head_deletion, heads
from store.registry.aliases import MAX_HISTORY, Outcome
from store.store import Store
from tests.store.conftest import OpenStore
from tests.store.made_rows import Rows, new_head
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


KNOWN = {"class_shares": {"cat": 0.8, "dög": 0.2}}
UNKNOWN = [{}, {"class_shares": None}, {"class_shares": {"cat": 1.0, "dög": 0.0}}]


def publish(store: Store, rows: Rows, lineage: dict[str, object]) -> Outcome:
    """A version with this lineage, which prod follows unless it must not."""
    head = replace(new_head(alias="prod"), lineage=lineage)
    job = rows.running()
    with store.database.begin() as tx:
        job = transitions.succeed(tx, job, report_sha256="e" * 64, head=head)
    assert job.alias_outcome is not None
    return Outcome(**job.alias_outcome)


def answer_for_many_dogs(store: Store, number: int) -> None:
    with store.database.begin() as tx:
        shares = {"cat": 0.1, "dög": 0.9}
        heads.set_alias(tx, "default", "pets", "prod", number, class_shares=shares)


def named(store: Store) -> int:
    with store.database.read() as tx:
        return heads.resolve(tx, "default", "pets@prod").version


@pytest.mark.parametrize("lineage", UNKNOWN)
def test_an_alias_with_shares_does_not_go_back_to_a_version_that_knows_none(
    store: Store, rows: Rows, lineage: dict[str, object]
) -> None:
    publish(store, rows, KNOWN)
    publish(store, rows, lineage)
    publish(store, rows, KNOWN)
    answer_for_many_dogs(store, 3)
    with pytest.raises(SharesDoNotFit, match="version 2 cannot be corrected to"):
        roll_back(store)
    with pytest.raises(SharesDoNotFit, match="version 2 cannot be corrected to"):
        point(store, 2)
    assert named(store) == 3
    point(store, 1)
    assert named(store) == 1


@pytest.mark.parametrize("lineage", UNKNOWN)
def test_an_alias_with_shares_follows_no_job_whose_version_knows_none(
    store: Store, rows: Rows, lineage: dict[str, object]
) -> None:
    publish(store, rows, KNOWN)
    answer_for_many_dogs(store, 1)
    outcome = publish(store, rows, lineage)
    assert not outcome.moved
    assert "its class shares need a version" in outcome.reason
    assert publish(store, rows, KNOWN).moved
    assert named(store) == 3
