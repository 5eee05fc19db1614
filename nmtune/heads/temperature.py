"""Calibrate a head: fit its temperature on held-out rows.

Source: Guo et al., "On Calibration of Modern Neural Networks" (arXiv 1706.04599), section 4.2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmtune.rows.held_out import HeldOut

FEWEST_ROWS = 100
"""Held-out rows; with fewer, a temperature would mostly reflect chance."""

_LOWEST, _HIGHEST = 1e-3, 1e3
_N_HALVINGS = 50
_MOST_ROWS = 20_000  # evenly spaced; more would not move the temperature
_LEAST_SHARE = 8.0
_N_TRIED = 17
_N_STEPS = 12
_GOLDEN = (5**0.5 - 1) / 2
_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A temperature, 1 if it was not fitted, and a sentence on its basis."""

    temperature: float
    note: str


def calibrate(held_out: HeldOut | None, *, noise: NDArray[np.float64] | None = None) -> Calibration:
    """The temperature of a head from its training's held-out predictions.

    noise: how right labels turned into the given ones (`nmtune.study.noise_matrix`), for a
    temperature that is right for the right labels; None takes the given ones as they are.
    """
    if held_out is None:
        return Calibration(
            temperature=1.0,
            note="Probabilities are not calibrated, because no rows were held out from training.",
        )
    n_rows = len(held_out.y)
    if n_rows < FEWEST_ROWS:
        return Calibration(
            temperature=1.0,
            note=f"Probabilities are not calibrated: it takes {FEWEST_ROWS} held-out rows, and "
            f"there are {n_rows}.",
        )
    temperature = fit_temperature(held_out.logits, held_out.y)
    if noise is not None:
        temperature = fit_through_noise(held_out, noise, at_most=temperature)
        wrong = 1 - noise.diagonal()[held_out.y].mean()
        return Calibration(
            temperature=temperature,
            note=f"Probabilities are calibrated for the right labels, with temperature "
            f"{temperature:.3g}: it was fitted on {n_rows:,} held-out rows, on the estimate that "
            f"{wrong:.0%} of their labels are wrong.",
        )
    return Calibration(
        temperature=temperature,
        note=f"Probabilities are calibrated with temperature {temperature:.3g}, fitted on "
        f"{n_rows:,} held-out rows.",
    )


def fit_temperature(logits: NDArray[np.floating], y: NDArray[np.integer]) -> float:
    """The T that minimises the log loss of softmax(logits / T), for logits (n, c) and y (n,).

    One of the n rows counts as of unknown class, so that T stays above 0 even if every row is
    right. T is between 0.001 and 1000. The loss is convex in 1 / T, so its slope is bisected.
    """
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    unknown = 1 / len(y)
    of_truth = logits[np.arange(len(y)), y]
    target = float(((1 - unknown) * of_truth + unknown * logits.mean(axis=1)).mean())

    def slope(inverse: float) -> float:
        weights = np.exp(logits * inverse)
        expected = (weights * logits).sum(axis=1) / weights.sum(axis=1)
        return float(expected.mean()) - target

    low, high = np.log(1 / _HIGHEST), np.log(1 / _LOWEST)
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(np.exp(middle)) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def fit_through_noise(held_out: HeldOut, noise: NDArray[np.float64], *, at_most: float) -> float:
    """The T that minimises the log loss of the given labels under softmax(logits / T) @ noise.

    With wrong labels among the held-out rows, the least log loss of the given labels belongs to
    probabilities that are far too low for the right ones: ECE was 0.47 with 40 % wrong labels.
    Wrong labels only ever ask for a higher temperature, so T is at most `at_most`, the one fitted
    to the given labels, and at least an eighth of it, beyond which a set that is merely hard would
    be taken for noisy.
    """
    step = -(-len(held_out.y) // _MOST_ROWS)
    some = HeldOut(logits=held_out.logits[::step], y=held_out.y[::step], n_train_rows=0)

    def loss(log_temperature: float) -> float:
        given = some.of_given(float(np.exp(log_temperature)), noise)
        return float(-np.log(np.maximum(given, _LEAST)).mean())

    grid = np.log(at_most) + np.linspace(-np.log(_LEAST_SHARE), 0, _N_TRIED)
    best = int(np.argmin([loss(one) for one in grid]))
    low, high = grid[max(0, best - 1)], grid[min(_N_TRIED - 1, best + 1)]
    for _ in range(_N_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, right) if loss(left) <= loss(right) else (left, high)
    return float(np.exp((low + high) / 2))
