"""Principal axes and the whitenings of folds, against full computations."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nmtune.training.axes import Axes
from nmtune.training.rows import LabelledRows
from nmtune.training.whitening import Maps, Whitenings, fit_whitening


def rows(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(n, d)) * np.geomspace(3, 0.1, d) + 5
    y = np.arange(n) % 3
    x[:, 0] += y
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)


@pytest.mark.parametrize(("n", "d", "r"), [(200, 30, 30), (30, 30, 30), (25, 60, 24)])
def test_turned_columns_are_uncorrelated_and_nothing_is_lost(n: int, d: int, r: int) -> None:
    x, _ = rows(n, d)
    axes = Axes.of(x)
    assert axes.directions.shape == (r, d)
    turned = axes.turn(x.clone())
    covariance = (turned.T @ turned).numpy() / n
    np.testing.assert_allclose(covariance, np.diag(covariance.diagonal()), atol=2e-5)
    np.testing.assert_allclose((turned @ axes.directions + axes.mean).numpy(), x, atol=2e-4)
    coefficients = torch.from_numpy(np.random.default_rng(1).normal(size=(3, r + 1))).float()
    logits = turned @ coefficients[:, :-1].T + coefficients[:, -1]
    back = axes.back(coefficients)
    np.testing.assert_allclose(x @ back[:, :-1].T + back[:, -1], logits, atol=1e-3)


def test_rows_that_are_all_equal_have_one_axis_of_nothing() -> None:
    x = torch.full((5, 9), 2.0)
    axes = Axes.of(x)
    assert bool((axes.turn(x.clone()) == 0).all())


def gram(x: torch.Tensor, affine: tuple[torch.Tensor, torch.Tensor]) -> NDArray[np.float64]:
    z = x.double() @ affine[0].double().T + affine[1].double()
    return np.asarray(z @ z.T)


@pytest.mark.parametrize(("n", "d"), [(200, 30), (25, 60)])
def test_whitening_without_a_fold_is_that_of_the_other_rows(n: int, d: int) -> None:
    """Up to a rotation, so Gram matrices are compared."""
    x, y = rows(n, d)
    axes = Axes.of(x)
    turned = axes.turn(x.clone())
    folds = [torch.arange(start, n, 5) for start in range(5)]
    found = Whitenings(LabelledRows(turned, y), folds, n_classes=3, shrinkage=3.0, axes=axes)
    for fold in (2, None):
        kept = torch.from_numpy(np.setdiff1d(np.arange(n), [] if fold is None else folds[fold]))
        expected = gram(x, fit_whitening(x[kept], y[kept], n_classes=3, shrinkage=3.0))
        one = found.without(fold)
        np.testing.assert_allclose(gram(turned, (one.weight, one.bias)), expected, atol=2e-3)
        maps, mapped = Maps.of_each([one]), torch.ones(1, 3, turned.shape[1] + 1)
        back = maps.back(mapped)
        torch.testing.assert_close(one.forth(back[0]), mapped[0], atol=1e-4, rtol=1e-4)
        # `pulled` is the transpose of `back`, so a gradient means the same on both sides.
        gradient = torch.linspace(-1, 1, mapped.numel()).view_as(mapped)
        torch.testing.assert_close((maps.pulled(gradient) * mapped).sum(), (gradient * back).sum())
    whole = found.whole()
    assert whole.weight is not None
    assert whole.bias is not None
    np.testing.assert_allclose(gram(x, (whole.weight, whole.bias)), expected, atol=2e-3)
