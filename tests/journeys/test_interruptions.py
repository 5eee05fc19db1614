"""What a job survives: stop and start, kill -9 of each process, and a cancel half-way."""

import os
import signal
import time
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from nmtune_client import Job, JobCancelled

from tests.support.processes import BRIEF_LEASE, Process, Site
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

Arrays = dict[str, Any]

LONG = {"epochs": 120, "seed": 3, "batch_size": 32}


def submit(process: Process, arrays: Arrays, **config: Any) -> Job:
    client = process.client
    dataset = client.datasets.upload(arrays, name="pets")
    return client.jobs.create(dataset=dataset.id, name="pets", alias="prod", config=LONG | config)


def is_training(job: Job) -> bool:
    job.refresh()
    assert not job.is_final, f"{job.status}: the job was to last longer than this"
    return job.status == "running" and (job.progress is not None) and job.progress.epoch > 2


def finished(process: Process, job: Job) -> Job:
    return process.client.jobs.get(job.id).wait(timeout=180)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, arrays: Arrays) -> str:
    """The sha256 of the head that the same job gives when nothing happens to it."""
    site = Site(tmp_path_factory.mktemp("undisturbed"))
    try:
        process = site.start(NMTUNE_N_THREADS="1")
        job = submit(process, arrays).wait(timeout=180)
        return process.client.heads.version("pets", job.head.version).sha256
    finally:
        site.close()


def the_head(process: Process) -> str:
    """The one head version there must be, by content: the effect, exactly once."""
    head = process.client.heads.get("pets")
    assert [version.version for version in head.versions] == [1]
    assert head.aliases == {"prod": 1}
    return process.client.heads.version("pets", 1).sha256


FAST_CHECKPOINTS = {"NMTUNE_CHECKPOINT_SECONDS": "0", "NMTUNE_N_THREADS": "1"}


def test_stop_and_start_continues_where_it_was(
    site: Site, arrays: Arrays, undisturbed: str
) -> None:
    process = site.start(**FAST_CHECKPOINTS)
    job = submit(process, arrays)
    wait_until(lambda: is_training(job))
    training = process.trainings()
    process.stop()
    assert not any(child.is_running() for child in training)

    process = site.start(**FAST_CHECKPOINTS)
    job = finished(process, job)
    assert job.data.attempt == 1, "an orderly stop must not use up an attempt"
    assert the_head(process) == undisturbed


def test_kill_9_of_the_server_loses_nothing(site: Site, arrays: Arrays, undisturbed: str) -> None:
    process = site.start(**FAST_CHECKPOINTS, **BRIEF_LEASE)
    job = submit(process, arrays)
    wait_until(lambda: is_training(job))
    training = process.trainings()
    process.kill()
    psutil.wait_procs(training, timeout=60)
    assert not any(
        child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in training
    ), "the training must die with its parent"

    process = site.start(**FAST_CHECKPOINTS)
    job = finished(process, job)
    assert job.data.attempt == 2
    assert the_head(process) == undisturbed


def test_kill_9_of_the_training_process_is_noticed_and_resumed(
    site: Site, arrays: Arrays, undisturbed: str
) -> None:
    process = site.start(**FAST_CHECKPOINTS)
    job = submit(process, arrays)
    wait_until(lambda: is_training(job))
    [training] = process.trainings()
    os.kill(training.pid, signal.SIGKILL)
    job = finished(process, job)
    assert job.data.attempt == 2
    assert the_head(process) == undisturbed
    site.expected.append("job.child_failed")  # logged as the error that it is


def test_api_and_worker_apart_survive_each_other(
    site: Site, arrays: Arrays, undisturbed: str
) -> None:
    site.start("up").stop()  # brings the schema up to date
    api, other, worker = (
        site.start("api"),
        site.start("api"),
        site.start("worker", **FAST_CHECKPOINTS, **BRIEF_LEASE),
    )
    job = submit(api, arrays)
    wait_until(lambda: is_training(job))

    api.kill()  # the worker goes on without it
    job = other.client.jobs.get(job.id)
    epoch = job.progress.epoch
    wait_until(lambda: is_training(job) and job.progress.epoch > epoch)
    worker.kill()  # and the job waits for another worker
    wait_until(lambda: other.client.jobs.get(job.id).status == "queued")
    other.stop()
    api = site.start("api")
    site.start("worker", **FAST_CHECKPOINTS)
    job = finished(api, job)
    assert job.data.attempt == 2
    assert the_head(api) == undisturbed
    prediction = api.client.predict("pets@prod", arrays["test_x"])
    assert np.isfinite(prediction.probabilities).all()


def test_cancel_of_a_running_job_is_quick_and_leaves_no_process(site: Site, arrays: Arrays) -> None:
    process = site.start()
    job = submit(process, arrays, epochs=10_000)
    wait_until(lambda: is_training(job))
    training = process.trainings()
    assert training
    asked = time.monotonic()
    job.cancel()
    wait_until(lambda: process.client.jobs.get(job.id).is_final)
    assert time.monotonic() - asked < 20
    wait_until(lambda: not process.trainings())
    with pytest.raises(JobCancelled):
        job.wait(timeout=60)
    with httpx.Client(base_url=process.url) as http:
        assert http.get("/heads").json()["items"] == []
    wait_until(lambda: not list((site.data_dir / "work").iterdir()))
