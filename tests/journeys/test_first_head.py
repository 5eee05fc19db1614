"""The head of a long job is used while the job goes on, and stays although the job never ends."""

import os
import signal
from typing import Any

import numpy as np
import pytest
from nmtune_client import JobCancelled

from tests.support.processes import Site
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

ENDLESS_REST = {"seed": 3, "max_steps": 10**9, "epochs": 10_000, "batch_size": 4}
"""Head first; what it is compared with would take hours."""


def test_head_predicts_while_the_job_goes_on_is_killed_and_is_cancelled(
    site: Site, arrays: dict[str, Any]
) -> None:
    process = site.start(NMTUNE_CHECKPOINT_SECONDS="0", NMTUNE_N_THREADS="1")
    client = process.client
    dataset = client.datasets.upload(arrays, name="pets")
    job = client.jobs.create(
        dataset=dataset.id,
        name="pets",
        alias="prod",
        config=ENDLESS_REST,
        analyses=["published_loop"],
    )

    job.wait(timeout=240, until="head")
    assert (job.status, str(job.head)) == ("running", "pets@1")
    before = client.predict("pets@prod", arrays["test_x"])
    assert (np.array(before.labels) == arrays["class_names"][arrays["test_y"]]).mean() > 0.6
    report = job.report()
    assert "comparison" in report.missing
    assert report.verdict.summary.startswith("The job is not finished")
    assert "The job is not finished" in str(report)
    sha256 = client.heads.version("pets", 1).sha256

    def is_comparing() -> bool:
        return job.refresh().stage == "comparing" and bool(process.trainings())

    wait_until(is_comparing)
    [training] = process.trainings()
    os.kill(training.pid, signal.SIGKILL)
    site.expected.append("job.child_failed")
    wait_until(lambda: job.refresh().data.attempt == 2 and is_comparing())
    assert client.heads.version("pets", 1).sha256 == sha256
    assert np.array_equal(
        client.predict("pets@1", arrays["test_x"]).probabilities, before.probabilities
    )

    job.cancel()
    with pytest.raises(JobCancelled, match="its head pets@1 was published before and stays"):
        job.wait(timeout=60)
    assert job.wait(until="head").report_status == "incomplete"
    [version] = client.heads.get("pets").versions
    assert version.version == 1
    types = [
        event.type for event in job.events() if event.type not in ("job.progress", "job.stage")
    ]
    assert types == [
        *("job.queued", "job.started", "head.published", "job.requeued", "job.started"),
        *("job.cancel_requested", "job.cancelled"),
    ]
