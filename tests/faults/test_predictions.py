"""Workers that die while they predict a file: one output, whole, whatever the step."""

import os
import signal
from itertools import count
from typing import Any

import numpy as np
import pytest

from store import outputs
from tests.faults.deployment import (
    Deployment,
    SharingDeployment,
    head_versions,
    trainings,
    upload,
)
from tests.support.processes import Process
from tests.support.waiting import wait_until

Arrays = dict[str, Any]
MANY = 200_000
OTHER = count(1)


@pytest.fixture
def deployment(sharing: SharingDeployment) -> Deployment:
    """Nothing here is done to the API or to the head, so that they serve all tests."""
    sharing.head = "pets"
    return sharing


def train(deployment: Deployment, api: Process, arrays: Arrays) -> None:
    """The head, trained by the first test that needs it."""
    if head_versions(deployment):
        return
    worker = deployment.start("worker")
    deployment.wait_for("succeeded", job_id=deployment.submit(api, upload(api.client, arrays)))
    worker.stop()


def predict(deployment: Deployment, api: Process, arrays: Arrays, *, n_rows: int = 500) -> str:
    """A prediction that a client was told of."""
    x = np.resize(arrays["test_x"], (n_rows, arrays["test_x"].shape[1]))
    x[0] += next(OTHER)  # or the output would be in the shared store already, and not be written
    path = deployment.data_dir.parent / "rows.npy"
    np.save(path, x)
    dataset = api.client.datasets.upload(path, unlabelled=True)
    job = api.client.jobs.predict(dataset, head="pets", format="jsonl")
    deployment.accepted.append(job.id)
    return job.id


def n_lines(deployment: Deployment, job_id: str) -> int:
    job = deployment.job(job_id)
    with deployment.store() as store:
        return len(store.artifacts.get_bytes("default", outputs.of_job(job).sha256).splitlines())


@pytest.mark.parametrize(
    "where",
    ["run.claimed", "artifact.written", "artifact.placed", "run.finishing", "run.finished"],
)
def test_a_worker_killed_at_any_step_leaves_one_output(
    deployment: Deployment, arrays: Arrays, where: str
) -> None:
    api = deployment.start("api")
    train(deployment, api, arrays)
    victim = deployment.start("worker", NMTUNE_FAILPOINT=f"{where}:kill")
    job_id = predict(deployment, api, arrays)
    wait_until(lambda: not victim.is_running())
    deployment.start("worker")
    job = deployment.wait_for("succeeded", job_id=job_id)
    assert job.attempt == (1 if where == "run.finished" else 2)
    assert n_lines(deployment, job_id) == 500


def test_kill_9_of_worker_and_process_in_the_middle(deployment: Deployment, arrays: Arrays) -> None:
    api = deployment.start("api")
    train(deployment, api, arrays)
    victim = deployment.start("worker")
    job_id = predict(deployment, api, arrays, n_rows=5 * MANY)  # still at it when killed
    [child] = trainings(victim)
    wait_until(lambda: (deployment.job(job_id).progress or {}).get("fraction"))
    victim.kill()
    wait_until(lambda: not child.is_running())
    deployment.start("worker")
    job = deployment.wait_for("succeeded", job_id=job_id)
    assert job.attempt == 2
    assert n_lines(deployment, job_id) == 5 * MANY


def test_a_frozen_worker_that_wakes_up_delivers_nothing(
    deployment: Deployment, arrays: Arrays
) -> None:
    api = deployment.start("api")
    train(deployment, api, arrays)
    sleeper = deployment.start("worker")
    job_id = predict(deployment, api, arrays, n_rows=MANY)
    [child] = trainings(sleeper)
    deployment.wait_for("running", job_id=job_id)
    for pid in (sleeper.pid, child.pid):
        os.kill(pid, signal.SIGSTOP)
    deployment.wait_for("queued", job_id=job_id)
    deployment.start("worker")
    wait_until(lambda: deployment.job(job_id).fence == 2)
    for pid in (child.pid, sleeper.pid):
        os.kill(pid, signal.SIGCONT)
    # Frozen in the middle of a statement, it finds the answer later than it waits for one.
    deployment.expected.append("no answer within")
    job = deployment.wait_for("succeeded", job_id=job_id)
    assert job.fence == 2
    assert n_lines(deployment, job_id) == MANY
