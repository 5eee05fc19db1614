"""compare and judge on plain arrays: honest for any candidates, and strict about their rows."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nmtune import DataError, Head, Trainer, TuneConfig, compare, evaluate, judge

N = 1000
Y = np.arange(N) % 2

Rows = tuple[NDArray[np.float64], NDArray[np.int64]]


def right_on(n_right: int, *, first: int = 0) -> Rows:
    """Probabilities that are right on n_right rows, from row `first` on."""
    is_right = (np.arange(N) >= first) & (np.arange(N) < first + n_right)
    predicted = np.where(is_right, Y, 1 - Y)
    return np.where(np.arange(2) == predicted[:, None], 0.8, 0.2), Y


def results(**n_right: tuple[int, int]) -> dict[str, dict[str, Rows]]:
    return {
        name: {"test": right_on(in_domain), "ood/night": right_on(out)}
        for name, (in_domain, out) in n_right.items()
    }


def test_a_gain_is_recommended_with_its_interval() -> None:
    verdict = judge(results(plain=(800, 600), mine=(850, 680)), candidate="mine", baseline="plain")
    assert verdict.summary == (
        "Use 'mine': against 'plain' it gains 5.0 points in domain (95 % interval +3.7 to +6.4) "
        "and gains 8.0 points out of domain (+6.4 to +9.7)."
    )
    assert (verdict.recommended, verdict.advises_against) == ("mine", False)
    assert (verdict.best_id, verdict.best_ood) == ("mine", "mine")


def test_a_loss_recommends_the_baseline_and_no_job() -> None:
    verdict = judge(results(plain=(800, 600), mine=(780, 590)), candidate="mine", baseline="plain")
    assert verdict.summary.startswith("Use 'plain': against it, 'mine' loses 2.0 points in domain")
    assert "job" not in verdict.summary
    assert (verdict.recommended, verdict.advises_against) == ("plain", True)


def test_no_clear_difference_keeps_the_candidate_and_names_the_baseline() -> None:
    verdict = judge(results(plain=(800, 600), mine=(800, 600)), candidate="mine", baseline="plain")
    assert verdict.summary == (
        "Keep 'mine': against 'plain' it gets exactly the same held-out rows right. 'plain' would "
        "do as well."
    )


def test_a_rival_that_is_clearly_better_is_recommended() -> None:
    given = results(plain=(800, 600), mine=(830, 650), theirs=(880, 700))
    verdict = judge(given, candidate="mine", baseline="plain")
    assert verdict.summary.startswith("Use 'theirs': against 'plain' it gains 8.0 points in domain")
    assert "'mine' also beats 'plain'; between the two" in verdict.summary
    assert (verdict.recommended, verdict.advises_against) == ("theirs", True)


def test_a_rival_that_ties_is_mentioned() -> None:
    given = results(plain=(800, 600), mine=(830, 650), theirs=(830, 650))
    verdict = judge(given, candidate="mine", baseline="plain")
    assert verdict.recommended == "mine"
    assert "Against its best rival, 'theirs', it shows no clear difference" in verdict.summary


def test_every_pair_is_on_each_split_and_on_the_mean_over_domains() -> None:
    given = results(plain=(800, 600), mine=(830, 650), theirs=(880, 700), more=(810, 600))
    rows = compare(given, candidate="mine", baseline="plain")
    pairs = list(dict.fromkeys((row.candidate, row.baseline, row.picked_from) for row in rows))
    assert pairs == [
        ("mine", "plain", 1),
        ("mine", "theirs", 3),
        ("theirs", "plain", 1),
        ("more", "plain", 1),
    ]
    assert [row.split for row in rows[:3]] == ["test", "ood/night", "ood"]
    first = rows[0].to_dict()
    assert first["accuracy_difference"] == pytest.approx(0.03)
    assert (first["n_gained"], first["n_lost"], first["finding"]) == (30, 0, "gain")


def test_it_judges_trained_heads_from_their_probabilities() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 600)
    x = random.normal(size=(600, 8)) + 0.4 * y[:, None]

    def head(n_rows: int) -> Head:
        config = TuneConfig.from_preset("linear_probe", l2=1.0)
        trainer = Trainer(x[:n_rows], y[:n_rows], classes=["a", "b"], config=config)
        for _ in trainer:
            pass
        return trainer.result().head

    heads = {"linear_probe": head(20), "all_rows": head(400)}
    given = {name: {"test": (one.predict_proba(x[400:]), y[400:])} for name, one in heads.items()}
    (row,) = compare(given, candidate="all_rows")
    accuracies = [evaluate(given[name]["test"][0], y[400:], ["a", "b"]).accuracy for name in given]
    assert (row.baseline_accuracy, row.candidate_accuracy) == tuple(accuracies)
    assert judge(given, candidate="all_rows").rival == "linear_probe"


def test_splits_that_are_not_held_out_are_ignored() -> None:
    given = {"a": {"test": right_on(800)}, "b": {"test": right_on(800), "train": right_on(1000)}}
    assert {row.split for row in compare(given, candidate="b", baseline="a")} == {"test"}


GOOD = {"test": right_on(800)}


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"a": GOOD}, "candidate", "'b' has no results: known are 'a'"),
        ({"b": GOOD}, "baseline", "'a' has no results"),
        ({"a": GOOD, "b": {"ood/x": right_on(1)}}, "b", "every candidate needs the same splits"),
        ({"a": {"dev": right_on(1)}, "b": {"dev": right_on(1)}}, "a", "name one 'test'"),
        (
            {"a": GOOD, "b": {"test": (right_on(800)[0], 1 - Y)}},
            "b.test",
            "the same rows in the same order",
        ),
        ({"a": GOOD, "b": {"test": right_on(800)[0]}}, "b.test", "must be a pair"),
        (
            {"a": GOOD, "b": {"test": (right_on(800)[0] * 2, Y)}},
            "b.test",
            "row 0 of probabilities is not a distribution",
        ),
    ],
)
def test_what_cannot_be_compared_is_named(given: Any, field: str, says: str) -> None:
    for door in (compare, judge):
        with pytest.raises(DataError, match=says) as caught:
            door(given, candidate="b", baseline="a")
        assert caught.value.field == field


def test_a_candidate_is_not_compared_with_itself() -> None:
    with pytest.raises(DataError, match="two different"):
        compare({"a": GOOD, "b": GOOD}, candidate="a", baseline="a")
