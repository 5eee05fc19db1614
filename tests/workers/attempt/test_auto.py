"""A job of method auto, whole: what it trains, chooses, publishes, reports, and survives."""

from typing import Any

import numpy as np
import pytest

from nmtune import Head
from store.jobs import Job
from store.registry import heads
from tests.support.waiting import wait_until
from tests.workers.workplace import CLASSES, SPLITS, OpenWorkplace, Workplace, children

pytestmark = pytest.mark.slow

CONFIG = {"epochs": 2, "seed": 3}
COMPARED = ["linear_probe", "whitened_probe", "mlp_ensemble", "mlp", "nmtune"]


@pytest.fixture(scope="module")
def finished(open_workplace: OpenWorkplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    workplace = open_workplace(tmp_path_factory.mktemp("auto"))
    workplace.run(
        workplace.submit(
            CONFIG, method="auto", alias="prod", analyses=("ablation", "learning_curve")
        )
    )
    return workplace


@pytest.fixture(scope="module")
def job(finished: Workplace) -> Job:
    with finished.store.database.read() as tx:
        version = heads.resolve(tx, "default", "pets@prod")
    return next(job for job in finished.jobs() if job.id == version.job_id)


@pytest.fixture(scope="module")
def report(finished: Workplace, job: Job) -> dict[str, Any]:
    return finished.report(job)


def test_candidates_are_compared_and_auto_is_among_them(report: dict[str, Any]) -> None:
    ablations = [f"nmtune_without_{term}" for term in ("consistency", "covariance")]
    assert set(report["candidates"]) == {*COMPARED, *ablations, "auto"}
    assert report["method"] == "auto"
    for candidate in report["candidates"].values():
        assert set(candidate["metrics"]) == set(candidate["spectra"]) == set(SPLITS)
    configs = {name: one["config"] for name, one in report["candidates"].items()}
    assert (
        configs["nmtune_without_covariance"]["w_covariance"]
        == 0
        < configs["nmtune"]["w_covariance"]
    )
    terms = {"preset": "folded_mlp", "w_consistency": 0, "w_covariance": 0}
    assert configs["mlp"] == configs["nmtune"] | terms


def test_choice_rests_on_training_and_validation_rows_alone(report: dict[str, Any]) -> None:
    choice = report["choice"]
    assert choice["n_rows"] == SPLITS["train"] + SPLITS["validation"]
    assert set(choice["weights"]) <= set(COMPARED)
    assert sum(choice["weights"].values()) == pytest.approx(1)
    assert [one["candidate"] for one in choice["evidence"]] == COMPARED[:3]
    assert choice["labels_look_noisy"] is False
    assert choice["reason"] in report["verdict"]["sentences"]


def test_published_head_is_the_blend_that_was_chosen(
    finished: Workplace, job: Job, report: dict[str, Any]
) -> None:
    with finished.store.database.read() as tx:
        version = heads.resolve(tx, "default", "pets@prod")
    head = Head.from_bytes(finished.store.artifacts.get_bytes("default", version.sha256))
    assert (version.method, head.classes) == ("auto", CLASSES)
    assert len(head.configs) == len(report["choice"]["weights"])
    assert head.temperature == report["candidates"]["auto"]["temperature"]
    assert head.predict_proba(np.zeros((2, 16))).shape == (2, 3)


def test_verdict_speaks_of_auto_against_its_baselines(report: dict[str, Any]) -> None:
    pairs = {(row["candidate"], row["baseline"]) for row in report["comparison"]}
    assert {("auto", "linear_probe"), ("auto", "mlp"), ("nmtune", "linear_probe")} <= pairs
    for row in report["comparison"]:
        low, high = row["interval"]
        assert low <= row["accuracy_difference"] <= high


def test_calibration_is_told_before_and_after(report: dict[str, Any]) -> None:
    splits = report["calibration"]["splits"]
    assert set(splits) == set(SPLITS)
    for one in splits.values():
        assert 0 <= one["ece_after"] <= 1
        assert one["ece_before"] != one["ece_after"]


def test_findings_say_what_is_odd_about_the_data(report: dict[str, Any]) -> None:
    found = report["findings"]
    assert found["label_errors"]["n_rows"] == SPLITS["train"]
    assert "labels look" in found["label_errors"]["sentence"]
    assert set(found["near_duplicates"]["splits"]) == set(SPLITS) - {"train"}
    assert found["class_spectra"]["split"] == "test"
    assert len(found["class_spectra"]["raw"]["per_class"]) == len(CLASSES)
    curve = found["learning_curve"]
    assert curve["candidate"] == next(iter(report["choice"]["weights"]))
    sizes = [point["n_rows"] for point in curve["points"]]
    assert sizes == sorted(sizes)
    assert sizes[-1] == SPLITS["train"]
    assert set(curve["outlook"]) == {"test", "ood/paint", "ood/sketch"}
    assert curve["sentence"]


def test_progress_covers_every_candidate_once(finished: Workplace, job: Job) -> None:
    ended = [one["candidate"] for one in finished.progress(job) if one["epoch"] == one["n_epochs"]]
    assert ended[:5] == COMPARED
    fractions = [one["fraction"] for one in finished.progress(job)]
    assert fractions == sorted(fractions)


def test_killed_between_two_candidates_it_ends_with_the_same_head(
    finished: Workplace, job: Job, workplace: Workplace
) -> None:
    again = workplace.submit(CONFIG, method="auto")
    with workplace.running(again):
        # In the middle of it or just behind: on a busy machine nobody may see the middle.
        wait_until(
            lambda: any(
                name.startswith("mlp_ensemble") for name in workplace.read(again).checkpoint
            )
        )
        for child in children():
            child.kill()
    assert workplace.read(again).status == "queued"
    wait_until(lambda: workplace.run(again))
    ended = workplace.read(again)
    assert (ended.status, ended.attempt) == ("succeeded", 2)
    assert workplace.head_sha256(ended) == finished.head_sha256(job)
