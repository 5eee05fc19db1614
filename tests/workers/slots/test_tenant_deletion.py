"""A tenant is deleted while a real worker trains for it."""

from collections.abc import Iterator

import pytest

from store.cleanup import garbage
from store.tenant_deletion import belongings, delete_tenant
from tests.support.waiting import wait_until
from tests.workers.workplace import ENDLESS, Workplace, children, start_worker
from workers.slots.local import LocalWorker

TENANT = "default"


@pytest.fixture
def worker(workplace: Workplace) -> Iterator[LocalWorker]:
    worker = start_worker(workplace)
    yield worker
    worker.stop()


def what_is_left(workplace: Workplace) -> tuple[int, int]:
    """How many rows there are but that which says of the deletion, and how many stored files."""
    found = belongings(workplace.store, TENANT)
    assert found.rows["tenants"] == 1
    assert found.rows["audit"] >= 1
    return sum(found.rows.values()) - 2, found.n_artifacts


def test_the_job_ends_and_nothing_comes_afterwards(
    workplace: Workplace, worker: LocalWorker
) -> None:
    job, waiting = workplace.submit(ENDLESS), workplace.submit(ENDLESS)
    wait_until(lambda: workplace.read(job).checkpoint)  # it has stored bytes of its own
    deleted = delete_tenant(workplace.store, TENANT)
    assert deleted.rows["jobs"] == 2
    assert deleted.n_artifacts >= 2  # the dataset and a checkpoint
    assert what_is_left(workplace) == (0, 0)
    wait_until(lambda: not children())
    worker.stop()
    assert what_is_left(workplace) == (0, 0)
    assert waiting.status == "queued"


def test_a_worker_that_lost_its_job_publishes_nothing(
    workplace: Workplace, worker: LocalWorker
) -> None:
    """Nobody waits for it: its job is taken from it, however far it has come."""
    job = workplace.submit(ENDLESS)
    wait_until(lambda: workplace.read(job).progress)
    delete_tenant(workplace.store, TENANT, patience_seconds=0)
    wait_until(lambda: not children())
    worker.stop()
    n_rows, _ = what_is_left(workplace)
    assert n_rows == 0
    garbage.collect(workplace.store, older_than_seconds=0)
    assert what_is_left(workplace) == (0, 0)
