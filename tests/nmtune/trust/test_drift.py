"""RowSummary and drift: sums that add up, and a verdict that chance does not make."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nmtune.trust.drift import FEWEST_ROWS, Drift, measure_drift
from nmtune.trust.row_summary import RowSummary
from tests.nmtune.trust.real_sets import PATHS, real_set


def drawn(n_rows: int, *, shift: float = 0, scale: float = 1, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return (random.normal(size=(n_rows, 20)) * scale + np.arange(20) + shift).astype(np.float32)


def classes(n_rows: int, *, share: float = 0.5, seed: int = 0) -> NDArray[np.int64]:
    return (np.random.default_rng(seed).random(n_rows) >= share).astype(np.int64)


@pytest.fixture(scope="module")
def summary() -> RowSummary:
    return RowSummary.fit(drawn(2000), classes(2000), n_classes=2)


def of(summary: RowSummary, x: NDArray[np.float32], predicted: NDArray[np.int64]) -> Drift:
    return measure_drift(summary, len(x), summary.sums(x, predicted))


def test_summary_is_what_numpy_says(summary: RowSummary) -> None:
    x = drawn(2000).astype(np.float64)
    np.testing.assert_allclose(summary.mean, x.mean(axis=0))
    np.testing.assert_allclose(summary.deviation, x.std(axis=0))
    deciles = np.quantile(np.linalg.norm(x, axis=1), np.arange(1, 10) / 10)
    np.testing.assert_allclose(summary.norm_edges, deciles)
    np.testing.assert_allclose(summary.norm_shares, 0.1)
    assert summary.class_shares.sum() == 1


def test_sums_of_parts_are_the_sums_of_all(summary: RowSummary) -> None:
    x, predicted = drawn(500, seed=1), classes(500, seed=1)
    whole = summary.sums(x, predicted)
    parts = [summary.sums(x[at : at + 7], predicted[at : at + 7]) for at in range(0, 500, 7)]
    np.testing.assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-9, atol=1e-9)
    assert whole.shape == (summary.n_sums,)
    assert whole[40:50].sum() == whole[50:].sum() == 500


def test_rows_like_the_trainings_have_not_drifted(summary: RowSummary) -> None:
    for seed in range(1, 50):
        found = of(summary, drawn(FEWEST_ROWS, seed=seed), classes(FEWEST_ROWS, seed=seed))
        assert found.state == "none", found
    assert found.sentence.startswith("200 rows look like the training rows: means moved by 0.0")


def test_a_shift_of_the_means_is_measured(summary: RowSummary) -> None:
    found = of(summary, drawn(5000, shift=0.3, seed=2), classes(5000, seed=2))
    assert found.state == "much"
    assert found.mean_shift == pytest.approx(0.3, abs=0.03)
    assert found.spread_ratio == pytest.approx(1, abs=0.05)
    assert found.columns[0].z == pytest.approx(
        found.columns[0].shift / math.sqrt(1 / 5000 + 1 / 2000)
    )
    assert "The embeddings of 5,000 rows are far from the training rows" in found.sentence


def test_norms_and_classes_are_compared_too(summary: RowSummary) -> None:
    longer = of(summary, drawn(1000, scale=3, seed=3), classes(1000, seed=3))
    assert longer.norm_psi is not None
    assert longer.norm_psi > 0.25
    assert longer.spread_ratio == pytest.approx(9, rel=0.1)
    other = of(summary, drawn(1000, seed=3), classes(1000, share=0.3, seed=3))
    expected = 0.2 * math.log(0.7 / 0.5) - 0.2 * math.log(0.3 / 0.5)
    assert other.class_psi == pytest.approx(expected, abs=0.06)
    assert (other.state, other.norm_psi) == ("some", 0)
    assert other.sentence.startswith("The predicted classes of 1,000 rows have drifted somewhat")


def test_of_few_rows_nothing_is_said(summary: RowSummary) -> None:
    found = of(summary, drawn(199, shift=9), classes(199))
    assert (found.state, found.mean_shift, found.columns) == ("not_enough_rows", None, ())
    assert "199 of the 200 that a comparison takes" in found.sentence


def test_rows_of_one_length_do_not_drift_by_rounding() -> None:
    x = drawn(1000)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    summary = RowSummary.fit(x, classes(1000), n_classes=2)
    assert summary.norm_shares.max() == 1
    again = drawn(1000, seed=1)
    again = (again / np.linalg.norm(again, axis=1, keepdims=True)).astype(np.float16)
    assert of(summary, again.astype(np.float32), classes(1000, seed=1)).norm_psi == 0
    doubled = of(summary, 2 * again.astype(np.float32), classes(1000, seed=1))
    assert doubled.norm_psi is not None
    assert doubled.norm_psi > 1


def test_constant_columns_and_wild_rows_stay_finite() -> None:
    summary = RowSummary.fit(np.ones((300, 3), np.float32), np.zeros(300, np.int64), n_classes=2)
    found = of(summary, np.full((300, 3), 3e38, np.float32), np.ones(300, np.int64))
    assert found.state == "much"
    assert all(
        math.isfinite(value or 0) for value in (found.mean_shift, found.norm_psi, found.class_psi)
    )


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_other_domains_of_real_sets_drift_and_their_own_does_not(path: Path) -> None:
    data = real_set(path)
    held_out, head = data.fit.held_out, data.fit.head
    assert held_out is not None
    summary = RowSummary.fit(
        data.splits["train"][0], held_out.logits.argmax(axis=1), n_classes=len(data.classes)
    )
    found = {
        name: of(summary, x, head.predict_proba(x).argmax(axis=1)).state
        for name, (x, _) in data.splits.items()
        if name != "train"
    }
    assert found.pop("test") == "none"
    assert set(found.values()) == {"much"}


def test_comes_back_from_its_tensors_and_refuses_what_does_not_fit(summary: RowSummary) -> None:
    tensors = summary.tensors()
    again = RowSummary.from_tensors(tensors, n_columns=20, n_classes=2)
    np.testing.assert_array_equal(again.mean, summary.mean)
    for change in (
        {"n_rows": torch.tensor([0])},
        {"deviation": torch.zeros(20, dtype=torch.float64)},
        {"mean": torch.zeros(20)},
        {"mean": tensors["mean"] * torch.nan},
        {"norm_edges": tensors["norm_edges"].flip(0)},
        {"norm_shares": tensors["norm_shares"] * 2},
        {"class_shares": tensors["class_shares"] - 1},
    ):
        with pytest.raises(ValueError, match=r"row summary|tensor"):
            RowSummary.from_tensors(tensors | change, n_columns=20, n_classes=2)
    with pytest.raises(ValueError, match="expected 52 sums"):
        measure_drift(summary, 300, np.zeros(51))
