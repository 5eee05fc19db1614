"""What a worker counts: sweeps, leases, heartbeats, attempts and stages; and its own port."""

import socket
import urllib.request

import pytest
from prometheus_client import REGISTRY

from store import transitions
from store.jobs import Job
from store.queue import LocalQueue
from tests.support.waiting import wait_until
from tests.workers.attempt.test_lease import database_away, job, lease_of  # noqa: F401 - `job` is a fixture
from tests.workers.workplace import Workplace
from workers import job_id, metrics
from workers.attempt import embedding
from workers.attempt.supervise import Ending
from workers.settings import WorkerSettings
from workers.slots.sweep import sweep

QUICK = {"epochs": 2, "l2": 1.0}

_OF_OTHERS = {"embedding", "predicting", "comparing"}
TRAINING_STAGES = [one for one in metrics.STAGES if one not in _OF_OTHERS]
"""Those of a linear probe on embeddings, which has nothing to be compared with."""


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_an_attempt_leaves_its_time_its_end_and_its_stages(workplace: Workplace) -> None:
    ended = {"method": "linear_probe", "end": "succeeded"}
    before = value("nmtune_attempt_seconds_count", **ended)
    begun = value("nmtune_attempts_total", method="linear_probe")
    stages = [
        value("nmtune_stage_seconds_count", method="linear_probe", stage=one)
        for one in TRAINING_STAGES
    ]
    assert workplace.run(workplace.submit({"l2": 1.0}, method="linear_probe")) is not None
    assert value("nmtune_attempt_seconds_count", **ended) == before + 1
    assert value("nmtune_attempts_total", method="linear_probe") == begun + 1
    assert value("nmtune_worker_running_jobs") == 0
    after = [
        value("nmtune_stage_seconds_count", method="linear_probe", stage=one)
        for one in TRAINING_STAGES
    ]
    assert after == [one + 1 for one in stages]


def test_each_stage_that_a_job_may_have_has_a_label_of_its_own() -> None:
    clock = metrics.StageClock("prediction")
    for stage in {embedding.STAGE, *metrics.STAGES}:
        counted = value("nmtune_stage_seconds_count", method="prediction", stage=stage)
        clock.enter(stage)
        clock.stop()
        now = value("nmtune_stage_seconds_count", method="prediction", stage=stage)
        assert now == counted + 1


def test_a_sweep_is_counted_with_what_it_moved(workplace: Workplace) -> None:
    sweeps, swept = value("nmtune_sweeps_total"), value("nmtune_swept_jobs_total", status="queued")
    submitted = workplace.submit({})
    with workplace.store.database.begin() as tx:
        assert transitions.claim(tx, submitted.id, worker="dead", lease_seconds=0) is not None
    sweep(workplace.store, LocalQueue())
    assert value("nmtune_sweeps_total") == sweeps + 1
    assert value("nmtune_swept_jobs_total", status="queued") == swept + 1


def test_a_lost_lease_and_a_failed_heartbeat_are_counted(workplace: Workplace, job: Job) -> None:  # noqa: F811
    losses, errors = value("nmtune_lease_losses_total"), value("nmtune_heartbeat_errors_total")
    with lease_of(workplace, job, seconds=60) as lease:
        with database_away(workplace):
            wait_until(lambda: value("nmtune_heartbeat_errors_total") > errors)
        with workplace.store.database.begin() as tx:
            transitions.release(tx, job)
        wait_until(lambda: lease.ending is Ending.LEASE_LOST)
    assert value("nmtune_lease_losses_total") == losses + 1


def test_log_lines_of_the_leases_thread_are_about_the_job(
    workplace: Workplace,
    job: Job,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    about: list[str | None] = []
    caplog.handler.addFilter(lambda _: about.append(job_id.current()) or True)
    with job_id.working_on(job.id), lease_of(workplace, job, seconds=60), database_away(workplace):
        wait_until(lambda: "lease.heartbeat_failed" in caplog.text)
    assert set(about) == {job.id}
    assert job_id.current() is None


def test_what_is_in_no_set_has_one_label() -> None:
    metrics.began("a user's text")
    metrics.ended("a user's text", end="new", seconds=1)
    clock = metrics.StageClock("a user's text")
    clock.enter("unheard of")
    clock.stop()
    labels = {
        label
        for family in (metrics.ATTEMPTS, metrics.ATTEMPT_SECONDS, metrics.STAGE_SECONDS)
        for metric in family.collect()
        for sample in metric.samples
        for name, label in sample.labels.items()
        if name != "le"
    }
    assert labels <= {
        *("auto", "linear_probe", "mlp", "nmtune", "prediction", "migration"),
        *metrics.STAGES,
        *metrics.ENDS,
        metrics.OTHER,
    }


def test_a_worker_shows_its_metrics_on_its_port_and_ends_with_the_block() -> None:
    with metrics.served(WorkerSettings(metrics_port=0)) as port:
        address = f"http://127.0.0.1:{port}/metrics"
        text = urllib.request.urlopen(address, timeout=60).read()
    assert b"nmtune_sweeps_total" in text
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port or 0)) != 0


def test_without_a_port_nothing_listens() -> None:
    with metrics.served(WorkerSettings()) as port:
        assert port is None


def test_a_port_in_use_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = WorkerSettings(metrics_port=taken.getsockname()[1])
        with pytest.raises(OSError, match="NMTUNE_METRICS_PORT"), metrics.served(settings):
            pass
