"""Within-class whitening, against its definition."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from nmtune.training.whitening import fit_whitening


def mapped(
    x: np.ndarray, y: np.ndarray, shrinkage: float, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The map's weight, and Z of x."""
    matrix, bias = fit_whitening(
        torch.from_numpy(x.astype(np.float32)),
        torch.from_numpy(y),
        n_classes=int(y.max()) + 1,
        shrinkage=shrinkage,
        weight=None if weight is None else torch.from_numpy(weight.astype(np.float32)),
    )
    return matrix.numpy().astype(float), x @ matrix.numpy().T + bias.numpy()


def within(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    centred = x - np.stack([x[y == label].mean(0) for label in range(y.max() + 1)])[y]
    return centred.T @ centred / len(x)


def test_shrunk_covariance_within_a_class_becomes_a_multiple_of_the_identity() -> None:
    x, y = load_digits(return_X_y=True)
    for shrinkage in (0.1, 3.0):
        matrix, z = mapped(x, y, shrinkage)
        covariance = within(x, y)
        shrunk = covariance + shrinkage * np.trace(covariance) / 64 * np.eye(64)
        round_shape = matrix @ shrunk @ matrix.T
        scale = round_shape[0, 0]
        np.testing.assert_allclose(round_shape / scale, np.eye(64), atol=1e-4)
        np.testing.assert_allclose(z.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose((z**2).mean(), 1, rtol=1e-4)


def test_nearest_class_mean_after_the_map_is_linear_discriminant_analysis() -> None:
    """With hardly any shrinkage and equal class sizes."""
    x, y = load_digits(return_X_y=True)
    at = np.concatenate([np.flatnonzero(y == label)[:170] for label in range(10)])
    keep = x[at].std(0) > 0.1
    x, y = x[at][:, keep], y[at]
    _, z = mapped(x, y, 1e-6)
    means = np.stack([z[y == label].mean(0) for label in range(10)])
    nearest = ((z[:, None, :] - means) ** 2).sum(2).argmin(1)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(x, y).predict(x)
    assert (nearest == theirs).mean() > 0.995


def test_weight_of_a_row_is_worth_its_repetition() -> None:
    x, y = load_digits(return_X_y=True)
    x, y = x[:300], y[:300]
    weight = np.random.default_rng(0).integers(1, 4, 300)
    weighed, _ = mapped(x, y, 1.0, weight / weight.mean())
    repeated, _ = mapped(np.repeat(x, weight, axis=0), np.repeat(y, weight), 1.0)
    np.testing.assert_allclose(weighed, repeated, atol=1e-5)


def test_rows_alike_and_classes_without_rows_do_no_harm() -> None:
    x = np.ones((6, 3))
    _, z = mapped(x, np.array([0, 0, 0, 3, 3, 3]), 3.0)
    np.testing.assert_array_equal(z, 0)
    x[3:] = 2
    _, z = mapped(x, np.array([0, 0, 0, 3, 3, 3]), 3.0)
    np.testing.assert_allclose((z**2).mean(), 1, rtol=1e-5)
