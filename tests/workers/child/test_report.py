"""The report as one document: what each part is made of, and what is left out when not given."""

import json
from typing import Any

import numpy as np
import pytest

from nmtune import Evaluation, Head, Trainer, TuneConfig, evaluate, spectrum
from nmtune.numeric.runtime import Runtime
from nmtune.report.comparison import Score
from workers.child.report import CandidateResult, compose
from workers.folder import TrainingInstructions

CLASSES = ("cat", "dog")
SPLITS = ("train", "test", "ood/art")
X = np.array([[2.0, 0.1], [1.5, -0.2], [-1.8, 0.3], [-2.2, 0.0]] * 5, np.float32)
Y = np.array([0, 0, 1, 1] * 5)
INSTRUCTIONS = TrainingInstructions(
    job_id="job_1",
    job_name="pets",
    dataset_id="ds_1",
    dataset_name="pets",
    dataset_path="dataset.safetensors",
    dataset_sha256="0" * 64,
    dataset_warnings=["few rows"],
    candidates={},
    device="cpu",
    n_threads=1,
    checkpoint_seconds=60,
)
MACHINE = Runtime(device="cpu", device_name="CPU", n_threads=1, torch_version="2")


@pytest.fixture(scope="module")
def head() -> Head:
    config = TuneConfig.from_preset("linear_probe", l2=0.01)
    trainer = Trainer(X, Y, classes=CLASSES, config=config)
    for _ in trainer:
        pass
    return trainer.result().head


def evaluated(sureness: float) -> Evaluation:
    """All rows right, each with this probability."""
    probabilities = np.where(np.arange(2) == Y[:, None], sureness, 1 - sureness)
    return evaluate(probabilities, Y, CLASSES)


def trained(head: Head, *, temperature: float | None = None) -> CandidateResult:
    head = head.calibrated(temperature or 1.0)
    one = CandidateResult(head=head, train_seconds=1, history=[], notes=[])
    for split in SPLITS:
        one.evaluations[split] = evaluated(0.9)
        one.spectra[split] = spectrum(head.transform(X))
        if temperature is not None:
            one.uncalibrated[split] = evaluated(0.7)
    return one


def report_of(candidates: dict[str, CandidateResult], method: str, **given: Any) -> dict[str, Any]:
    scores = {
        name: {split: Score(correct=np.ones(len(Y), bool), macro_f1=1.0) for split in SPLITS}
        for name in candidates
    }
    report = compose(
        INSTRUCTIONS,
        method=method,
        machine=MACHINE,
        classes=CLASSES,
        trained=candidates,
        scores=scores,
        raw={split: spectrum(X) for split in SPLITS},
        seconds=2.0,
        class_shares={"cat": 0.5, "dog": 0.5},
        **given,
    )
    return dict(json.loads(json.dumps(report, allow_nan=False)))


def test_every_confusion_matrix_names_its_split(head: Head) -> None:
    report = report_of({"linear_probe": trained(head)}, "linear_probe")
    metrics = report["candidates"]["linear_probe"]["metrics"]
    assert {split: one["split"] for split, one in metrics.items()} == {
        split: split for split in SPLITS
    }
    assert metrics["ood/art"]["confusion_matrix"] == [[10, 0], [0, 10]]
    assert len(metrics["test"]["reliability"]) == 15


def test_what_is_not_given_is_not_claimed(head: Head) -> None:
    report = report_of({"linear_probe": trained(head)}, "linear_probe")
    assert (report["version"], report["choice"], report["calibration"]) == (2, None, None)
    assert report["findings"] == {}
    assert report["candidates"]["linear_probe"]["temperature"] == 1.0


def test_calibration_is_that_of_the_published_head_before_and_after(head: Head) -> None:
    candidates = {"linear_probe": trained(head), "auto": trained(head, temperature=1.5)}
    report = report_of(candidates, "auto")
    calibration = report["calibration"]
    assert (calibration["candidate"], calibration["temperature"]) == ("auto", 1.5)
    assert set(calibration["splits"]) == set(SPLITS)
    of_test = calibration["splits"]["test"]
    assert (of_test["ece_before"], of_test["ece_after"]) == pytest.approx((0.3, 0.1))
    assert of_test["log_loss_before"] > of_test["log_loss_after"]
    filled = [one for one in of_test["reliability_before"] if one["n_rows"]]
    assert [one["mean_confidence"] for one in filled] == pytest.approx([0.7])
    assert report["candidates"]["auto"]["temperature"] == 1.5


def test_choice_and_findings_are_passed_on_and_the_verdict_gives_the_reason(head: Head) -> None:
    candidates = {"linear_probe": trained(head), "auto": trained(head)}
    choice = {"reason": "Auto took the linear probe: nothing did better.", "n_folds": 5}
    findings = {"label_errors": {"n_rows": 3}}
    report = report_of(candidates, "auto", choice=choice, findings=findings)
    assert (report["choice"], report["findings"]) == (choice, findings)
    assert report["verdict"]["sentences"][0] == choice["reason"]


def test_spectra_are_set_against_accuracy(head: Head) -> None:
    report = report_of({name: trained(head) for name in ("linear_probe", "mlp")}, "mlp")
    correlation = report["spectra"]["correlation"]
    assert set(correlation["splits"]) == {"test", "ood/art"}
    assert correlation["splits"]["test"]["n_candidates"] == 2
    assert correlation["sentence"].startswith("2 candidates")


def test_published_head_without_spectra_has_no_sentence_on_them(head: Head) -> None:
    blend = trained(head)
    blend.spectra.clear()
    report = report_of({"linear_probe": trained(head), "auto": blend}, "auto")
    assert report["spectra"]["tuned"] == {}
    assert not any("Spectrum" in one for one in report["verdict"]["sentences"])
