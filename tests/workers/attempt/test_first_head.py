"""The head before all else: published while the job goes on, and kept however it ends."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nmtune import Head
from store.jobs import Job
from store.registry import heads
from tests.support.places import ROOT
from tests.support.waiting import wait_until
from tests.workers.workplace import (
    N_COLUMNS,
    OpenWorkplace,
    Workplace,
    children,
    start_worker,
)

pytestmark = pytest.mark.slow

SHARED = {"seed": 8, "max_steps": 2000}
REST = {**SHARED, "epochs": 60, "batch_size": 8}
"""What is compared with the head takes some seconds; the head is that of SHARED."""
ENDLESS_REST = {"seed": 8, "max_steps": 10**9, "epochs": 10_000, "batch_size": 8}

WORKER = """
import sys, threading
from store import failpoints
from store.queue import LocalQueue
from store.store import Store
from workers.slots.local import LocalWorker
from workers.settings import WorkerSettings

settings = WorkerSettings(
    data_dir=sys.argv[1], n_threads=1, lease_seconds=6, standby="never"
)
failpoints.arm("run.head_published:kill")
LocalWorker(Store.open(settings), LocalQueue(), settings).start()
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def alone(open_workplace: OpenWorkplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace whose one job has trained the head without any comparison."""
    workplace = open_workplace(tmp_path_factory.mktemp("alone"))
    workplace.run(workplace.submit(SHARED, method="auto", compare=False))
    return workplace


@pytest.fixture(scope="module")
def undisturbed(alone: Workplace) -> str:
    [job] = alone.jobs()
    return alone.head_sha256(job)


def wait_for_head(workplace: Workplace, job: Job) -> Job:
    wait_until(lambda: workplace.read(job).head_version is not None)
    return workplace.read(job)


def versions(workplace: Workplace) -> list[int]:
    with workplace.store.database.read() as tx:
        return [one.version for one in heads.get(tx, "default", "pets").versions]


def told(workplace: Workplace, job: Job) -> list[str]:
    return [one.type for one in workplace.events(job) if one.type != "job.progress"]


def stages(workplace: Workplace, job: Job) -> list[Any]:
    return [one.data["stage"] for one in workplace.events(job) if one.type == "job.stage"]


@contextmanager
def worker_of(workplace: Workplace) -> Iterator[None]:
    worker = start_worker(workplace)
    try:
        yield
    finally:
        worker.stop()


def test_head_predicts_while_the_job_goes_on_and_survives_its_cancel(workplace: Workplace) -> None:
    job = workplace.submit(ENDLESS_REST, method="auto", analyses=["published_loop"])
    with workplace.running(job):
        early = wait_for_head(workplace, job)
        assert (early.status, early.head_version) == ("running", 1)
        data = workplace.store.artifacts.get_bytes("default", workplace.head_sha256(early))
        head = Head.from_bytes(data)
        assert head.predict_proba([[0.0] * N_COLUMNS]).shape == (1, 3)
        assert head.knowledge is not None
        report = workplace.report(early)
        assert "comparison" in report["missing"]
        assert report["verdict"]["summary"].startswith("The job is not finished")
        assert list(report["candidates"]) == ["auto"]
        assert 0.5 < report["candidates"]["auto"]["metrics"]["test"]["accuracy"] <= 1
        wait_until(lambda: workplace.read(job).stage == "comparing")
        workplace.request_cancel(job)
    found = workplace.read(job)
    assert (found.status, found.head_version) == ("cancelled", 1)
    assert workplace.report(found)["missing"] == report["missing"]
    assert versions(workplace) == [1]
    assert told(workplace, job) == [
        *("job.queued", "job.started", "job.stage", "job.stage"),
        *("head.published", "job.stage", "job.cancel_requested", "job.cancelled"),
    ]


def test_without_comparison_there_is_the_same_head_and_no_more(
    alone: Workplace, workplace: Workplace, undisturbed: str
) -> None:
    [job] = alone.jobs()
    report = alone.report(job)
    assert "new_domain" not in report["findings"], "it is a comparison"
    assert (job.status, report["missing"]) == ("succeeded", [])
    assert not {"mlp", "nmtune"} & set(report["candidates"])
    assert "comparing" not in stages(alone, job)
    compared = workplace.submit(REST, method="auto")
    done = workplace.run(compared)
    assert done is not None
    assert workplace.head_sha256(done) == undisturbed
    assert {"mlp", "nmtune", "auto"} <= set(workplace.report(done)["candidates"])
    kinds = told(workplace, compared)
    assert kinds.index("head.published") < kinds.index("job.succeeded") - 3


def test_training_that_is_killed_after_its_head_goes_on_with_that_head(
    workplace: Workplace, undisturbed: str
) -> None:
    job = workplace.submit(REST, method="auto")
    with workplace.running(job):
        wait_for_head(workplace, job)
        for child in children():
            child.kill()
    assert workplace.read(job).status == "queued"
    with worker_of(workplace):
        wait_until(lambda: workplace.read(job).status == "succeeded", seconds=120)
    done = workplace.read(job)
    assert (done.attempt, done.head_version) == (2, 1)
    assert workplace.head_sha256(done) == undisturbed
    assert told(workplace, job).count("head.published") == 1
    assert versions(workplace) == [1]
    assert workplace.report(done)["missing"] == []


def test_worker_that_is_killed_after_the_head_has_published_it_once(
    workplace: Workplace, undisturbed: str
) -> None:
    job = workplace.submit(REST, method="auto")
    folder = str(workplace.settings.data_dir)
    with subprocess.Popen([sys.executable, "-c", WORKER, folder], cwd=ROOT) as process:
        process.wait(timeout=120)
    early = workplace.read(job)
    assert (early.status, early.head_version) == ("running", 1)
    assert workplace.head_sha256(early) == undisturbed
    with worker_of(workplace):
        wait_until(lambda: workplace.read(job).status == "succeeded", seconds=120)
    done = workplace.read(job)
    assert (done.attempt, done.head_version) == (2, 1)
    assert told(workplace, job).count("head.published") == 1
    assert versions(workplace) == [1]


def test_rest_that_fails_in_every_attempt_leaves_the_head_and_says_so(
    workplace: Workplace,
) -> None:
    job = workplace.submit(ENDLESS_REST, method="auto", analyses=["published_loop"])
    with worker_of(workplace):
        for attempt in (1, 2, 3):
            wait_until(
                lambda n=attempt: (
                    (workplace.read(job).attempt, workplace.read(job).stage) == (n, "comparing")
                ),
                seconds=120,
            )
            for child in children():
                child.kill()
        wait_until(lambda: workplace.read(job).status == "failed")
    found = workplace.read(job)
    assert (found.attempt, found.head_version) == (3, 1)
    assert found.error is not None
    assert found.error["message"].endswith(
        "Its head pets@1 was published before and stays; what came after it is missing: see the "
        "report."
    )
    assert "comparison" in workplace.report(found)["missing"]
    assert told(workplace, job).count("head.published") == 1
    assert versions(workplace) == [1]
