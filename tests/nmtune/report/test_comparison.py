"""The comparison: paired differences, what their rows can settle, and the mean over domains."""

import numpy as np
import pytest

from nmtune.numeric.statistics import PairedCounts, bootstrap_interval, mcnemar_p_value
from nmtune.report.comparison import Comparison, Score, compare_candidates, mean_ood_accuracy


def score(n_right: int, n_rows: int = 100, *, macro_f1: float = 0.5, first: int = 0) -> Score:
    """The rows `first` .. `first + n_right` right, the others wrong."""
    correct = np.zeros(n_rows, bool)
    correct[first : first + n_right] = True
    return Score(correct=correct, macro_f1=macro_f1)


def rows_of(probe: dict[str, Score], mlp: dict[str, Score]) -> dict[str, Comparison]:
    """The MLP against the linear probe, by split."""
    scores = {"linear_probe": probe, "mlp": mlp}
    id_split = "test" if "test" in probe else None
    return {row.split: row for row in compare_candidates(scores, method="mlp", id_split=id_split)}


def on_test(probe: Score, mlp: Score) -> Comparison:
    return rows_of({"test": probe}, {"test": mlp})["test"]


def pairs_of(method: str, *candidates: str) -> list[tuple[str, str]]:
    scores = {name: {"test": score(80)} for name in candidates}
    rows = compare_candidates(scores, method=method, id_split="test")
    return [(row.candidate, row.baseline) for row in rows]


def test_difference_is_candidate_minus_baseline() -> None:
    row = on_test(score(80, macro_f1=0.7), score(90, macro_f1=0.6))
    assert (row.kind, row.candidate, row.baseline, row.n_rows) == ("id", "mlp", "linear_probe", 100)
    assert row.accuracy_difference == pytest.approx(0.10)
    assert row.macro_f1_difference == pytest.approx(-0.1)


def test_interval_and_test_come_from_the_rows_where_they_disagree() -> None:
    row = on_test(score(80), score(80, first=4))
    assert (row.n_gained, row.n_lost, row.accuracy_difference) == (4, 4, 0)
    counts = PairedCounts(n_rows=100, n_gained=4, n_lost=4)
    assert row.interval == bootstrap_interval([counts])
    assert row.p_value == 1
    assert on_test(score(80), score(88)).p_value == mcnemar_p_value(8, 0)


@pytest.mark.parametrize(
    ("n_gained", "finding"),
    [(0, "unclear"), (1, "unclear"), (2, "unclear"), (3, "probable_gain"), (6, "gain")],
)
def test_few_disagreements_settle_nothing(n_gained: int, finding: str) -> None:
    """All of them on one side: McNemar's test stays above 0.05 until there are six."""
    assert on_test(score(80), score(80 + n_gained)).finding == finding
    mirrored = finding.replace("gain", "loss")
    assert on_test(score(80 + n_gained), score(80)).finding == mirrored


def test_four_to_none_is_no_clear_gain_though_the_interval_leaves_out_zero() -> None:
    row = on_test(score(80), score(84))
    assert row.interval[0] > 0
    assert row.finding == "probable_gain"


def test_small_difference_among_many_disagreements_is_unclear() -> None:
    row = on_test(score(600, 1000), score(602, 1000, first=20))
    assert (row.n_gained, row.n_lost) == (22, 20)
    assert row.finding == "unclear"
    assert not row.gains
    assert not row.loses


def test_mean_weighs_domains_alike_whatever_their_size() -> None:
    mean = rows_of(
        {"ood/a": score(5, 10), "ood/b": score(500, 1000)},
        {"ood/a": score(7, 10), "ood/b": score(500, 1000)},
    )["ood"]
    assert (mean.kind, mean.n_rows, mean.n_gained) == ("ood_mean", 1010, 2)
    assert mean.accuracy_difference == pytest.approx(0.1)
    assert mean.p_value is None
    small, large = (
        PairedCounts(n_rows=10, n_gained=2, n_lost=0),
        PairedCounts(n_rows=1000, n_gained=0, n_lost=0),
    )
    assert mean.interval == bootstrap_interval([small, large])


def test_mean_of_domains_needs_disagreements_too() -> None:
    """Five to none over two domains: their interval leaves out 0, but no test could."""
    few = rows_of(
        {"ood/a": score(80), "ood/b": score(80)}, {"ood/a": score(83), "ood/b": score(82)}
    )["ood"]
    assert few.interval[0] > 0
    assert few.finding == "probable_gain"
    many = rows_of(
        {"ood/a": score(80), "ood/b": score(80)}, {"ood/a": score(86), "ood/b": score(85)}
    )["ood"]
    assert many.finding == "gain"


def test_mean_of_one_domain_is_that_domain() -> None:
    rows = rows_of({"ood/a": score(80)}, {"ood/a": score(88, first=2)})
    assert rows["ood"].interval == rows["ood/a"].interval
    assert rows["ood"].p_value == rows["ood/a"].p_value
    assert rows["ood"].finding == rows["ood/a"].finding


def test_train_and_validation_are_not_compared() -> None:
    splits = {"train": score(100), "validation": score(90), "test": score(80)}
    assert list(rows_of(splits, splits)) == ["test"]


def test_what_is_published_comes_first_then_nmtune_and_no_pair_twice() -> None:
    everything = ("linear_probe", "whitened_probe", "mlp", "nmtune", "mlp_ensemble", "auto")
    others = [("nmtune", "linear_probe"), ("nmtune", "mlp"), ("mlp", "linear_probe")]
    assert pairs_of("auto", *everything) == [
        ("auto", "linear_probe"),
        ("auto", "mlp"),
        ("auto", "nmtune"),
        *others,
    ]
    assert pairs_of("nmtune", "linear_probe", "mlp", "nmtune") == others
    ablation = "nmtune_without_dominant"
    assert pairs_of("nmtune", "linear_probe", "mlp", "nmtune", ablation) == [
        *others,
        ("nmtune", ablation),
    ]
    assert pairs_of("mlp", "linear_probe", "mlp") == [("mlp", "linear_probe")]
    assert pairs_of("linear_probe", "linear_probe", "mlp") == [("mlp", "linear_probe")]


def test_one_candidate_has_nobody_to_be_compared_with() -> None:
    assert pairs_of("linear_probe", "linear_probe") == []


def test_mean_ood_accuracy_needs_a_domain() -> None:
    assert mean_ood_accuracy({"test": score(80)}) is None
    assert mean_ood_accuracy({"ood/a": score(80), "ood/b": score(60)}) == pytest.approx(0.7)


def test_row_is_ready_for_json() -> None:
    row = on_test(score(80), score(90)).to_dict()
    assert row.keys() >= {"split", "kind", "candidate", "baseline", "macro_f1_difference"}
    assert row["accuracy_difference"] == pytest.approx(0.1)
    assert row["finding"] == "gain"
    low, high = row["interval"]
    assert 0 < low < 0.1 < high
