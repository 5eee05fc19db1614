"""A ridge regression from a new embedding space to an old one, fitted to pairs of vectors.

It goes from new to old, so that a head of the old space can be kept: the other direction, with a
new head on mapped old vectors, shrinks what it maps and loses far more out of domain
(docs/inside/method.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError
from nmtune.heads.layer_change import principal

FEWEST_PAIRS: Final = 100
"""With fewer, the rows that are held out could not tell whether the map is any good."""

MANY_PAIRS: Final = 500
"""What a bridge should have: from there on little is lost (docs/inside/benchmarks.md)."""

STRENGTHS: Final = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the ridge, in units of the mean eigenvalue of the new vectors' scatter."""

_N_FOLDS = 5

_Rows = NDArray[np.floating]
_Wide = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SpaceMap:
    """x -> x weight + bias, from new vectors (n, d_new) to old ones (n, d_old).

    Attributes:
        weight: (d_new, d_old).
        bias: (d_old,).
        strength: of the ridge, from STRENGTHS.
        n_pairs: how many pairs it was fitted to.
    """

    weight: _Wide
    bias: _Wide
    strength: float
    n_pairs: int

    @classmethod
    def fit(cls, new: _Rows, old: _Rows, *, seed: int = 0) -> Self:
        """Fit to vectors of the same texts, new (n, d_new) and old (n, d_old).

        The strength is chosen by cross-validation over folds that `seed` deals.
        """
        a, b = np.asarray(new, np.float64), np.asarray(old, np.float64)
        strength = STRENGTHS[int(_held_out_errors(a, b, seed=seed).argmin())]
        weight, bias = _Ridge(a, b).solved(strength)
        return cls(weight=weight, bias=bias, strength=strength, n_pairs=len(a))

    def apply(self, x: _Rows) -> NDArray[np.float32]:
        """New vectors x (n, d_new) in the old space (n, d_old)."""
        return (x @ self.weight + self.bias).astype(np.float32)


def check_pairs(n_pairs: int, *, field: str = "bridge") -> None:
    """Raise DataError, naming `field`, if so few pairs cannot show that a map is good."""
    if n_pairs < FEWEST_PAIRS:
        raise DataError(
            f"a bridge needs at least {FEWEST_PAIRS} different texts, and this one has "
            f"{n_pairs:,}: add texts, which need no labels; {MANY_PAIRS} or more carry "
            "over well",
            field=field,
        )


class _Ridge:
    """Ridge regressions of every strength, from one decomposition of the new vectors."""

    def __init__(self, new: _Wide, old: _Wide) -> None:
        self._means = new.mean(axis=0), old.mean(axis=0)
        centred = new - self._means[0]
        self._curvature, self._directions = principal(centred)
        self._unit = float(self._curvature.sum()) / new.shape[1] or 1.0
        self._products = self._directions.T @ (centred.T @ (old - self._means[1]))

    def solved(self, strength: float) -> tuple[_Wide, _Wide]:
        """Weight (d_new, d_old) and bias (d_old,)."""
        weight = self._directions @ (self._products / self._shrunk(strength))
        return weight, self._means[1] - self._means[0] @ weight

    def errors(self, new: _Wide, old: _Wide, strengths: Sequence[float]) -> _Wide:
        """The sum of squared errors on other pairs, for each strength."""
        inside = (new - self._means[0]) @ self._directions
        target = old - self._means[1]
        return np.array(
            [
                np.square(inside @ (self._products / self._shrunk(strength)) - target).sum()
                for strength in strengths
            ]
        )

    def _shrunk(self, strength: float) -> _Wide:
        return np.asarray(self._curvature + strength * self._unit)[:, None]


def _held_out_errors(new: _Wide, old: _Wide, *, seed: int) -> _Wide:
    """The summed squared error of each strength on folds that the map has not seen."""
    fold = np.random.default_rng(seed).permutation(len(new)) % _N_FOLDS
    total = np.zeros(len(STRENGTHS))
    for at in range(_N_FOLDS):
        kept, left = fold != at, fold == at
        total += _Ridge(new[kept], old[kept]).errors(new[left], old[left], STRENGTHS)
    return total
