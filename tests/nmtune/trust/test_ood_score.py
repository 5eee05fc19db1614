"""The OOD score: an honest threshold, other domains above it, and never NaN."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from nmtune.trust.ood_score import QUANTILE, OodScore, auroc
from tests.nmtune.trust.real_sets import PATHS, real_set


def blobs(n_rows: int, d: int = 12, *, shift: float = 0, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    y = np.arange(n_rows) % 3
    centres = np.random.default_rng(9).normal(size=(3, d)) * 3
    x = centres[y] + random.normal(size=(n_rows, d)) * np.linspace(0.5, 2, d) + shift
    return x.astype(np.float32), y.astype(np.int64)


def fitted(x: NDArray[np.float32], y: NDArray[np.int64]) -> OodScore:
    found = OodScore.fit(x, y, seed=0)
    assert found is not None
    return found


def test_is_the_mahalanobis_distance_where_all_directions_are_kept() -> None:
    x, y = blobs(300)
    score = fitted(x, y)
    assert score.directions.shape == (12, 11)
    rows = x.astype(np.float64)
    means = np.stack([rows[y == k].mean(axis=0) for k in range(3)])
    within = rows - means[y]
    inverse = np.linalg.inv(within.T @ within / (300 - 3))
    new, _ = blobs(50, shift=1.0, seed=4)
    apart = new[:, None].astype(np.float64) - means
    expected = np.einsum("nkd,de,nke->nk", apart, inverse, apart).min(axis=1) / 12
    np.testing.assert_allclose(score.score(new), expected, rtol=2e-2)


def test_rows_of_the_same_kind_are_below_the_threshold_as_often_as_stated() -> None:
    x, y = blobs(600, d=100)
    new, _ = blobs(4000, d=100, seed=1)
    score = fitted(x, y)
    below = (score.score(new) <= score.threshold).mean()
    assert below == pytest.approx(QUANTILE, abs=0.03)
    far, _ = blobs(100, d=100, shift=4.0)
    assert (score.score(far) > score.threshold).all()


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_real_test_rows_pass_and_other_domains_stand_out(path: Path) -> None:
    data = real_set(path)
    score = fitted(*data.splits["train"])
    inside = score.score(data.splits["test"][0])
    assert (inside > score.threshold).mean() == pytest.approx(1 - QUANTILE, abs=0.03)
    for name in data.ood:
        outside = score.score(data.splits[name][0])
        is_ood = np.repeat([0, 1], [len(inside), len(outside)])
        assert roc_auc_score(is_ood, np.concatenate([inside, outside])) > 0.65, name


def test_same_rows_give_the_same_numbers() -> None:
    first, second = fitted(*blobs(200)), fitted(*blobs(200))
    for name, tensor in first.tensors().items():
        assert torch.equal(tensor, second.tensors()[name])


@pytest.mark.parametrize("d", [1, 2, 200])
def test_any_width_and_constant_rows_give_finite_scores(d: int) -> None:
    for x in (blobs(120, d=d)[0], np.ones((120, d), np.float32), np.zeros((120, d), np.float32)):
        score = fitted(x, np.arange(120) % 3)
        wild = np.array([[0.0] * d, [1e30] * d, [-3e38] * d], np.float32)
        for rows in (x, wild):
            assert np.isfinite(score.score(rows)).all()
        assert score.score(wild)[2] > score.threshold
        again = OodScore.from_tensors(score.tensors(), n_columns=d)
        np.testing.assert_array_equal(again.score(x), score.score(x))


def test_auroc_is_that_of_scikit_learn_with_ties_too() -> None:
    random = np.random.default_rng(0)
    inside, outside = random.integers(0, 9, 50), random.integers(3, 12, 70)
    expected = roc_auc_score(np.repeat([0, 1], [50, 70]), np.concatenate([inside, outside]))
    assert auroc(inside.astype(float), outside.astype(float)) == pytest.approx(expected)


def test_of_few_rows_there_is_none() -> None:
    assert OodScore.fit(*blobs(99), seed=0) is None


def test_hostile_tensors_are_refused() -> None:
    tensors = fitted(*blobs(150)).tensors()
    for change in (
        {"mean": torch.zeros(5)},
        {"mean": tensors["mean"] * torch.inf},
        {"spread": torch.zeros(11)},
        {"spread": torch.ones(12)},
        {"centres": torch.zeros(0, 12)},
        {"centres": torch.zeros(())},
        {"directions": torch.zeros(12, 10)},
        {"scalars": torch.tensor([0.0, 1.0], dtype=torch.float64)},
        {"scalars": torch.tensor([1.0, -1.0], dtype=torch.float64)},
        {"scalars": torch.tensor([1.0, torch.nan], dtype=torch.float64)},
        {"more": torch.zeros(1)},
    ):
        with pytest.raises(ValueError, match=r"OOD|tensor"):
            OodScore.from_tensors(tensors | change, n_columns=12)
