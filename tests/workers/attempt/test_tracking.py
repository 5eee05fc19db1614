"""A training is logged to a real MLflow server, and one that is away fails no job."""

import json
import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from store import jobs
from store.jobs import Job
from store.registry import heads
from store.registry.head_to_publish import NewHeadVersion
from tests.support import mlflow_server
from tests.workers.workplace import SPLITS, OpenWorkplace, Workplace
from workers.attempt import tracking
from workers.settings import WorkerSettings

FEW = {"epochs": 2, "seed": 3, "l2": 1.0}
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def trained(
    open_workplace: OpenWorkplace, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workplace, Job, list[str]]:
    """A workplace whose one job was run while its tracking server was away; the job, and what was
    said of it in the log.
    """
    workplace = open_workplace(tmp_path_factory.mktemp("trained"))
    workplace.settings = naming(workplace.settings, NOBODY)
    said: list[str] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    heard = Heard()
    tracking.logger.addHandler(heard)
    try:
        ended = workplace.run(workplace.submit(FEW, alias="prod"))
    finally:
        tracking.logger.removeHandler(heard)
    assert ended is not None
    return workplace, ended, said


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server.serving(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


def naming(settings: WorkerSettings, url: str) -> WorkerSettings:
    return settings.model_copy(update={"mlflow_tracking_uri": SecretStr(url)})


ODD = {
    ".": "_2e_",
    "..": "_2e__2e_",
    "a/../b": "a_2f_.._2f_b",
    "a/": "a_2f_",
    "grün": "gr_fc_n",
    "v1.5 x": "v1.5 x",
    "x" * 300: "x" * 196,
}
"""Domains that MLflow would refuse in the name of a figure, and what they are called there."""


def publish_with(workplace: Workplace, job: Job, domains: Iterable[str]) -> Job:
    """The job as if it had published a version with a figure for each of these domains."""
    with workplace.store.database.begin() as tx:
        one = heads.version(tx, "default", "pets", 1)
        new = NewHeadVersion(
            name="pets",
            sha256=one.sha256,
            size_bytes=one.size_bytes,
            method=one.method,
            n_columns=one.n_columns,
            classes=one.classes,
            n_parameters=one.n_parameters,
            config=one.config,
            metrics={f"ood/{name}": {"accuracy": 0.5} for name in domains},
            adapted_from=1,
        )
        heads.publish(tx, "default", job_id=job.id, dataset_id=one.dataset_id, new=new)
    return replace(job, head_version=2)


def runs_at(url: str) -> list[dict[str, Any]]:
    path = f"{url}/api/2.0/mlflow"
    found = httpx.get(
        f"{path}/experiments/get-by-name", params={"experiment_name": "nmtune"}
    ).json()
    answer = httpx.post(
        f"{path}/runs/search", json={"experiment_ids": [found["experiment"]["experiment_id"]]}
    )
    return list(answer.json()["runs"])


def report_of(run: dict[str, Any], url: str) -> dict[str, Any]:
    place = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    found = httpx.get(f"{url}/api/2.0/mlflow-artifacts/artifacts/{place}/report.json")
    return dict(found.json())


def test_a_server_that_is_away_fails_no_job(trained: tuple[Workplace, Job, list[str]]) -> None:
    _, job, said = trained
    assert (job.status, job.head_version, job.error) == ("succeeded", 1, None)
    (line,) = said
    assert line.startswith(f"job.not_tracked job_id={job.id} reason=")


@pytest.mark.slow
def test_a_training_is_a_run_with_settings_figures_and_report(
    trained: tuple[Workplace, Job, list[str]], mlflow: str
) -> None:
    workplace, job, _ = trained
    artifacts, settings = workplace.store.artifacts, naming(workplace.settings, mlflow)
    suspect = {"row": 1, "id": "patient-3", "text": "secret"}
    named = {"findings": {"label_errors": {"suspected": [suspect]}}}
    sha256 = artifacts.put_bytes("default", json.dumps(named).encode()).sha256
    odd = publish_with(workplace, job, [*ODD, *map(str, range(1000))])
    for one in (replace(odd, report_sha256=sha256), job):  # the second finds the experiment
        tracking.log(one, store=workplace.store, settings=settings)
    runs = {one["info"]["run_name"]: one for one in runs_at(mlflow)}
    run, other = runs.pop("pets@1"), runs.pop("pets@2")
    assert runs == {}
    with workplace.store.database.read() as tx:
        version = heads.version(tx, "default", "pets", 1)
    info, data = run["info"], run["data"]
    assert (info["run_name"], info["status"]) == ("pets@1", "FINISHED")
    assert info["end_time"] >= info["start_time"] > 0
    params = {one["key"]: one["value"] for one in data["params"]}
    assert (params["method"], params["n_columns"], params["n_classes"]) == ("nmtune", "16", "3")
    assert (params["config.seed"], params["config.epochs"]) == ("3", "2")
    metrics = {one["key"]: one["value"] for one in data["metrics"]}
    for split in ("test", "ood/paint", "ood/sketch"):
        assert metrics[f"{split}/accuracy"] == pytest.approx(version.metrics[split]["accuracy"])
    assert metrics["test/n_rows"] == SPLITS["test"]
    tags = {one["key"]: one["value"] for one in data["tags"]}
    assert (tags["nmtune.job_id"], tags["nmtune.tenant"]) == (job.id, "default")
    assert report_of(run, mlflow) == workplace.report(job)
    (shared,) = report_of(other, mlflow)["findings"]["label_errors"]["suspected"]
    assert shared == {"row": 1, "id": None, "text": None}
    assert other["info"]["status"] == "FINISHED"
    figures = {one["key"]: one["value"] for one in other["data"]["metrics"]}
    assert len(figures) == 900
    assert all(figures[f"ood/{name}/accuracy"] == 0.5 for name in ODD.values())


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[str | None]]]:
    """A server that gives each request this answer: its place, and the authorisations sent."""
    sent: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent.append(self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", sent
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (500, b"broken", "experiments/get-by-name was answered with 500: broken"),
        (302, b"elsewhere", "was answered with 302: elsewhere"),
        (200, b"<html>", "is no JSON"),
        (200, b'{"experiment": {}}', "KeyError: 'experiment_id'"),
    ],
)
def test_what_a_server_answers_wrongly_is_said_in_the_log(
    trained: tuple[Workplace, Job, list[str]],
    caplog: pytest.LogCaptureFixture,
    status: int,
    body: bytes,
    says: str,
) -> None:
    workplace, job, _ = trained
    with answering(status, body) as (place, sent):
        settings = naming(workplace.settings, f"http://ada:s%40fe@{place}/mlflow/")
        tracking.log(job, store=workplace.store, settings=settings)
        token = settings.model_copy(update={"mlflow_tracking_token": SecretStr("t0ken")})
        tracking.log(job, store=workplace.store, settings=token)
    assert caplog.text.count(f"job.not_tracked job_id={job.id}") == 2
    assert says in caplog.text
    assert "s%40fe" not in caplog.text
    assert sent == ["Basic YWRhOnNAZmU=", "Bearer t0ken"]


def test_only_the_url_of_a_server_is_taken() -> None:
    for wrong in ("mlflow:5000", "ftp://mlflow", "http://", "http://u:s3cret@h:x", "databricks"):
        with pytest.raises(ValidationError, match="mlflow_tracking_uri") as refused:
            WorkerSettings(mlflow_tracking_uri=wrong)  # type: ignore[arg-type]
        assert "s3cret" not in str(refused.value)


def test_a_token_that_fits_no_header_is_refused_and_not_shown() -> None:
    for wrong in ("s3cret\n", "s3cret x", "s3crét", ""):
        with pytest.raises(ValidationError, match="mlflow_tracking_token") as refused:
            WorkerSettings(mlflow_tracking_token=SecretStr(wrong))
        assert "s3cr" not in str(refused.value)


def test_the_row_of_the_job_is_as_it_was(trained: tuple[Workplace, Job, list[str]]) -> None:
    workplace, job, _ = trained
    with workplace.store.database.read() as tx:
        assert jobs.get(tx, "default", job.id) == job
