r"""Adapt a head to a few labelled rows of a new domain: one bias per class and one temperature.

With s the head's scores (logits divided by its temperature), the adapted probabilities are
softmax(a s + b). A ridge pulls a towards 1 and b towards 0, the head as it is:

.. math:: \min_{a, b} \sum_i \mathrm{CE}(\mathrm{softmax}(a s_i + b), y_i)
          + \frac{\lambda}{2} \left( (a - 1)^2 + \lVert b \rVert^2 \right)

The scaling is Platt's, with a bias per class (Guo et al., arXiv 1706.04599, section 4.2, "vector
scaling" with one scale); the ridge makes it good for 20 rows. Its strength, or no change at all, is
chosen by cross-validation, and what the choice is worth is measured on rows that neither the fit
nor the choice has seen.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError
from nmtune.numeric.statistics import mean_interval
from nmtune.rows.folds import assign_folds, held_out_rows

STRENGTHS: Final = (100.0, 30.0, 10.0, 3.0, 1.0)
"""Of the ridge; beside them no change at all is tried. From strong to weak."""

FEWEST_ROWS: Final = 10
"""With fewer, cross-validation could not tell a gain from chance."""

MOST_ROWS: Final = 10_000
"""More rows are worth a training of their own."""

_N_FOLDS = 10
_N_INNER_FOLDS = 5
_CLEAR = 1.0
"""Standard errors by which a change must beat none on the rows that choose the strength."""
_ABOUT_AS_GOOD = 0.5
"""Standard errors that a stronger ridge may be behind the best one: of the rules that were tried,
it won the most out of domain and harmed the least (docs/inside/benchmarks.md)."""
_MOST_WORK = 1 << 23
"""Rows times classes squared in cross-validation: a second or two; more rows choose no better."""
_FEWEST_TO_CHOOSE = 200
_LEAST_SCALE = 0.05
_MOST_STEPS = 50
_ENOUGH = 1e-10

_Wide = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """What an adaptation does to scores s (n, c): scale * s + bias."""

    scale: float
    """a, above 0: one over the temperature that it adds."""
    bias: _Wide
    """b (c,)."""

    @property
    def temperature(self) -> float:
        """One over the scale: above 1 the probabilities become less sure."""
        return 1 / self.scale

    def scores(self, scores: NDArray[np.floating]) -> _Wide:
        """The adapted scores (n, c)."""
        return self.scale * np.asarray(scores, np.float64) + self.bias


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Mean log loss in nats, and accuracy, of the head as it is and adapted, on held-out rows.

    gain: before - after, with its 95 % interval.
    """

    before: float
    after: float
    gain: float
    gain_interval: tuple[float, float]
    accuracy_before: float
    accuracy_after: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Adaptation:
    """The result of `adapt`.

    Attributes
    ----------
    change : Change or None
        The change fitted to all rows; None if none is worth it.
    strength : float or None
        The ridge of the change.
    held_out : Loss
        What adapting in this way was worth on rows that it had not seen.
    held_out_scores : ndarray of float64, shape (m, c)
        The adapted scores of those rows, each by a change fitted and chosen without the row.
    held_out_y : ndarray of int64, shape (m,)
        Their classes. All rows, except where many rows times classes would take too long.
    reason : str
        A sentence.
    """

    change: Change | None
    strength: float | None
    held_out: Loss
    held_out_scores: _Wide
    held_out_y: NDArray[np.int64]
    reason: str


def adapt(scores: NDArray[np.floating], y: NDArray[np.integer], *, seed: int = 0) -> Adaptation:
    """Find the change that serves a new domain better, if there is one.

    Parameters
    ----------
    scores : ndarray of float, shape (n, c)
        The head's logits divided by its temperature, for labelled rows of the new domain; n from
        10 to 10,000.
    y : ndarray of int, shape (n,)
        Their classes.
    seed : int, default=0
        Deals the rows out to folds.

    Returns
    -------
    Adaptation
        Without a change if cross-validation does not find it clearly better than none.

    Raises
    ------
    DataError
        Too few or too many rows.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune.heads.adaptation import adapt
    >>> y = np.arange(40) % 2
    >>> scores = np.stack([np.full(40, 3.0), 4.0 * y], axis=1)  # always 3 for the first class
    >>> found = adapt(scores, y)
    >>> (scores.argmax(axis=1) == y).mean(), found.held_out.after < found.held_out.before
    (np.float64(1.0), True)
    """
    n_rows, n_classes = scores.shape
    if not FEWEST_ROWS <= n_rows <= MOST_ROWS:
        raise DataError(
            f"adapting takes {FEWEST_ROWS} to {MOST_ROWS:,} labelled rows, got {n_rows:,}"
            + ("" if n_rows < FEWEST_ROWS else ": train on that many instead"),
            field="labels",
        )
    some = _to_choose_by(n_rows, n_classes, seed)
    chosen_by, given = np.asarray(scores[some], np.float64), np.asarray(y[some], np.int64)
    held_out, strengths = _cross_fitted(chosen_by, given, seed=seed)
    strength = _choose(chosen_by, given, n_folds=_N_FOLDS, seed=seed)
    loss = _compare(chosen_by, held_out, given)
    change, reason = None, ""
    if strength is None or loss.gain <= 0 or not any(strengths):
        strength = None
        reason = (
            f"Nothing was won on {len(some):,} held-out rows, so the head stays as it is: log loss "
            f"{loss.before:.3g} as it is, {loss.after:.3g} adapted."
        )
    else:
        change = fit(scores, y, strength)
        low, high = loss.gain_interval
        reason = (
            f"Log loss {loss.after:.3g} instead of {loss.before:.3g} on {len(some):,} held-out "
            f"rows: {loss.gain:.2g} less (95 % interval {low:.2g} to {high:.2g})."
        )
    return Adaptation(
        change=change,
        strength=strength,
        held_out=loss,
        held_out_scores=held_out,
        held_out_y=given,
        reason=reason,
    )


