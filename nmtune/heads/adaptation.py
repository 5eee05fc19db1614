"""Adapt a head to a few labelled rows of a new domain, and say what that is worth.

The change is one bias per class and one temperature (`score_change`); from 40 rows on, a linear map
of the embedding may come on top (`layer_change`). The strength of each ridge, or no change at all,
is chosen by cross-validation, and what the choice is worth is measured on rows that neither the
fits nor the choice have seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError
from nmtune.heads import layer_change
from nmtune.heads.choosing_rows import rows_to_choose_by
from nmtune.heads.layer_change import Basis
from nmtune.heads.score_change import Change, fit, losses_of
from nmtune.numeric.statistics import mean_interval
from nmtune.rows.folds import assign_folds, held_out_rows

STRENGTHS: Final = (100.0, 30.0, 10.0, 3.0, 1.0)
"""Of the ridge; beside them no change at all is tried. From strong to weak."""

LAYER_STRENGTHS: Final = (3.0, 1.0, 0.3)
"""Of the ridge of the linear map; see `layer_change`."""

FEWEST_ROWS_FOR_LAYER: Final = 40

FEWEST_ROWS: Final = 10
"""With fewer, cross-validation could not tell a gain from chance."""

MOST_ROWS: Final = 10_000
"""More rows are worth a training of their own."""

MOST_CLASSES: Final = 1_000
"""With more, the answer would take minutes."""

MOST_CLASSES_FOR_LAYER: Final = 200
"""The same of a linear map, whose weights no few rows can tell for more classes."""

_N_FOLDS = 10
_N_LAYER_FOLDS = 5
"""Fewer where a linear map is tried, which takes longer. Within a fold half as many and one."""
_CLEAR = 1.0
"""Standard errors by which a change must beat none on the rows that choose the strength."""
_CLEAR_OF_LAYER = 1.5
"""The same for a linear map, against the biases and temperature without it."""
_ABOUT_AS_GOOD = 0.5
"""Standard errors that a stronger ridge may be behind the best one: of the rules that were tried,
it won the most out of domain and harmed the least (docs/inside/method.md)."""

_EXACT, _ROUGH = (1e-10, 1e-4), (1e-4, 1e-2)
"""Tolerances of biases and linear map: of the change that is published, and of those that are
compared, whose losses are right to five digits."""

_Wide = NDArray[np.float64]


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
        The ridge of biases and temperature; None if they do not change.
    layer_strength : float or None
        The ridge of the linear map; None without one.
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
    layer_strength: float | None
    held_out: Loss
    held_out_scores: _Wide
    held_out_y: NDArray[np.int64]
    reason: str


def adapt(
    scores: NDArray[np.floating],
    y: NDArray[np.integer],
    *,
    x: NDArray[np.floating] | None = None,
    seed: int = 0,
) -> Adaptation:
    """Find the change that serves a new domain better, if there is one.

    Parameters
    ----------
    scores : ndarray of float, shape (n, c)
        The head's logits divided by its temperature, for labelled rows of the new domain; n from
        10 to 10,000.
    y : ndarray of int, shape (n,)
        Their classes.
    x : ndarray of float, shape (n, d), optional
        Their embeddings. From 40 rows on a linear map of them is tried too.
    seed : int, default=0
        Deals the rows out to folds.

    Returns
    -------
    Adaptation
        Without a change if cross-validation does not find it clearly better than none.

    Raises
    ------
    DataError
        Too few or too many rows, rows of one class only, or more than 1,000 classes.

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
    rows, basis, some = _prepared(scores, y, x, seed=seed)
    held_out = _cross_fitted(some, seed=seed)
    strengths = _choose(some, n_folds=some.n_folds, seed=seed)
    loss = _compare(some.scores, held_out, some.y)
    change = None
    if strengths != _NONE and loss.gain > 0:
        change = _change(_fit(rows, strengths), basis)
    return Adaptation(
        change=change,
        strength=None if change is None else strengths.of_biases,
        layer_strength=None if change is None else strengths.of_layer,
        held_out=loss,
        held_out_scores=held_out,
        held_out_y=some.y,
        reason=_reason(loss, len(some.y), is_worth_it=change is not None),
    )


def change_for(
    scores: NDArray[np.floating],
    y: NDArray[np.integer],
    *,
    x: NDArray[np.floating] | None = None,
    seed: int = 0,
) -> Change | None:
    """The change that `adapt` would choose, without measuring what it is worth; None for none.

    It takes a fraction of the time, for who judges the change on rows of their own. `adapt` in
    addition drops a change that won nothing on the rows held out. Takes and raises the same.
    """
    rows, basis, some = _prepared(scores, y, x, seed=seed)
    strengths = _choose(some, n_folds=some.n_folds, seed=seed)
    return None if strengths == _NONE else _change(_fit(rows, strengths), basis)


