"""PostgreSQL crashed and frozen under running jobs, and a migration killed half-way."""

import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

import migrations
from tests.faults.deployment import Deployment, Predictions, head_versions, trainings, upload
from tests.support.waiting import wait_until

Arrays = dict[str, Any]
LONG = {"method": "mlp", "config": {"epochs": 40, "batch_size": 16, "l2": 1.0}}


@pytest.mark.parametrize("trouble", ["crash", "freeze"])
def test_a_database_that_is_away_costs_no_job_and_predictions_go_on(
    deployment: Deployment, arrays: Arrays, trouble: str
) -> None:
    api = deployment.start("api")
    worker = deployment.start("worker", NMTUNE_LEASE_SECONDS="120")
    dataset = upload(api.client, arrays)
    deployment.submit(api, dataset, alias="prod")
    deployment.check()
    deployment.expected += ["database.unavailable", "request.unavailable"]
    with Predictions(api.url, "pets@1", arrays["test_x"][:4]) as predictions:
        job_id = deployment.submit(api, dataset, **LONG)
        trainings(worker)
        deployment.wait_for("running", job_id=job_id)
        getattr(deployment.postgres, trouble)()
        try:
            began = time.monotonic()
            refused = httpx.get(f"{api.url}/jobs/{job_id}", timeout=30)
            assert time.monotonic() - began < 25
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            n_before = predictions.n_done
            time.sleep(1)
        finally:
            deployment.postgres.start() if trouble == "crash" else deployment.postgres.thaw()
        job = deployment.wait_for("succeeded", job_id=job_id)
    assert job.attempt == 1, "a lease outlives a database that is back in time"
    assert predictions.n_done > n_before
    assert head_versions(deployment) == 2


def test_a_migration_killed_half_way_is_done_by_the_next(deployment: Deployment) -> None:
    name = f"{deployment.database}_new"
    deployment.postgres.execute(f"CREATE DATABASE {name}")
    url = deployment.postgres.url(name)
    try:
        for pause in (0.3, 0.6, 1.0, 1.4):
            killed = subprocess.Popen(
                [sys.executable, "-c", f"import migrations; migrations.upgrade({url!r})"]
            )
            time.sleep(pause)
            killed.kill()
            killed.wait()
        migrations.upgrade(url)
        migrations.downgrade(url, "base")
        migrations.upgrade(url)
    finally:
        wait_until(
            lambda: deployment.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)") is None
        )
