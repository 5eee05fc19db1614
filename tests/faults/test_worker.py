"""A worker killed at each of its steps, frozen, stopped; and jobs that kill what trains them."""

import contextlib
import os
import re
import signal
import time
from typing import Any

import psutil
import pytest

from store import transitions
from store.errors import LeaseLost
from tests.faults.deployment import (
    Deployment,
    SharingDeployment,
    head_versions,
    trainings,
    upload,
)
from tests.support.waiting import wait_until

Arrays = dict[str, Any]
LONG = {"method": "mlp", "config": {"epochs": 60, "batch_size": 16, "l2": 1.0}}
ENDLESS = {"method": "mlp", "config": {"epochs": 10_000, "l2": 1.0}}


@pytest.fixture
def deployment(sharing: SharingDeployment) -> Deployment:
    """Nothing here is done to the API, so that one serves all tests."""
    return sharing


@pytest.mark.parametrize(
    "where",
    [
        "run.claimed",
        "artifact.written",
        "artifact.placed",
        "run.trained",
        "run.finishing",
        "run.finished",
    ],
)
def test_a_worker_killed_at_any_step_loses_nothing_and_does_nothing_twice(
    deployment: Deployment, arrays: Arrays, where: str
) -> None:
    api = deployment.start("api")
    dataset = upload(api.client, arrays)
    victim = deployment.start("worker", NMTUNE_FAILPOINT=f"{where}:kill")
    job_id = deployment.submit(api, dataset)
    wait_until(lambda: not victim.is_running())
    deployment.start("worker")
    job = deployment.wait_for("succeeded", job_id=job_id)
    assert job.attempt == (1 if where == "run.finished" else 2)
    assert head_versions(deployment) == 1


def test_a_worker_told_to_stop_hands_its_job_back_at_once(
    deployment: Deployment, arrays: Arrays
) -> None:
    api, worker = deployment.start("api"), deployment.start("worker")
    job_id = deployment.submit(api, upload(api.client, arrays), **LONG)
    trainings(worker)
    deployment.wait_for("running", job_id=job_id)
    began = time.monotonic()
    worker.stop()
    assert time.monotonic() - began < 45
    job = deployment.job(job_id)
    assert (job.status, job.attempt) == ("queued", 0), "an orderly stop uses up no attempt"
    deployment.start("worker")
    assert deployment.wait_for("succeeded", job_id=job_id).attempt == 1


def test_a_frozen_worker_that_wakes_up_writes_nothing(
    deployment: Deployment, arrays: Arrays
) -> None:
    api, sleeper = deployment.start("api"), deployment.start("worker")
    job_id = deployment.submit(api, upload(api.client, arrays), **LONG)
    [training] = trainings(sleeper)
    deployment.wait_for("running", job_id=job_id)
    for pid in (sleeper.pid, training.pid):
        os.kill(pid, signal.SIGSTOP)
    deployment.wait_for("queued", job_id=job_id)
    deployment.start("worker")
    wait_until(lambda: deployment.job(job_id).fence == 2)
    for pid in (training.pid, sleeper.pid):
        os.kill(pid, signal.SIGCONT)
    # Frozen in the middle of a statement, it finds the answer later than it waits for one.
    deployment.expected.append("no answer within")
    job = deployment.wait_for("succeeded", job_id=job_id)
    assert job.fence == 2
    assert head_versions(deployment) == 1
    wait_until(lambda: re.search(r"lease\.(lost|expired)", sleeper.log_path.read_text()))


def test_a_training_that_dies_is_tried_again_and_its_worker_goes_on(
    deployment: Deployment, arrays: Arrays
) -> None:
    api, worker = deployment.start("api"), deployment.start("worker")
    dataset = upload(api.client, arrays)
    job_id = deployment.submit(api, dataset, **LONG)
    [training] = trainings(worker)
    deployment.wait_for("running", job_id=job_id)
    training.send_signal(signal.SIGSEGV)
    other = deployment.submit(api, dataset)
    assert deployment.wait_for("succeeded", job_id=other).attempt == 1
    assert deployment.wait_for("succeeded", job_id=job_id).attempt == 2
    deployment.expected.append("job.child_failed")


def test_a_poison_job_ends_after_its_attempts_and_the_others_get_done(
    deployment: Deployment, arrays: Arrays
) -> None:
    """Whatever trains it crashes; the others wait no longer than for that."""
    api, worker = deployment.start("api"), deployment.start("worker")
    dataset = upload(api.client, arrays)
    poison = deployment.submit(api, dataset, **ENDLESS)
    good = [deployment.submit(api, dataset) for _ in range(2)]
    deployment.expected.append("job.child_failed")

    def is_final() -> bool:
        for child in worker.trainings():
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(poison in word for word in child.cmdline()):
                    child.send_signal(signal.SIGSEGV)
        return deployment.job(poison).status == "failed"

    wait_until(is_final, seconds=120)
    ended = deployment.job(poison)
    assert ended.attempt == ended.max_attempts == 3
    assert ended.error is not None
    assert ended.error["code"] == "internal"
    for job_id in good:
        assert deployment.wait_for("succeeded", job_id=job_id).attempt == 1
    assert worker.is_running()


@pytest.mark.parametrize("moment", ["queued", "running"])
def test_a_cancelled_job_ends_once_and_leaves_no_process(
    deployment: Deployment, arrays: Arrays, moment: str
) -> None:
    api = deployment.start("api")
    worker = deployment.start("worker")
    dataset = upload(api.client, arrays)
    job_id = deployment.submit(api, dataset, **ENDLESS)
    trainings(worker)
    if moment == "queued":
        job_id = deployment.submit(api, dataset)
    asked = time.monotonic()
    for _ in range(3):
        api.client.jobs.cancel(job_id)
    deployment.wait_for("cancelled", job_id=job_id)
    assert time.monotonic() - asked < 30
    for other in deployment.accepted:
        api.client.jobs.cancel(other)
    wait_until(lambda: not worker.trainings())


def test_a_late_writer_is_refused_by_the_fence(deployment: Deployment, arrays: Arrays) -> None:
    """What the fence in each WHERE is for: the same job under an old fence changes nothing."""
    api = deployment.start("api")
    job_id = deployment.submit(api, upload(api.client, arrays))
    with deployment.store() as store:
        with store.database.begin() as tx:
            old = transitions.claim(tx, job_id, worker="old", lease_seconds=0.01)
        assert old is not None
        wait_until(lambda: deployment.job(job_id).status == "queued")
    deployment.start("worker")
    deployment.wait_for("succeeded", job_id=job_id)
    with (
        deployment.store() as store,
        pytest.raises(LeaseLost),
        store.database.begin() as tx,
    ):
        transitions.fail(tx, old, error={"code": "late", "message": "too late"})


def test_a_full_disk_is_a_passing_trouble(deployment: Deployment, arrays: Arrays) -> None:
    api = deployment.start("api")
    dataset = upload(api.client, arrays)
    worker = deployment.start("worker", NMTUNE_FAILPOINT="artifact.written:enospc")
    job_id = deployment.submit(api, dataset)
    assert deployment.wait_for("succeeded", job_id=job_id).attempt == 2
    assert worker.is_running()
    deployment.expected += ["artifact.unavailable", "job.error", "Traceback", "StorageUnavailable"]
