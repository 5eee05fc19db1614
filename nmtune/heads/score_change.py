r"""Change a head's scores by one bias per class and one temperature, fitted to labelled rows.

With s the head's scores (logits divided by its temperature), the changed probabilities are
softmax(a s + b). A ridge pulls a towards 1 and b towards 0, the head as it is:

.. math:: \min_{a, b} \sum_i \mathrm{CE}(\mathrm{softmax}(a s_i + b), y_i)
          + \frac{\lambda}{2} \left( (a - 1)^2 + \lVert b \rVert^2 \right)

The scaling is Platt's, with a bias per class (Guo et al., arXiv 1706.04599, section 4.2, "vector
scaling" with one scale); the ridge makes it good for 20 rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_SCALE = 0.05
_MOST_STEPS = 50
_LEAST_STEP = 1e-10

_Wide = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """What an adaptation does to scores s (n, c) of embeddings x (n, d): scale * s + bias + x W."""

    scale: float
    """a, above 0: one over the temperature that it adds."""
    bias: _Wide
    """b (c,)."""
    weights: _Wide | None = None
    """W (d, c); None without a layer."""

    @property
    def temperature(self) -> float:
        """One over the scale: above 1 the probabilities become less sure."""
        return 1 / self.scale

    def scores(self, scores: NDArray[np.floating], x: NDArray[np.floating] | None = None) -> _Wide:
        """The adapted scores (n, c); a change with weights needs the embeddings x (n, d)."""
        found = self.scale * np.asarray(scores, np.float64) + self.bias
        if self.weights is None:
            return found
        if x is None:
            raise ValueError("a change with weights needs the embeddings")
        return np.asarray(found + x @ self.weights)


def fit(
    scores: NDArray[np.floating],
    y: NDArray[np.integer],
    strength: float,
    *,
    start: Change | None = None,
    tolerance: float = 1e-10,
) -> Change:
    """The change at this ridge, by Newton's method; the objective is convex.

    start: another change to start from, which saves steps. tolerance: about twice what one more
    step would still win, in nats of the sum over rows. The scale is at least 0.05: a head that
    is wrong more often than right on the rows is not turned round.
    """
    wide = np.asarray(scores, np.float64)
    point = np.concatenate([[1.0], np.zeros(wide.shape[1])])
    if start is not None:
        point = np.concatenate([[start.scale], start.bias])
    point = _minimise(wide, y, strength, point, tolerance, is_scale_free=True)
    if point[0] < _LEAST_SCALE:
        point[0] = _LEAST_SCALE
        point = _minimise(wide, y, strength, point, tolerance, is_scale_free=False)
    return Change(scale=float(point[0]), bias=point[1:])


def _minimise(
    scores: _Wide,
    y: NDArray[np.integer],
    strength: float,
    point: _Wide,
    tolerance: float,
    *,
    is_scale_free: bool,
) -> _Wide:
    rows = np.arange(len(y))
    counts = np.bincount(y, minlength=scores.shape[1])
    of_truth = float(scores[rows, y].sum())
    none = np.concatenate([[1.0], np.zeros(scores.shape[1])])

    def objective(at: _Wide) -> float:
        logs = log_softmax(at[0] * scores + at[1:])
        return float(-logs[rows, y].sum() + strength / 2 * np.square(at - none).sum())

    value = objective(point)
    for _ in range(_MOST_STEPS):
        p = np.exp(log_softmax(point[0] * scores + point[1:]))
        expected = np.einsum("ij,ij->i", p, scores)
        gradient = strength * (point - none)
        gradient[0] += expected.sum() - of_truth
        gradient[1:] += p.sum(axis=0) - counts
        curvature = np.einsum("ij,ij->", p, np.square(scores)) - expected @ expected + strength
        mixed = np.einsum("ij,ij->j", p, scores) - expected @ p
        if not is_scale_free:
            gradient[0], mixed = 0.0, np.zeros_like(mixed)
        solved = _solve_biases(p, strength, np.stack([gradient[1:], mixed], axis=1))
        of_scale = (gradient[0] - mixed @ solved[:, 0]) / (curvature - mixed @ solved[:, 1])
        step: _Wide = np.concatenate([[of_scale], solved[:, 0] - of_scale * solved[:, 1]])
        decrease, size = float(gradient @ step), 1.0
        if decrease <= tolerance:
            return point - step
        while (lower := objective(point - size * step)) > value - size * decrease / 4:
            size /= 2
            if size < _LEAST_STEP:
                return point
        point, value = point - size * step, lower
    return point


def _solve_biases(p: _Wide, strength: float, right: _Wide) -> _Wide:
    """Solve the Hessian of the biases, diag(sum of p + strength) - p'p, for columns (c, k).

    p: the probabilities (n, c). With fewer rows than classes through a matrix of n x n (Woodbury):
    100 rows of 1,000 classes would otherwise take many times as long.
    """
    diagonal = (p.sum(axis=0) + strength)[:, None]
    if len(p) >= p.shape[1]:
        return np.asarray(np.linalg.solve(np.diag(diagonal[:, 0]) - p.T @ p, right), np.float64)
    scaled = p.T / diagonal
    inner = np.eye(len(p)) - p @ scaled
    return np.asarray(right / diagonal + scaled @ np.linalg.solve(inner, scaled.T @ right))


def losses_of(scores: _Wide, y: NDArray[np.integer]) -> _Wide:
    """The log loss (n,) of scores (n, c) for classes y (n,), in nats."""
    return np.asarray(-log_softmax(scores)[np.arange(len(y)), y])


def log_softmax(scores: _Wide) -> _Wide:
    """The logarithms of the softmax of scores (n, c)."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
