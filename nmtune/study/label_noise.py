"""Estimate how many labels are wrong from out-of-fold predictions, with an interval.

Wrong labels and hard rows both make a prediction disagree with the label, but differently: the more
confident the prediction, the rarer the disagreement of a hard row, while a wrong label disagrees
just as often. So the chance that a row's label is not the predicted class is modelled as

    P(u) = (1 - e) h(u) + e (1 - h(u) / (c - 1)),    h(u) = 1 / (1 + exp(a + b u)), b >= 0,

with u the logit of the predicted class's probability, h the model's error on right labels, e the
share of wrong labels, and c classes: as u grows, the disagreement falls to e. The model is fitted
by maximum likelihood over all rows; the interval is that of the profile likelihood (Wilks 1938).
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

LEVEL_DROP: Final = 3.841
"""Twice the log likelihood lost at the ends of a 95 % interval: chi-squared, one degree."""

_MORE_FOR_FEW = 70
"""Widens the interval for few rows, where h is overfitted: in sets of 100 rows the plain interval
held the truth in only 75 to 100 % of cases."""

_MOST_BINS = 200
_SMALLEST = 1e-7
_HIGHEST_RATE = 0.5  # beyond it the labels say the opposite, which nothing can show
_RATES = np.concatenate([[0.0], np.geomspace(1e-4, _HIGHEST_RATE, 60)])
_N_STEPS = 60
_N_HALVINGS = 12
_ENOUGH = 1e-9
_RIDGE = 1e-6

_Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ExpectedWrong:
    """How many labels are expected to be wrong, `n_rows`, with the 95 % interval low to high."""

    n_rows: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def expected_wrong(
    confidence: NDArray[np.floating], disagrees: NDArray[np.bool_], *, n_classes: int
) -> ExpectedWrong:
    """Estimate from predicted classes' out-of-fold probabilities (n,) and where labels differ (n,).

    It assumes that easy and hard rows have wrong labels equally often; if only hard rows have them,
    it finds few.
    """
    likelihood = _Likelihood(*_binned(confidence, disagrees), n_classes=n_classes)
    losses = likelihood.losses(_RATES)
    lost = losses - losses.min()
    inside = np.flatnonzero(2 * lost <= LEVEL_DROP * (1 + _MORE_FOR_FEW / len(confidence)))
    # Each end lies between the last rate inside and the first one outside.
    low = _RATES[inside[0] - 1] if inside[0] else 0.0
    high = _RATES[min(len(_RATES) - 1, inside[-1] + 1)]
    # The mean under Jeffreys' prior for a share; the grid's steps grow with the rates.
    weights = np.exp(-lost) * np.sqrt(_RATES / (1 - _RATES))
    rate = float(np.clip((weights * _RATES).sum() / weights.sum(), low, high))
    n_rows = len(confidence)
    return ExpectedWrong(n_rows=rate * n_rows, low=float(low) * n_rows, high=float(high) * n_rows)


def _binned(
    confidence: NDArray[np.floating], disagrees: NDArray[np.bool_]
) -> tuple[_Numbers, _Numbers, _Numbers]:
    """Rows binned by confidence: how many, how many disagree, and their mean logit."""
    p = np.clip(np.asarray(confidence, np.float64), _SMALLEST, 1 - _SMALLEST)
    order = np.argsort(p, kind="stable")
    logits = np.log(p / (1 - p))[order]
    parts = np.array_split(np.arange(len(p)), min(len(p), _MOST_BINS))
    starts = [part[0] for part in parts]
    counts = np.array([len(part) for part in parts], np.float64)
    wrong = np.add.reduceat(disagrees[order].astype(np.float64), starts)
    return counts, wrong, np.add.reduceat(logits, starts) / counts


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """Rows binned by confidence: how many, how many disagree, and the mean logit of each bin."""

    counts: _Numbers
    wrong: _Numbers
    logits: _Numbers
    n_classes: int

    def losses(self, rates: _Numbers) -> _Numbers:
        """The negative log likelihood at each share of wrong labels, minimised over a and b."""
        found, last = [], np.array([0.0, 1.0])
        for rate in rates:
            loss, last = min(
                (self._descend(np.array(start), rate) for start in ((0.0, 1.0), last)),
                key=lambda one: one[0],
            )
            found.append(loss)
        return np.array(found)

    def _descend(self, ab: _Numbers, rate: float) -> tuple[float, _Numbers]:
        """Fisher scoring with halved steps; b stays at 0 or above."""
        design = np.stack([np.ones_like(self.logits), self.logits])
        loss, h, p = self._at(ab, rate)
        for _ in range(_N_STEPS):
            dp = -self._slope(rate) * h * (1 - h)
            weights = self.counts * dp**2 / (p * (1 - p))
            gradient = design @ ((self.wrong - self.counts * p) / (p * (1 - p)) * dp)
            step = np.linalg.solve((design * weights) @ design.T + _RIDGE * np.eye(2), gradient)
            for halving in range(_N_HALVINGS):
                new = ab + step / 2**halving
                new[1] = max(0.0, new[1])
                found = self._at(new, rate)
                if found[0] < loss - _ENOUGH:
                    break
            else:
                break
            ab, (loss, h, p) = new, found
        return loss, ab

    def _slope(self, rate: float) -> float:
        return 1 - rate - rate / (self.n_classes - 1)

    def _at(self, ab: _Numbers, rate: float) -> tuple[float, _Numbers, _Numbers]:
        h = 1 / (1 + np.exp(np.clip(ab[0] + ab[1] * self.logits, -50, 50)))
        p = np.clip(rate + self._slope(rate) * h, 1e-12, 1 - 1e-12)
        right = self.counts - self.wrong
        return float(-(self.wrong * np.log(p) + right * np.log(1 - p)).sum()), h, p
