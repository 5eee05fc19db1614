"""Reports with types: of this version, of earlier ones, and of ones that are not there yet."""

import doctest
import subprocess
import sys
from typing import Any

import nmtune_client._report.report
import pytest
from nmtune_client import Report
from nmtune_client._report.frames import wilson
from nmtune_client._report.parts import Candidate, Choice, Comparison

PAIR = {
    "split": "ood/hwu",
    "kind": "ood",
    "candidate": "nmtune",
    "baseline": "mlp",
    "accuracy_difference": 0.02,
    "interval": [0.01, 0.03],
    "finding": "gain",
}


def test_attributes_are_the_json_too(report_json: dict[str, Any]) -> None:
    choice = {
        "weights": {"mlp": 1.0},
        "reason": "It is better.",
        "evidence": [{"candidate": "mlp"}],
    }
    report = Report.from_json(report_json | {"choice": choice, "comparison": [PAIR]})
    assert isinstance(report.choice, Choice)
    assert report.choice.evidence[0].candidate == "mlp"
    assert report.choice["evidence"] == [{"candidate": "mlp"}]
    assert report.choice == choice
    assert dict(report.choice) == choice
    (pair,) = report.comparison
    assert (pair.interval, pair["interval"]) == ((0.01, 0.03), [0.01, 0.03])
    candidate = report.candidate("nmtune")
    assert candidate.metrics["test"].accuracy == candidate["metrics"]["test"]["accuracy"] == 0.9691
    assert report.spectra.untuned["test"].singular_values == (2.0, 1.0)
    assert report.dataset.classes == ("a", "b")


def test_the_repr_of_a_part_is_one_short_line(report_json: dict[str, Any]) -> None:
    report = Report.from_json(report_json | {"comparison": [PAIR]})
    for part in (report.comparison[0], report.candidate("mlp"), report.dataset, report.spectra):
        assert len(repr(part)) < 500
        assert "\n" not in repr(part)
    assert repr(report.comparison[0]).startswith("Comparison(split='ood/hwu', kind='ood'")


def test_a_part_cannot_be_changed(report_json: dict[str, Any]) -> None:
    part = Report.from_json(report_json).candidate("mlp")
    with pytest.raises(AttributeError):
        part.n_parameters = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        part["n_parameters"] = 3  # type: ignore[index]


def test_an_earlier_report_lacks_what_came_later() -> None:
    metrics = {"test": {"accuracy": 0.5, "macro_f1": 0.4}}
    old = {"candidates": {"mlp": {"metrics": metrics}}}
    report = Report.from_json(old)
    assert (report.choice, report.alias, report.abstention, report.calibration) == (None,) * 4
    assert report.comparison == ()
    assert report.findings.trust is None
    assert report.environment.seed is None
    assert report.candidate("mlp").metrics["test"].per_class == ()
    assert report.suspects == ()
    frame = report.to_pandas()
    assert frame[["metric", "value"]].to_numpy().tolist() == [["accuracy", 0.5], ["macro_f1", 0.4]]
    assert frame.low.isna().all(), "of how many rows is not known"
    assert report.to_pandas("comparison").empty


def test_a_later_report_is_read_as_far_as_it_is_known(report_json: dict[str, Any]) -> None:
    later = {**PAIR, "shape": "round", "interval": None}
    findings = {"label_errors": {"n_rows": 3, "new": 1}, "new_finding": {"sentence": "News."}}
    report = Report.from_json(report_json | {"comparison": [later, "odd"], "findings": findings})
    assert report.comparison[0]["shape"] == "round"
    assert report.comparison[0].interval == ()
    assert len(report.comparison) == 1
    assert report.findings["new_finding"] == {"sentence": "News."}
    assert "News." in report.text(full=True)


@pytest.mark.parametrize("odd", [3, "words", [1], None, [{"a": 1}, 2]])
def test_a_part_of_another_kind_than_known_is_left_out(odd: Any) -> None:
    assert Candidate.from_json({"metrics": odd}).metrics == {}
    assert Candidate.from_json({"spectra": {"test": odd}}).spectra in ({}, {"test": None})
    assert isinstance(Comparison.from_json({"interval": odd}).interval, tuple)
    assert Report.from_json({"candidates": {}, "findings": odd}).findings.label_errors is None


def test_frames_are_tidy(report_json: dict[str, Any]) -> None:
    report = Report.from_json(report_json | {"comparison": [PAIR]})
    frame = report.to_pandas()
    assert len(frame) == 3 * (4 * 4 + 2)
    row = frame[(frame.candidate == "nmtune") & (frame.split == "test")].iloc[0]
    assert (row.metric, row.value, row.n_rows, row.kind, row.published) == (
        *("accuracy", 0.9691, 810, "id"),
        True,
    )
    assert (row.low, row.high) == pytest.approx(wilson(0.9691, 810))
    means = frame[frame.kind == "ood_mean"]
    assert sorted(set(means.metric)) == ["accuracy", "macro_f1"]
    assert means.n_rows.isna().all()
    assert frame[frame.kind == "train"].low.isna().all(), "rows that were learnt from"
    pairs = report.to_pandas("comparison")
    assert pairs[["candidate", "low", "high", "finding"]].to_numpy().tolist() == [
        ["nmtune", 0.01, 0.03, "gain"]
    ]
    with pytest.raises(ValueError, match="'metrics' or 'comparison', got 'all'"):
        report.to_pandas("all")


def test_an_interval_that_the_server_sends_is_taken(report_json: dict[str, Any]) -> None:
    report_json["candidates"]["mlp"]["metrics"]["test"]["accuracy_interval"] = [0.9, 0.99]
    frame = Report.from_json(report_json).to_pandas()
    row = frame[(frame.candidate == "mlp") & (frame.split == "test")].iloc[0]
    assert (row.low, row.high) == (0.9, 0.99)


@pytest.mark.parametrize(
    ("share", "n_rows", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (0.0, 20, 0.0, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_those_of_the_literature(
    share: float, n_rows: int, low: float, high: float
) -> None:
    assert wilson(share, n_rows) == pytest.approx((low, high), abs=5e-5)


def test_the_examples_of_the_documentation_run() -> None:
    found = doctest.testmod(nmtune_client._report.report)
    assert (found.failed, found.attempted > 3) == (0, True)


def test_without_pandas_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from nmtune_client import Report\n"
        "try:\n    Report.from_json({'candidates': {}}).to_pandas()\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'nmtune-client[pandas]'" in done.stdout
