"""Two versions compared by their reports' figures alone: what differs, and what may be said."""

import pytest

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


def test_documents_differ_leaf_by_leaf() -> None:
    before = {"seed": 1, "members": [{"epochs": 3}], "same": [1, 2]}
    after = {"seed": 2, "members": [{"epochs": 3}, {"epochs": 5}], "same": [1, 2], "new": {"a": 1}}
    assert differences(before, after) == {
        "seed": (1, 2),
        "members.1.epochs": (None, 5),
        "new.a": (None, 1),
    }
