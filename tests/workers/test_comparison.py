"""The comparison: paired differences, their standard errors, and the mean over domains."""

import numpy as np
import pytest

from workers.comparison import Comparison, Score, compare, mean_ood_accuracy


def score(n_right: int, n_rows: int = 100, *, macro_f1: float = 0.5, first: int = 0) -> Score:
    """The rows `first` .. `first + n_right` right, the others wrong."""
    correct = np.zeros(n_rows, bool)
    correct[first : first + n_right] = True
    return Score(correct=correct, macro_f1=macro_f1)


def only(comparisons: tuple[Comparison, ...], split: str) -> Comparison:
    (found,) = (row for row in comparisons if row.split == split)
    return found


def test_difference_is_candidate_minus_baseline() -> None:
    scores = {
        "linear_probe": {"test": score(80, macro_f1=0.7)},
        "mlp": {"test": score(90, macro_f1=0.6)},
    }
    row = only(compare(scores, id_split="test"), "test")
    assert (row.kind, row.candidate, row.baseline, row.n_rows) == ("id", "mlp", "linear_probe", 100)
    assert row.accuracy_difference == pytest.approx(0.10)
    assert row.macro_f1_difference == pytest.approx(-0.1)


def test_standard_error_comes_from_the_rows_where_they_disagree() -> None:
    """8 rows only one of them gets right: sqrt(8 + 1) / 100."""
    agreeing = {"linear_probe": {"test": score(80)}, "mlp": {"test": score(88)}}
    assert only(compare(agreeing, id_split="test"), "test").standard_error == pytest.approx(0.03)
    moved = {"linear_probe": {"test": score(80)}, "mlp": {"test": score(80, first=4)}}
    row = only(compare(moved, id_split="test"), "test")
    assert row.accuracy_difference == 0
    assert row.standard_error == pytest.approx(0.03)


def test_one_row_of_difference_is_below_one_standard_error() -> None:
    scores = {"linear_probe": {"test": score(9, 10)}, "mlp": {"test": score(10, 10)}}
    assert 0 < only(compare(scores, id_split="test"), "test").strength < 1


def test_mean_weighs_domains_alike_whatever_their_size() -> None:
    scores = {
        "linear_probe": {"ood/a": score(5, 10), "ood/b": score(500, 1000)},
        "mlp": {"ood/a": score(7, 10), "ood/b": score(500, 1000)},
    }
    mean = only(compare(scores, id_split=None), "ood")
    assert (mean.kind, mean.n_rows) == ("ood_mean", 1010)
    assert mean.accuracy_difference == pytest.approx(0.1)
    errors = (3**0.5 / 10, 1 / 1000)
    assert mean.standard_error == pytest.approx((errors[0] ** 2 + errors[1] ** 2) ** 0.5 / 2)


def test_train_and_validation_are_not_compared() -> None:
    splits = {"train": score(100), "validation": score(90), "test": score(80)}
    rows = compare({"linear_probe": splits, "mlp": splits}, id_split="test")
    assert [row.split for row in rows] == ["test"]


def test_one_candidate_has_nobody_to_be_compared_with() -> None:
    assert compare({"linear_probe": {"test": score(80)}}, id_split="test") == ()


def test_mean_ood_accuracy_needs_a_domain() -> None:
    assert mean_ood_accuracy({"test": score(80)}) is None
    assert mean_ood_accuracy({"ood/a": score(80), "ood/b": score(60)}) == pytest.approx(0.7)


def test_row_is_ready_for_json() -> None:
    scores = {"linear_probe": {"test": score(80)}, "mlp": {"test": score(90)}}
    row = compare(scores, id_split="test")[0].to_dict()
    assert row.keys() >= {"split", "kind", "candidate", "baseline", "macro_f1_difference"}
    assert row["accuracy_difference"] == pytest.approx(0.1)
