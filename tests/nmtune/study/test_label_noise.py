"""The number of wrong labels: its interval holds the truth on constructed noise."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from nmtune.study.label_errors import find_label_errors
from nmtune.study.label_noise import ExpectedWrong, expected_wrong


def simulated(
    n_rows: int, *, n_classes: int, scale: float, noise: float, seed: int
) -> tuple[int, ExpectedWrong]:
    """Predictions as sure as they are right, and labels of which a share was flipped."""
    generator = np.random.default_rng(seed)
    confidence = 1 / (1 + np.exp(-np.abs(generator.normal(size=n_rows)) * scale - 0.1))
    is_right = generator.random(n_rows) < confidence
    is_flipped = generator.random(n_rows) < noise
    hits_other = generator.random(n_rows) > 1 / (n_classes - 1)
    disagrees = np.where(is_flipped, is_right | hits_other, ~is_right)
    return int(is_flipped.sum()), expected_wrong(confidence, disagrees, n_classes=n_classes)


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize(("n_classes", "scale"), [(2, 1.5), (5, 4.0)])
def test_interval_holds_the_number_of_flipped_labels(
    n_classes: int, scale: float, noise: float
) -> None:
    found = [
        simulated(n_rows, n_classes=n_classes, scale=scale, noise=noise, seed=seed)
        for n_rows in (60, 400)
        for seed in range(5)
    ]
    held = [one.low <= n_wrong <= one.high for n_wrong, one in found]
    assert sum(held) >= len(held) - 1
    assert all(one.low <= one.n_rows <= one.high for _, one in found)


def test_clean_labels_of_sure_predictions_leave_little_room() -> None:
    for seed in range(3):
        _, found = simulated(2000, n_classes=5, scale=5, noise=0, seed=seed)
        assert found.low == 0
        assert found.high < 30


def test_noise_is_found_and_its_number_is_about_right() -> None:
    n_wrong, found = simulated(2000, n_classes=5, scale=5, noise=0.2, seed=0)
    assert found.low > 200
    assert found.n_rows == pytest.approx(n_wrong, rel=0.25)


@pytest.mark.parametrize("n_rows", [1, 2, 7])
def test_a_handful_of_rows_tells_nothing_and_breaks_nothing(n_rows: int) -> None:
    for disagree in (False, True):
        confidence, disagrees = np.full(n_rows, 1.0), np.full(n_rows, disagree)
        found = expected_wrong(confidence, disagrees, n_classes=2)
        assert 0 <= found.low <= found.n_rows <= found.high <= n_rows


def blobs(
    n_rows: int, n_classes: int, *, distance: float, noise: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Out-of-fold probabilities, labels of which a share was flipped, and how many were."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(n_classes, 20)) * distance
    y = np.arange(n_rows) % n_classes
    x = centres[y] + generator.normal(size=(n_rows, 20))
    is_flipped = generator.random(n_rows) < noise
    given = np.where(is_flipped, (y + generator.integers(1, n_classes, n_rows)) % n_classes, y)
    probabilities = cross_val_predict(
        LogisticRegression(C=0.1, max_iter=200),
        x,
        given,
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
        method="predict_proba",
    )
    return probabilities, given, int(is_flipped.sum())


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("n_rows", [100, 500])
def test_interval_holds_with_real_cross_validation(n_rows: int, noise: float) -> None:
    """Easy sets and hard ones, where a third of the predictions is wrong on clean labels."""
    held = []
    for n_classes, distance in ((2, 0.35), (2, 0.6), (5, 0.5)):
        for seed in range(6):
            probabilities, given, n_wrong = blobs(
                n_rows, n_classes, distance=distance, noise=noise, seed=seed
            )
            found = find_label_errors(probabilities, given).expected_wrong
            held.append(found.low <= n_wrong <= found.high)
    assert np.mean(held) >= 0.9
