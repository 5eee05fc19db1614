"""The threshold below which to abstain: chosen where it halves the errors, else a reason."""

import numpy as np
import pytest
from numpy.typing import NDArray

from nmtune.numeric.statistics import wilson_interval
from nmtune.trust.abstention import advise, apply


def calibrated(n_rows: int, *, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Rows whose confidence, mostly near 1, is how often they are right."""
    generator = np.random.default_rng(seed)
    confidence = 1 - 0.5 * generator.random(n_rows) ** 3
    return confidence, generator.random(n_rows) < confidence


def test_threshold_halves_the_errors_and_none_below_it_does() -> None:
    confidence, is_correct = calibrated(5000)
    advice = advise(confidence, is_correct)
    assert advice.threshold is not None
    found = apply(confidence, is_correct, advice.threshold)
    assert found.accuracy is not None
    assert 1 - found.accuracy <= (1 - found.accuracy_of_all) / 2
    below = apply(confidence, is_correct, advice.threshold - 0.01)
    assert below.accuracy is not None
    assert 1 - below.accuracy > (1 - found.accuracy_of_all) / 2
    assert found.coverage >= 0.5


def test_what_it_promises_holds_on_other_rows() -> None:
    advice = advise(*calibrated(3000))
    assert advice.threshold is not None
    there = apply(*calibrated(3000, seed=1), advice.threshold)
    assert there.accuracy is not None
    assert there.accuracy_interval is not None
    low, high = there.accuracy_interval
    assert low <= there.accuracy <= high
    truth = apply(*calibrated(400_000, seed=2), advice.threshold)
    assert truth.accuracy is not None
    assert low <= truth.accuracy <= high
    assert there.coverage_interval[0] <= truth.coverage <= there.coverage_interval[1]


@pytest.mark.parametrize(
    ("confidence", "is_correct", "reason"),
    [
        (np.full(99, 0.9), np.ones(99, bool), "takes 100 held-out rows, and there are 99"),
        (np.full(200, 0.9), np.arange(200) > 8, "only 9 of 200 held-out rows were wrong, too few"),
        (np.full(200, 0.9), np.arange(200) % 4 > 0, "no value halves the error rate"),
        (np.linspace(0.5, 1, 200), np.arange(200) >= 150, "no value halves the error rate"),
    ],
)
def test_no_advice_comes_with_its_reason(
    confidence: NDArray[np.float64], is_correct: NDArray[np.bool_], reason: str
) -> None:
    advice = advise(confidence, is_correct)
    assert advice.threshold is None
    assert reason in advice.reason


def test_a_row_that_reaches_the_threshold_is_answered() -> None:
    found = apply(np.array([0.5, 0.49, 0.9]), np.array([True, True, False]), 0.5)
    assert (found.n_answered, found.accuracy) == (2, 0.5)
    nobody = apply(np.array([0.5]), np.array([True]), 0.51)
    assert (nobody.coverage, nobody.accuracy, nobody.accuracy_interval) == (0, None, None)


@pytest.mark.parametrize(
    ("n_hits", "n_rows", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_intervals_are_wilsons(n_hits: int, n_rows: int, low: float, high: float) -> None:
    """The last is Newcombe's (1998) own example."""
    found = wilson_interval(n_hits / n_rows, n_rows)
    assert found == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