def check(y: NDArray[np.integer], *, n_classes: int, field: str = "labels") -> None:
    """Raise DataError, naming `field`, if a head cannot be adapted to rows of classes y (n,)."""
    n_rows = len(y)
    if not FEWEST_ROWS <= n_rows <= MOST_ROWS:
        raise DataError(
            f"adapting takes {FEWEST_ROWS} to {MOST_ROWS:,} labelled rows, got {n_rows:,}"
            + ("" if n_rows < FEWEST_ROWS else ": train on that many instead"),
            field=field,
        )
    if n_classes > MOST_CLASSES:
        raise DataError(
            f"adapting takes a head of at most {MOST_CLASSES:,} classes, and this one has "
            f"{n_classes:,}: train again with the rows added",
            field=field,
        )
    if n_classes > 1 and (y == y[0]).all():
        raise DataError(
            "all labels are of one class, which tells nothing of the others: draw rows at random",
            field=field,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """Labelled rows: scores (n, c), y (n,), and, where a layer is tried, coordinates z (n, r)."""

    scores: _Wide
    y: NDArray[np.int64]
    z: _Wide | None = None
    curvature: _Wide | None = None

    def take(self, at: NDArray[np.integer]) -> "_Rows":
        z = None if self.z is None else self.z[at]
        return replace(self, scores=self.scores[at], y=self.y[at], z=z)

    @property
    def n_folds(self) -> int:
        return _N_FOLDS if self.z is None else _N_LAYER_FOLDS

    @property
    def losses(self) -> _Wide:
        return losses_of(self.scores, self.y)


def _prepared(
    scores: NDArray[np.floating],
    y: NDArray[np.integer],
    x: NDArray[np.floating] | None,
    *,
    seed: int,
) -> tuple[_Rows, Basis | None, _Rows]:
    """All rows, with the basis of their coordinates, and those that choose the strengths."""
    n_rows, n_classes = scores.shape
    check(y, n_classes=n_classes)
    if n_rows < FEWEST_ROWS_FOR_LAYER or n_classes > MOST_CLASSES_FOR_LAYER:
        x = None
    rows, basis = _rows(scores, y, x)
    chosen_by = rows_to_choose_by(n_rows, n_classes, has_layer=x is not None, seed=seed)
    if len(chosen_by) == n_rows:
        return rows, basis, rows
    some, _ = _rows(scores[chosen_by], y[chosen_by], None if x is None else x[chosen_by])
    return rows, basis, some


def _rows(
    scores: NDArray[np.floating], y: NDArray[np.integer], x: NDArray[np.floating] | None
) -> tuple[_Rows, Basis | None]:
    """The rows as they are fitted, and the basis of their coordinates if there are embeddings."""
    wide, classes = np.asarray(scores, np.float64), np.asarray(y, np.int64)
    if x is None:
        return _Rows(scores=wide, y=classes), None
    basis = Basis.of(x)
    z = basis.coordinates(x)
    return _Rows(scores=wide, y=classes, z=z, curvature=basis.curvature), basis


class _Strengths(NamedTuple):
    """The ridge of each part of a change; None where that part is left out."""

    of_biases: float | None
    of_layer: float | None


_NONE = _Strengths(None, None)


class _Fitted(NamedTuple):
    """A change in the coordinates of its rows: weights (r, c), None without a layer."""

    change: Change
    weights: _Wide | None = None

    def scores(self, rows: _Rows) -> _Wide:
        found = self.change.scores(rows.scores)
        if self.weights is None or rows.z is None:
            return found
        return np.asarray(found + rows.z @ self.weights)


def _fit(
    rows: _Rows, strengths: _Strengths, start: _Fitted | None = None, *, is_rough: bool = False
) -> _Fitted:
    """The biases and temperature first, then the layer on top of them."""
    of_biases, of_layer = _ROUGH if is_rough else _EXACT
    change = Change(scale=1.0, bias=np.zeros(rows.scores.shape[1]))
    if strengths.of_biases is not None:
        begin = None if start is None else start.change
        change = fit(rows.scores, rows.y, strengths.of_biases, start=begin, tolerance=of_biases)
    if strengths.of_layer is None or rows.z is None or rows.curvature is None:
        return _Fitted(change)
    weights = layer_change.fit(
        change.scores(rows.scores),
        rows.z,
        rows.y,
        strengths.of_layer,
        curvature=rows.curvature,
        start=None if start is None else start.weights,
        tolerance=of_layer,
    )
    return _Fitted(change, weights)


def _change(fitted: _Fitted, basis: Basis | None) -> Change:
    """The change for embeddings as they are."""
    if fitted.weights is None or basis is None:
        return fitted.change
    weights = basis.directions @ fitted.weights
    bias = fitted.change.bias - basis.centre @ weights
    return Change(scale=fitted.change.scale, bias=bias, weights=weights)


def _choose(rows: _Rows, *, n_folds: int, seed: int) -> _Strengths:
    """The strengths with about the least held-out loss: of the biases, then of the layer."""
    folds = assign_folds(rows.y, n_folds=n_folds, seed=seed)
    biases = [_Strengths(one, None) for one in STRENGTHS]
    of_biases = _best(biases, rows, folds, _NONE, clear=_CLEAR)
    if rows.z is None:
        return of_biases
    layers = [_Strengths(of_biases.of_biases, one) for one in LAYER_STRENGTHS]
    return _best(layers, rows, folds, of_biases, clear=_CLEAR_OF_LAYER)


def _best(
    tried: Sequence[_Strengths],
    rows: _Rows,
    folds: NDArray[np.int64],
    otherwise: _Strengths,
    *,
    clear: float,
) -> _Strengths:
    """The strongest of the ridges that is about as good as the best; `otherwise` where that is not
    clearly better.

    tried: from strong to weak. Judged by held-out log loss, row by row.
    """
    losses = _held_out_losses(tried, rows, folds)
    (usual,) = [rows.losses] if otherwise == _NONE else _held_out_losses([otherwise], rows, folds)
    best = losses[losses.mean(axis=1).argmin()]
    chosen = next(at for at, one in enumerate(losses) if _is_within(one - best, _ABOUT_AS_GOOD))
    return otherwise if _is_within(usual - losses[chosen], clear) else tried[chosen]


def _held_out_losses(tried: Sequence[_Strengths], rows: _Rows, folds: NDArray[np.int64]) -> _Wide:
    """Each row's loss (k, n) by changes fitted without its fold."""
    losses = np.empty((len(tried), len(rows.y)))
    for learnt, held_out in held_out_rows(folds):
        some, others, fitted = rows.take(learnt), rows.take(held_out), None
        for at, strengths in enumerate(tried):
            fitted = _fit(some, strengths, fitted, is_rough=True)
            losses[at, held_out] = losses_of(fitted.scores(others), others.y)
    return losses


def _is_within(differences: _Wide, errors: float) -> bool:
    """Whether the mean is at most so many standard errors."""
    return bool(
        differences.mean() <= errors * differences.std(ddof=1) / math.sqrt(len(differences))
    )


def _cross_fitted(rows: _Rows, *, seed: int) -> _Wide:
    """Each row's scores by a change that was fitted, and whose strength was chosen, without it."""
    found = rows.scores.copy()
    for learnt, held_out in held_out_rows(assign_folds(rows.y, n_folds=rows.n_folds, seed=seed)):
        some = rows.take(learnt)
        strengths = _choose(some, n_folds=rows.n_folds // 2 + 1, seed=seed + 1)
        if strengths != _NONE:
            fitted = _fit(some, strengths, is_rough=True)
            found[held_out] = fitted.scores(rows.take(held_out))
    return found


def _compare(scores: _Wide, adapted: _Wide, y: NDArray[np.int64]) -> Loss:
    before, after = losses_of(scores, y), losses_of(adapted, y)
    return Loss(
        before=float(before.mean()),
        after=float(after.mean()),
        gain=float((before - after).mean()),
        gain_interval=mean_interval(before - after),
        accuracy_before=float((scores.argmax(axis=1) == y).mean()),
        accuracy_after=float((adapted.argmax(axis=1) == y).mean()),
    )


def _reason(loss: Loss, n_rows: int, *, is_worth_it: bool) -> str:
    where = f"on {n_rows:,} held-out rows"
    if not is_worth_it:
        return (
            f"Nothing was won {where}, so the head stays as it is: log loss {loss.before:.3g} as "
            f"it is, {loss.after:.3g} adapted."
        )
    low, high = loss.gain_interval
    return (
        f"Log loss {loss.after:.3g} instead of {loss.before:.3g} {where}: {loss.gain:.2g} less "
        f"(95 % interval {low:.2g} to {high:.2g})."
    )
