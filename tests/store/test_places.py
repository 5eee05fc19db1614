"""A job's place in the queue: kept when it is given back, fair between tenants, apart by kind."""

from itertools import permutations

import pytest

from store import jobs, transitions
from store.states import JobKind
from store.store import Store
from tests.store.support import Rows, clock_ahead
from tests.store.test_transitions import ERROR, claim_next, release, sweep


def test_a_job_given_back_keeps_its_place(store: Store, rows: Rows) -> None:
    first, second = rows.queued(), rows.queued()
    taken = [rows.claimed(first), rows.claimed(second)]
    rows.queued()
    release(store, taken[1])
    assert claimed_ids(store) == [second.id]
    late = [rows.queued().id for _ in range(2)]
    rows.expire(taken[0])
    sweep(store)
    assert claimed_ids(store)[0] == first.id
    assert claimed_ids(store, 2)[-1:] == late[:1]


def claimed_ids(store: Store, n: int = 1) -> list[str]:
    return [job.id for _ in range(n) if (job := claim_next(store))]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_jobs_given_back_in_any_order_come_in_that_of_their_submission(
    store: Store, rows: Rows, order: tuple[int, ...]
) -> None:
    dataset = rows.dataset()
    jobs_ = [rows.queued(dataset=dataset) for _ in range(3)]
    taken = [rows.claimed(job) for job in jobs_]
    others = [rows.queued(dataset=dataset)]
    for index in order:
        release(store, taken[index], count_attempt=True)
        others.append(rows.queued(dataset=dataset))
    expected = [job.id for job in (*jobs_, *others)]
    assert claimed_ids(store, len(expected)) == expected


def test_a_job_held_back_is_first_once_it_is_due(store: Store, rows: Rows) -> None:
    held = rows.running()
    younger = rows.queued()
    release(store, held, delay_seconds=60)
    youngest = rows.queued()
    assert claimed_ids(store) == [younger.id]
    with clock_ahead(61):
        assert claimed_ids(store, 2) == [held.id, youngest.id]


def test_a_job_given_back_is_not_overtaken_by_those_who_came_since(
    store: Store, rows: Rows
) -> None:
    """The last of many: its number is high, and the queue was empty in between."""
    many = [rows.queued("a") for _ in range(5)]
    taken = [rows.claimed(job) for job in many]
    for job in taken[:-1]:
        with store.database.begin() as tx:
            transitions.fail(tx, job, error=ERROR)
    others = [rows.queued("b").id for _ in range(5)]
    release(store, taken[-1])
    assert claimed_ids(store, 6) == [many[-1].id, *others]


def test_many_jobs_given_back_delay_another_tenant_by_one(store: Store, rows: Rows) -> None:
    dataset = rows.dataset("a")
    taken = [rows.claimed(rows.queued("a", dataset=dataset)) for _ in range(8)]
    for job in taken:
        release(store, job, delay_seconds=60)
    other = rows.queued("b").id
    third = rows.queued("c").id
    with clock_ahead(61):
        order = claimed_ids(store, 10)
    assert (order.index(other), order.index(third)) == (1, 2)
    assert [one for one in order if one not in {other, third}] == [job.id for job in taken]


def test_predictions_are_numbered_apart(store: Store, rows: Rows) -> None:
    dataset = rows.dataset()
    trainings = [rows.queued(dataset=dataset).id for _ in range(3)]
    with store.database.begin() as tx:
        predictions = [
            jobs.submit(
                tx,
                "default",
                name="pets",
                dataset_id=dataset.id,
                method="m",
                config={},
                predicting=("pets", 1),
            ).id
            for _ in range(2)
        ]

    def claim_prediction() -> str | None:
        with store.database.begin() as tx:
            job = transitions.claim_next(tx, worker="w", lease_seconds=60, kind=JobKind.PREDICTION)
        return job.id if job else None

    assert claim_prediction() == predictions[0]
    assert claimed_ids(store, 4) == [trainings[0], trainings[1], predictions[1], trainings[2]]
    assert claim_prediction() is None
