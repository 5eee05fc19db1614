"""Two versions compared by their reports' figures alone: what differs, and what may be said."""

import numpy as np
import pytest
from scipy import stats

from nmtune.numeric.statistics import PairedCounts
from nmtune.report.versions import Version, compare_splits, differences, verdict


def version(title: str, identity: str = "", **accuracy: float) -> Version:
    return Version(
        title=title,
        identity=identity or title,
        classes=("cat", "dog"),
        metrics={
            split.replace("ood_", "ood/"): {"n_rows": 1000, "accuracy": value, "ece": 0.1}
            for split, value in accuracy.items()
        },
    )


def said(before: Version, after: Version, *, same_rows: bool = True) -> str:
    return verdict(before, after, compare_splits(before, after, same_rows=same_rows))


def test_every_split_of_either_stands_beside_its_namesake() -> None:
    splits = compare_splits(version("a", test=0.8), version("b", ood_x=0.7), same_rows=True)
    assert [one.split for one in splits] == ["test", "ood/x"]
    assert [one.same_rows for one in splits] == [False, False]
    assert (splits[0].accuracy.before, splits[0].accuracy.after) == (0.8, None)
    assert splits[1].accuracy.interval is None


def test_only_an_accuracy_has_an_interval_and_it_is_newcombes() -> None:
    (test,) = compare_splits(version("a", test=0.8), version("b", test=0.85), same_rows=True)
    assert test.accuracy.difference == pytest.approx(0.05)
    assert test.accuracy.interval == pytest.approx((0.0166, 0.0833), abs=1e-3)
    assert test.metrics["ece"].interval is None
    assert test.metrics["log_loss"].difference is None


def test_the_verdict_claims_no_more_than_the_figures_bear() -> None:
    old = version("a", test=0.8, ood_x=0.7)
    better = version("b", test=0.9, ood_x=0.6)
    assert said(old, better).startswith("b is more accurate than a on the same 1000 test rows")
    assert "clearly worse on ood/x" in said(old, better)
    assert said(old, version("b", test=0.8)).startswith("No clear difference between b and a")
    assert said(old, better, same_rows=False).startswith("Not comparable as measured")
    assert said(old, version("b", "a", test=0.1)) == "a and b are the same head, byte for byte."
    assert said(old, version("b", ood_x=0.7)).startswith("Nothing to judge by")


def pair(n_gained: int, n_lost: int, *, n_rows: int = 1000) -> PairedCounts:
    return PairedCounts(n_rows=n_rows, n_gained=n_gained, n_lost=n_lost)


def test_on_known_rows_interval_and_p_value_are_those_of_the_rows_that_differ() -> None:
    """Against rows really resampled, and scipy's binomial test."""
    old, new = version("a", test=0.8, ood_x=0.7), version("b", test=0.82, ood_x=0.7)
    test, ood = compare_splits(old, new, same_rows=True, paired={"test": pair(35, 15)})
    difference = np.repeat([1.0, -1.0, 0.0], [35, 15, 950])
    drawn = np.random.default_rng(4).choice(difference, (4000, 1000)).mean(axis=1)
    assert test.accuracy.interval == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1.5e-3)
    assert test.p_value == pytest.approx(stats.binomtest(15, 50, 0.5).pvalue)
    assert test.direction == 1
    # The unpaired interval of the same figures leaves it open.
    (alone,) = compare_splits(version("a", test=0.8), version("b", test=0.82), same_rows=True)
    assert (alone.direction, alone.p_value, alone.paired) == (0, None, None)
    assert (ood.p_value, ood.paired) == (None, None)


def test_the_verdict_says_what_the_rows_that_differ_say() -> None:
    old, new = version("a", test=0.8, ood_x=0.7), version("b", test=0.82, ood_x=0.66)
    found = {"test": pair(35, 15), "ood/x": pair(10, 50)}
    splits = compare_splits(old, new, same_rows=True, paired=found)
    words = verdict(old, new, splits)
    assert words.startswith(
        "b is more accurate than a on the same 1000 test rows (82.0 % against 80.0 %, 35 "
        "gained and 15 lost, paired 95 % interval of the difference +0.6 to +3.4 points, p = "
    )
    assert "clearly worse on ood/x" in words
    even = compare_splits(old, version("b", test=0.8), same_rows=True, paired={"test": pair(9, 9)})
    words = verdict(old, new, even)
    assert words.startswith("No clear difference between b and a")
    assert "A paired test might" not in words


def test_few_rows_that_differ_need_mcnemars_test_too() -> None:
    """Of 5 that differ all to one side: the bootstrap leaves out 0, the exact test gives 0.0625."""
    old, new = version("a", test=0.8), version("b", test=0.805)
    (test,) = compare_splits(old, new, same_rows=True, paired={"test": pair(5, 0)})
    assert test.accuracy.interval is not None
    assert test.accuracy.interval[0] > 0
    assert (test.p_value, test.direction) == (pytest.approx(0.0625), 0)


def test_documents_differ_leaf_by_leaf() -> None:
    before = {"seed": 1, "members": [{"epochs": 3}], "same": [1, 2]}
    after = {"seed": 2, "members": [{"epochs": 3}, {"epochs": 5}], "same": [1, 2], "new": {"a": 1}}
    assert differences(before, after) == {
        "seed": (1, 2),
        "members.1.epochs": (None, 5),
        "new.a": (None, 1),
    }
