"""The verdict on two versions says what their rows can settle, and no more."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from nmtune.numeric.statistics import newcombe_interval
from service.heads.comparison import HeadComparison
from service.heads.comparison import compare as compare_paired
from service.heads.pairing import Pairing, SharedRows
from store.registry.heads import HeadVersion


def metrics(accuracy: float, *, n_rows: int = 1000) -> dict[str, Any]:
    found = {"accuracy": accuracy, "macro_f1": accuracy, "log_loss": 0.1, "ece": 0.02}
    return {"n_rows": n_rows, **found}


def version(number: int, accuracy: float, **changes: Any) -> HeadVersion:
    base = HeadVersion(
        tenant_id="default",
        name="pets",
        version=number,
        job_id=f"job_{number}",
        dataset_id="ds_1",
        sha256=str(number) * 64,
        size_bytes=1,
        method="auto",
        n_columns=4,
        classes=["cat", "dog"],
        n_parameters=10,
        config={"epochs": 3, "seed": number},
        metrics={"test": metrics(accuracy)},
        encoder=None,
        dataset_sha256="d" * 64,
        lineage={"seed": number, "machine": {"device": "cpu"}},
        created_at=datetime.now(UTC),
        aliases=(),
    )
    return replace(base, **changes)


def compare(before: HeadVersion, after: HeadVersion) -> HeadComparison:
    shared = SharedRows.of(before, after, ())
    return compare_paired(before, after, Pairing(note="Not paired."), shared)


def test_figures_settings_and_origins_stand_side_by_side() -> None:
    old = version(2, 0.9)
    new = version(
        3,
        0.95,
        config={"members": [{"epochs": 5}], "seed": 2},
        lineage={"seed": 3, "machine": {"device": "cuda"}},
    )
    found = compare(old, new)
    (test,) = found.splits
    assert (test.split, test.n_rows_before, test.n_rows_after, test.same_rows) == (
        *("test", 1000, 1000),
        True,
    )
    assert test.accuracy.difference == pytest.approx(0.05)
    assert test.metrics["log_loss"].interval is None
    assert found.config == {"epochs": (3, None), "members.0.epochs": (None, 5)}
    assert found.lineage["machine.device"] == ("cpu", "cuda")
    assert found.lineage["job_id"] == ("job_2", "job_3")
    assert "dataset_id" not in found.lineage


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (0.90, 0.95, "pets@3 is more accurate than pets@2 on the same 1000 test rows (95.0 % ag"),
        (0.95, 0.90, "pets@3 is less accurate than pets@2 on the same 1000 test rows (90.0 % ag"),
        (0.900, 0.905, "No clear difference between pets@3 and pets@2 on the same 1000 test rows"),
    ],
)
def test_the_verdict_goes_by_the_interval(before: float, after: float, says: str) -> None:
    verdict = compare(version(2, before), version(3, after)).verdict
    assert verdict.startswith(says), verdict
    assert "unpaired 95 % interval" in verdict


def test_a_gain_does_not_hide_a_loss_out_of_domain() -> None:
    old = version(2, 0.9, metrics={"test": metrics(0.9), "ood/zoo": metrics(0.9)})
    new = version(3, 0.9, metrics={"test": metrics(0.95), "ood/zoo": metrics(0.8)})
    assert "clearly worse on ood/zoo" in compare(old, new).verdict


def assert_no_claim(found: HeadComparison, words: str) -> None:
    assert words in found.verdict
    assert "more accurate" not in found.verdict


def test_other_data_other_classes_or_no_test_split_bear_no_claim() -> None:
    old = version(2, 0.5)
    other_data = compare(old, version(3, 0.99, dataset_id="ds_2", dataset_sha256="e" * 64))
    assert_no_claim(other_data, "tested on different data")
    assert not other_data.splits[0].same_rows
    other_classes = compare(old, version(3, 0.99, classes=["cat", "cow"]))
    assert_no_claim(other_classes, "not comparable")
    assert (other_classes.classes_added, other_classes.classes_removed) == (["cow"], ["dog"])
    untested = compare(old, version(3, 0.99, metrics={}))
    assert_no_claim(untested, "Nothing to judge by")
    assert not untested.splits[0].same_rows
    same = compare(old, version(3, 0.5, sha256=old.sha256))
    assert_no_claim(same, "byte for byte")


def test_the_same_data_under_two_ids_and_a_hash_that_is_not_known() -> None:
    twice = compare(version(2, 0.9), version(3, 0.9, dataset_id="ds_2"))
    assert twice.splits[0].same_rows
    old = version(2, 0.9, dataset_sha256=None)
    assert compare(old, version(3, 0.9)).splits[0].same_rows
    assert not compare(old, version(3, 0.9, dataset_id="ds_2")).splits[0].same_rows


def test_classes_in_another_order_are_no_other_classes() -> None:
    found = compare(version(2, 0.9), version(3, 0.9, classes=["dog", "cat"]))
    assert (found.classes_added, found.classes_removed) == ([], [])
    assert found.classes_reordered


def test_the_interval_is_newcombes() -> None:
    """His table II, example (a): 56/70 against 48/80, difference 0.2: 0.0524 to 0.3339."""
    low, high = newcombe_interval(48 / 80, 80, 56 / 70, 70)
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    low, high = newcombe_interval(1.0, 10, 1.0, 10)
    assert low < 0 < high
