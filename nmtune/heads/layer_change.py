r"""A larger move than biases and a temperature: a linear map of the embedding beside a head.

With s the scores (n, c) of a head and x its embeddings (n, d), centred and scaled to a root mean
square norm of 1, it adds x W to the scores, with a ridge that pulls W towards 0:

.. math:: \min_W \sum_i \mathrm{CE}(\mathrm{softmax}(s_i + x_i W), y_i)
          + \frac{\lambda}{2} \lVert W \rVert^2

Solved by accelerated steps of majorise-minimise: the Hessian of a row's loss is at most half the
identity (Böhning 1992, Annals of the Institute of Statistical Mathematics 44), so in the basis of
the singular vectors of x that bound is diagonal.
"""

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from nmtune.numeric.softmax import probabilities_of

_Wide = NDArray[np.float64]

_MOST_STEPS: Final = 2000
_NEGLIGIBLE: Final = 1e-10
"""Of the largest curvature: directions with less are rounding, and no use to a fit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """The directions in which some rows differ: all that a fit to them can use.

    Attributes:
        centre: (d,), the mean of the rows.
        directions: (d, r), orthonormal, divided by the rows' root mean square norm.
        curvature: (r,), the sum of the squared coordinates of all the rows.
    """

    centre: _Wide
    directions: _Wide
    curvature: _Wide

    @classmethod
    def of(cls, x: NDArray[np.floating]) -> Self:
        """The basis of rows x (n, d)."""
        centre = x.mean(axis=0, dtype=np.float64)
        centred = x - centre
        size = math.sqrt(float(np.square(centred).sum(axis=1).mean())) or 1.0
        curvature, directions = principal(centred / size)
        return cls(centre=centre, directions=directions / size, curvature=curvature)

    def coordinates(self, x: NDArray[np.floating]) -> _Wide:
        """Rows x (n, d) in this basis, (n, r)."""
        return np.asarray((x - self.centre) @ self.directions)


def principal(rows: _Wide) -> tuple[_Wide, _Wide]:
    """The sums of squares (r,) of rows (n, d) along orthonormal directions (d, r).

    From the smaller of the two Gram matrices: a decomposition of the rows themselves costs many
    times as much, most of it in threads of BLAS that wait for one another.
    """
    if len(rows) >= rows.shape[1]:
        squares, directions = np.linalg.eigh(rows.T @ rows)
        return np.maximum(squares, 0.0), directions
    squares, combined = np.linalg.eigh(rows @ rows.T)
    kept = squares > _NEGLIGIBLE * squares[-1]
    squares = squares[kept]
    return squares, rows.T @ (combined[:, kept] / np.sqrt(squares))


def fit(
    scores: _Wide,
    z: _Wide,
    y: NDArray[np.integer],
    strength: float,
    *,
    curvature: _Wide,
    start: _Wide | None = None,
    tolerance: float = 1e-6,
) -> _Wide:
    """The weights (r, c) for coordinates z (n, r) of some of the rows that the basis is of.

    tolerance: of the gradient's largest entry, where a row adds at most 1.
    """
    rows, step = np.arange(len(y)), 1 / (curvature / 2 + strength)[:, None]
    weights = np.zeros((z.shape[1], scores.shape[1])) if start is None else start
    ahead, pace = weights, 1.0
    for _ in range(_MOST_STEPS):
        errors = probabilities_of(scores + z @ ahead)
        errors[rows, y] -= 1
        gradient = z.T @ errors + strength * ahead
        after = ahead - step * gradient
        if np.abs(gradient).max(initial=0.0) < tolerance:
            return np.asarray(after)
        if float((gradient * (after - weights)).sum()) > 0:
            pace = 1.0  # overshot: lose the momentum
        next_pace = (1 + math.sqrt(1 + 4 * pace**2)) / 2
        ahead = after + (pace - 1) / next_pace * (after - weights)
        weights, pace = after, next_pace
    return weights
