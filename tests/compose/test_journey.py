"""The main job through the proxy, answered by both replicas, and a worker that dies half-way."""

import time
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from nmtune_client import Client, Dataset, Job

from tests.compose.stack import Stack, docker, inspect

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

Rows = np.ndarray[Any, np.dtype[np.float32]]

# Kills the process that tini started, from inside, as the kernel does when memory runs out.
KILL_MAIN_PROCESS = """
import os, pathlib, signal
[child] = pathlib.Path("/proc/1/task/1/children").read_text().split()
os.kill(int(child), signal.SIGKILL)
"""


def test_upload_tune_report_and_predict(
    stack: Stack, client: Client, dataset: Dataset, rows: Rows
) -> None:
    began = time.monotonic()
    job = client.jobs.create(dataset=dataset.id, name="intents", alias="prod")
    first = next(job.events(follow=True))
    assert first.type == "job.queued"
    assert not job.refresh().is_final, "the stream must tell events as they happen"
    job.wait(timeout=1500)
    stack.note(began, "a job of method auto on the bundled data, from submission to report")
    times = {event.type: event.created_at for event in job.events() if event.created_at}
    waited = times["job.started"] - times["job.queued"]
    stack.times.append(f"{waited.total_seconds():7.1f} s  of which it waited for the worker")

    report = job.report()
    assert report.metrics(str(report.raw["method"]), "test")["accuracy"] > 0.8
    assert report.verdict.summary
    prediction = client.predict("intents@prod", rows)
    assert np.allclose(prediction.probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_table_is_decoded_in_the_container(
    client: Client, rows: Rows, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The decoding process needs a scratch folder and processes of its own, in a read-only root."""
    path = tmp_path_factory.mktemp("tables") / "rows.parquet"
    table = pd.DataFrame({"embedding": list(np.tile(rows, (40, 1))[:40]), "label": ["a", "b"] * 20})
    table.to_parquet(path)
    found = client.datasets.upload(path)
    assert (found.n_rows, found.n_columns) == (40, rows.shape[1])


def test_both_replicas_answer(stack: Stack, quick_head: str, client: Client, rows: Rows) -> None:
    addresses = {
        network["IPAddress"]
        for container in stack.containers("api")
        for name, network in inspect(container)["NetworkSettings"]["Networks"].items()
        if name.endswith("_web")
    }
    assert len(addresses) == 2
    for _ in range(60):
        client.predict(quick_head, rows)
    log = stack.compose("logs", "--no-color", "--no-log-prefix", "--tail", "60", "proxy")
    answered = {address for address in addresses if f"upstream={address}:8000" in log}
    assert answered == addresses


def test_a_request_keeps_its_id_through_the_proxy(stack: Stack) -> None:
    with httpx.Client(base_url=stack.url) as http:
        own = http.get("/livez", headers={"X-Request-Id": "mine-1"})
        assert own.headers.get_list("x-request-id") == ["mine-1"]
        [made] = http.get("/livez").headers.get_list("x-request-id")
    assert f"request_id={made}" in stack.compose("logs", "--tail", "20", "proxy")


def test_a_worker_that_dies_half_way_costs_an_attempt_and_nothing_else(
    stack: Stack, client: Client, dataset: Dataset
) -> None:
    config = {"epochs": 30, "batch_size": 64, "seed": 5}
    job = client.jobs.create(dataset=dataset.id, name="survivor", method="nmtune", config=config)
    wait_for_training(job)
    [worker] = stack.containers("worker")
    restarts = inspect(worker)["RestartCount"]
    began = time.monotonic()
    docker("exec", worker, "python", "-c", KILL_MAIN_PROCESS)

    job.wait(timeout=1200)
    stack.note(began, "a job goes on after its worker was killed, until it has succeeded")
    assert inspect(worker)["RestartCount"] == restarts + 1
    assert job.data.attempt == 2
    ends = [event.type for event in job.events() if event.type == "job.succeeded"]
    assert len(ends) == 1
    assert [version.version for version in client.heads.get("survivor").versions] == [1]


def wait_for_training(job: Job, *, seconds: float = 120) -> None:
    """Wait until a candidate has trained for some epochs: there is something to lose."""
    deadline = time.monotonic() + seconds
    while job.refresh().progress is None or (job.progress.epoch or 0) < 3:  # type: ignore[union-attr]
        assert not job.is_final, f"{job.status}: the job was to last longer than this"
        assert time.monotonic() < deadline
        time.sleep(0.1)