def fit(
    scores: NDArray[np.floating],
    y: NDArray[np.integer],
    strength: float,
    *,
    start: Change | None = None,
) -> Change:
    """The change at this ridge, by Newton's method; the objective is convex.

    start: another change to start from, which saves steps. The scale is at least 0.05: a head that
    is wrong more often than right on the rows is not turned round.
    """
    wide = np.asarray(scores, np.float64)
    point = np.concatenate([[1.0], np.zeros(wide.shape[1])])
    if start is not None:
        point = np.concatenate([[start.scale], start.bias])
    point = _minimise(wide, y, strength, point, is_scale_free=True)
    if point[0] < _LEAST_SCALE:
        point[0] = _LEAST_SCALE
        point = _minimise(wide, y, strength, point, is_scale_free=False)
    return Change(scale=float(point[0]), bias=point[1:])


def _minimise(
    scores: _Wide, y: NDArray[np.integer], strength: float, point: _Wide, *, is_scale_free: bool
) -> _Wide:
    rows = np.arange(len(y))
    counts = np.bincount(y, minlength=scores.shape[1])
    of_truth = float(scores[rows, y].sum())
    none = np.concatenate([[1.0], np.zeros(scores.shape[1])])

    def objective(at: _Wide) -> float:
        logs = _log_softmax(at[0] * scores + at[1:])
        return float(-logs[rows, y].sum() + strength / 2 * np.square(at - none).sum())

    value = objective(point)
    for _ in range(_MOST_STEPS):
        p = np.exp(_log_softmax(point[0] * scores + point[1:]))
        expected = np.einsum("ij,ij->i", p, scores)
        gradient = strength * (point - none)
        gradient[0] += expected.sum() - of_truth
        gradient[1:] += p.sum(axis=0) - counts
        hessian = np.empty((len(point), len(point)))
        hessian[1:, 1:] = np.diag(p.sum(axis=0)) - p.T @ p
        hessian[0, 0] = np.einsum("ij,ij->", p, np.square(scores)) - expected @ expected
        hessian[0, 1:] = hessian[1:, 0] = np.einsum("ij,ij->j", p, scores) - expected @ p
        hessian[np.diag_indices(len(point))] += strength
        if not is_scale_free:
            gradient[0], hessian[0, 1:], hessian[1:, 0] = 0.0, 0.0, 0.0
        step = np.linalg.solve(hessian, gradient)
        decrease, size = float(gradient @ step), 1.0
        if decrease <= _ENOUGH:
            return point - step
        while (lower := objective(point - size * step)) > value - size * decrease / 4:
            size /= 2
            if size < _ENOUGH:
                return point
        point, value = point - size * step, lower
    return point


def _choose(scores: _Wide, y: NDArray[np.int64], *, n_folds: int, seed: int) -> float | None:
    """The strongest ridge that is about as good as the best; None if no change is clearly better.

    Judged by held-out log loss, row by row against no change and against the best.
    """
    losses = np.empty((len(STRENGTHS), len(y)))
    for learnt, held_out in held_out_rows(assign_folds(y, n_folds=n_folds, seed=seed)):
        change = None
        for at, strength in enumerate(STRENGTHS):
            change = fit(scores[learnt], y[learnt], strength, start=change)
            losses[at, held_out] = _losses(change.scores(scores[held_out]), y[held_out])
    best = losses[losses.mean(axis=1).argmin()]
    chosen = next(at for at, one in enumerate(losses) if _is_within(one - best, _ABOUT_AS_GOOD))
    gain = _losses(scores, y) - losses[chosen]
    return None if _is_within(gain, _CLEAR) else STRENGTHS[chosen]


def _is_within(differences: _Wide, errors: float) -> bool:
    """Whether the mean is at most so many standard errors."""
    return bool(
        differences.mean() <= errors * differences.std(ddof=1) / math.sqrt(len(differences))
    )


def _cross_fitted(
    scores: _Wide, y: NDArray[np.int64], *, seed: int
) -> tuple[_Wide, list[float | None]]:
    """Each row's scores by a change that was fitted, and whose strength was chosen, without it."""
    found, strengths = scores.copy(), []
    for learnt, held_out in held_out_rows(assign_folds(y, n_folds=_N_FOLDS, seed=seed)):
        strength = _choose(scores[learnt], y[learnt], n_folds=_N_INNER_FOLDS, seed=seed + 1)
        strengths.append(strength)
        if strength is not None:
            change = fit(scores[learnt], y[learnt], strength)
            found[held_out] = change.scores(scores[held_out])
    return found, strengths


def _compare(scores: _Wide, adapted: _Wide, y: NDArray[np.int64]) -> Loss:
    before, after = _losses(scores, y), _losses(adapted, y)
    return Loss(
        before=float(before.mean()),
        after=float(after.mean()),
        gain=float((before - after).mean()),
        gain_interval=mean_interval(before - after),
        accuracy_before=float((scores.argmax(axis=1) == y).mean()),
        accuracy_after=float((adapted.argmax(axis=1) == y).mean()),
    )


def _to_choose_by(n_rows: int, n_classes: int, seed: int) -> NDArray[np.intp]:
    """The rows of the cross-validation, sorted: all, or as many as the work allows."""
    most = max(_FEWEST_TO_CHOOSE, _MOST_WORK // n_classes**2)
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).permutation(n_rows)[:most])


def _losses(scores: _Wide, y: NDArray[np.integer]) -> _Wide:
    return np.asarray(-_log_softmax(scores)[np.arange(len(y)), y])


def _log_softmax(scores: _Wide) -> _Wide:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
