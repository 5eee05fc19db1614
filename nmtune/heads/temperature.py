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


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A temperature, 1 if it was not fitted, and a sentence on its basis."""

    temperature: float
    note: str


def calibrate(held_out: HeldOut | None) -> Calibration:
    """The temperature of a head from its training's held-out predictions."""
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
