"""Jobs with real processes: every end a job can have, and going on where it was broken off."""

import time
from typing import Any

import numpy as np
import psutil
import pytest

from nmtune import Head
from store import jobs, transitions
from store.errors import DatabaseUnavailable
from store.jobs import Job
from store.registry import heads
from tests.support.waiting import wait_until
from tests.workers.workplace import CLASSES, ENDLESS, SPLITS, OpenWorkplace, Workplace, children

FEW = {"epochs": 6, "seed": 3, "l2": 1.0}


@pytest.fixture(scope="module")
def finished(open_workplace: OpenWorkplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace whose one job has succeeded."""
    workplace = open_workplace(tmp_path_factory.mktemp("finished"))
    job = workplace.submit(FEW, alias="prod")
    workplace.run(job)
    return workplace


@pytest.fixture(scope="module")
def done(finished: Workplace) -> Job:
    """That job, as its row says."""
    with finished.store.database.read() as tx:
        version = heads.resolve(tx, "default", "pets@prod")
        return jobs.get(tx, "default", version.job_id)


def test_job_succeeds_and_publishes_its_head_under_name_and_alias(
    finished: Workplace, done: Job
) -> None:
    assert (done.status, done.attempt, done.error) == ("succeeded", 1, None)
    assert (done.head_name, done.head_version, done.checkpoint) == ("pets", 1, {})
    with finished.store.database.read() as tx:
        version = heads.resolve(tx, "default", "pets@prod")
    assert (version.method, version.classes, version.n_columns) == ("nmtune", [*CLASSES], 16)
    head = Head.from_bytes(finished.store.artifacts.get_bytes("default", version.sha256))
    assert head.n_parameters == version.n_parameters
    assert version.metrics["test"]["n_rows"] == SPLITS["test"]
    assert head.self_test is not None
    np.testing.assert_allclose(
        head.predict_proba(head.self_test.x), head.self_test.probabilities, atol=1e-6
    )
    assert head.knowledge is not None
    assert head.knowledge.conformal is not None
    # NMTune holds nothing out, so the validation rows are what it has not learnt from.
    assert head.knowledge.conformal.n_rows == SPLITS["validation"]
    assert head.knowledge.row_summary.n_rows == SPLITS["train"]
    assert head.knowledge.ood is not None


def test_report_tries_what_the_head_knows_on_rows_never_learnt_from(
    finished: Workplace, done: Job
) -> None:
    trust = finished.report(done)["findings"]["trust"]
    assert trust["conformal"]["level"] == 0.9
    assert trust["conformal"]["n_held_out_rows"] == SPLITS["validation"]
    coverage = {name: one["coverage"] for name, one in trust["conformal"]["splits"].items()}
    assert set(coverage) == {"test", "ood/paint", "ood/sketch"}
    assert coverage["test"] > 0.75
    assert trust["conformal"]["splits"]["test"]["mean_size"] >= 1
    ood = trust["ood"]["splits"]
    assert ood["test"]["share_above_threshold"] < 0.2
    assert (ood["test"]["auroc"], ood["ood/paint"]["n_rows"]) == (None, 80)
    assert 0.5 < ood["ood/paint"]["auroc"] <= 1
    assert "of the test rows" in trust["sentence"]
    assert "AUROC" in trust["sentence"]


def test_events_tell_every_stage_and_the_last_epoch_of_each_candidate(
    finished: Workplace, done: Job
) -> None:
    events = finished.events(done)
    stages = [event.data["stage"] for event in events if event.type == "job.stage"]
    assert stages == ["loading", "training", "comparing", "evaluating", "spectra", "publishing"]
    assert [events[1].type, events[-1].type] == ["job.started", "job.succeeded"]
    ended = [one["candidate"] for one in finished.progress(done) if one["epoch"] == one["n_epochs"]]
    assert ended == ["nmtune", "linear_probe", "mlp"], "what is published comes first"


def test_progress_rises_over_the_whole_job(finished: Workplace, done: Job) -> None:
    progress = finished.progress(done)
    fractions = [one["fraction"] for one in progress]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < fractions[-1] <= 1
    assert progress[-1]["eta_seconds"] >= 0
    assert set(progress[-1]["losses"]) > {"total", "cross_entropy"}


def test_report_has_every_part(finished: Workplace, done: Job) -> None:
    report = finished.report(done)
    assert (report["version"], report["job_id"], report["method"]) == (2, done.id, "nmtune")
    assert report["dataset"]["splits"] == [
        {"name": name, "n_rows": n_rows, "n_classes_present": 3} for name, n_rows in SPLITS.items()
    ]
    assert list(report["candidates"]) == ["linear_probe", "mlp", "nmtune"]
    for candidate in report["candidates"].values():
        _check_candidate(candidate)
    spectra = report["spectra"]
    assert spectra["centering"] == "none"
    assert set(spectra["raw"]) == set(spectra["tuned"]) == set(SPLITS)
    assert len(spectra["raw"]["test"]["singular_values"]) == 16
    assert report["warnings"] == [{"code": "few_rows", "message": "Add rows."}]
    assert report["verdict"]["best_id"] in report["candidates"]
    assert report["verdict"]["summary"].startswith(("Use ", "A trade"))
    assert report["environment"]["seed"] == 3
    assert report["environment"]["n_threads"] == 1


def _check_candidate(candidate: dict[str, Any]) -> None:
    assert set(candidate["metrics"]) == set(candidate["spectra"]) == set(SPLITS)
    assert candidate["metrics"]["test"]["accuracy"] > 0.5
    assert set(candidate["spectra"]["test"]) == {"entropy", "largest_ratio", "effective_rank"}
    epochs = [report["epoch"] for report in candidate["history"]]
    assert epochs == list(range(1, candidate["history"][0]["n_epochs"] + 1))
    assert candidate["train_seconds"] > 0


def test_comparison_covers_pairs_splits_and_the_mean(finished: Workplace, done: Job) -> None:
    comparison = finished.report(done)["comparison"]
    pairs = {(row["candidate"], row["baseline"]) for row in comparison}
    assert pairs == {("nmtune", "linear_probe"), ("nmtune", "mlp"), ("mlp", "linear_probe")}
    first = [row for row in comparison if row["baseline"] == "mlp"]
    assert [(row["split"], row["kind"]) for row in first] == [
        ("test", "id"),
        ("ood/paint", "ood"),
        ("ood/sketch", "ood"),
        ("ood", "ood_mean"),
    ]
    mean = (first[1]["accuracy_difference"] + first[2]["accuracy_difference"]) / 2
    assert first[3]["accuracy_difference"] == pytest.approx(mean)


def test_nothing_stays_behind_after_success(finished: Workplace, done: Job) -> None:
    assert done.lease_expires_at is None
    assert list(finished.settings.work_dir.iterdir()) == []
    assert children() == []


def test_job_that_is_not_queued_is_not_run(finished: Workplace, done: Job) -> None:
    assert finished.run(done) is None
    assert finished.read(done) == done


def test_fault_of_the_user_fails_at_once_and_names_the_field(workplace: Workplace) -> None:
    dataset = workplace.add_dataset(n_trained=1)
    job = workplace.run(workplace.submit(FEW, dataset=dataset))
    assert job is not None
    assert (job.status, job.attempt, job.stage) == ("failed", 1, "training")
    assert list(workplace.settings.work_dir.iterdir()) == []
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("invalid_data", "labels")
    assert "two classes" in job.error["message"]


def test_lost_dataset_fails_at_once(workplace: Workplace) -> None:
    dataset = workplace.add_dataset()
    job = workplace.submit(FEW, dataset=dataset)
    workplace.store.artifacts.delete("default", dataset.sha256)
    ended = workplace.run(job)
    assert ended is not None
    assert ended.error is not None
    assert (ended.status, ended.error["code"]) == ("failed", "artifact_missing")


def test_database_that_is_away_at_the_end_delays_the_end(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = workplace.add_dataset()
    workplace.store.artifacts.delete("default", dataset.sha256)
    fail, n_tries = transitions.fail, 0

    def away_at_first(*arguments: Any, **options: Any) -> Job:
        nonlocal n_tries
        n_tries += 1
        if n_tries < 3:
            raise DatabaseUnavailable("not now")
        return fail(*arguments, **options)

    monkeypatch.setattr(transitions, "fail", away_at_first)
    ended = workplace.run(workplace.submit(FEW, dataset=dataset))
    assert ended is not None
    assert (ended.status, n_tries) == ("failed", 3)


def test_our_settings_which_may_hold_passwords_are_not_the_trainings(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NMTUNE_DATABASE_URL", "postgresql://user:password@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("OTHERS", "kept")
    job = workplace.submit(ENDLESS)
    with workplace.running(job):
        wait_until(lambda: workplace.read(job).progress)
        (environment,) = [child.environ() for child in children()]
        workplace.request_cancel(job)
    assert environment["OTHERS"] == "kept"
    assert not [name for name in environment if name.startswith(("NMTUNE_", "AWS_"))]


@pytest.mark.serial
def test_cancel_of_a_running_job_takes_under_three_seconds(workplace: Workplace) -> None:
    job = workplace.submit(ENDLESS)
    with workplace.running(job):
        wait_until(lambda: workplace.read(job).progress)
        pids = [child.pid for child in children()]
        asked_at = time.monotonic()
        workplace.request_cancel(job)
        wait_until(lambda: workplace.read(job).status == "cancelled")
        assert time.monotonic() - asked_at < 3
    assert len(pids) == 1
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert workplace.events(job)[-1].type == "job.cancelled"


def test_lost_lease_stops_silently_and_writes_nothing(workplace: Workplace) -> None:
    job = workplace.submit(ENDLESS)
    with workplace.running(job):
        wait_until(lambda: workplace.read(job).progress)
        with workplace.store.database.begin() as tx:
            taken_away = transitions.release(tx, workplace.read(job))
        n_events = len(workplace.events(job))
        wait_until(lambda: not children())
    assert workplace.read(job) == taken_away
    assert len(workplace.events(job)) == n_events


def test_damaged_checkpoint_costs_time_and_not_the_job(workplace: Workplace) -> None:
    """One file is lost, one is damaged, one is no checkpoint at all: each is done again."""
    job = workplace.submit(FEW)
    put = workplace.store.artifacts.put_bytes("default", b"no checkpoint")
    with workplace.store.database.begin() as tx:
        claimed = transitions.claim(tx, job.id, worker="dead", lease_seconds=60)
        assert claimed is not None
        checkpoint = {
            "linear_probe.head.safetensors": put.sha256,
            "linear_probe.result.json": "0" * 64,
            "mlp.checkpoint.safetensors": put.sha256,
            "nmtune.head.safetensors": put.sha256,
            "nmtune.result.json": put.sha256,
        }
        transitions.heartbeat(tx, claimed, lease_seconds=60, checkpoint=checkpoint)
        transitions.release(tx, claimed)
    ended = workplace.run(job)
    assert ended is not None
    assert ended.status == "succeeded"


def test_crashing_job_is_tried_again_and_then_fails_without_a_traceback(
    workplace: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    """Under this memory limit the interpreter starts and then cannot load its libraries."""
    settings = workplace.settings.model_copy(update={"memory_limit": 20 << 20})
    workplace = Workplace(workplace.store, settings)
    job = workplace.submit(FEW, max_attempts=2)
    first = workplace.run(job)
    assert first is not None
    assert (first.status, first.attempt) == ("queued", 1)
    assert first.not_before_at is not None
    assert workplace.run(job) is None, "it is not due yet"

    wait_until(lambda: workplace.run(job))
    failed = workplace.read(job)
    assert (failed.status, failed.attempt) == ("failed", 2)
    assert failed.error is not None
    assert failed.error["code"] == "internal"
    assert "Traceback" not in failed.error["message"]
    assert "alloc" in caplog.text, "the child's last words are in the log"  # OpenBLAS's or torch's
