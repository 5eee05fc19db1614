"""The home of the learning curve: how good a method is on growing parts of the training rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.nested_subsets import nested_subset, rows_per_class
from nmtune.rows import as_labels, as_numbers

FRACTIONS: Final = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
N_SEEDS: Final = 3
MAX_FITS: Final = 200
MAX_ROWS: Final = 100_000
"""Training rows of the largest fit by default."""
MAX_EVALUATED: Final = 10_000
"""Rows of a split that are evaluated by default."""


class Predictor(Protocol):
    """What a fit gives: a head, or any classifier of scikit-learn."""

    def predict_proba(self, x: NDArray[Any], /) -> NDArray[np.floating]:
        """Probabilities (m, c) for rows (m, d)."""


Fitter: TypeAlias = Callable[[NDArray[Any], NDArray[np.int64], int], Predictor]
"""fit(x (k, d), y (k,), seed): trained on these rows alone."""


@dataclass(frozen=True, kw_only=True)
class LearningPoint:
    """One size of the training rows, and the accuracy by split.

    Attributes
    ----------
    fraction
        About which share of all training rows.
    n_rows
        How many.
    accuracies
        Of each split one accuracy (0..1) a seed, each seed with its own nested subsets. All rows
        can be
        drawn in one way only: with fraction 1 seeds differ by what the fit does with them.
    """

    fraction: float
    n_rows: int
    accuracies: Mapping[str, tuple[float, ...]]

    def mean(self, split: str) -> float:
        """Mean accuracy over the seeds, 0..1."""
        return float(np.mean(self.accuracies[split]))

    def deviation(self, split: str) -> float | None:
        """The band: standard deviation of the accuracy over the seeds; None with one seed."""
        values = self.accuracies[split]
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """The same in plain Python values, ready for JSON."""
        return {
            "fraction": self.fraction,
            "n_rows": self.n_rows,
            "splits": {
                split: {
                    "accuracy": self.mean(split),
                    "deviation": self.deviation(split),
                    "n_seeds": len(values),
                }
                for split, values in self.accuracies.items()
            },
        }


def learning_curve(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    n_classes: int,
    fit: Fitter,
    splits: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
    fractions: Sequence[float] = FRACTIONS,
    n_seeds: int = N_SEEDS,
    seed: int = 0,
    max_rows: int = MAX_ROWS,
    max_evaluated: int = MAX_EVALUATED,
) -> Iterator[LearningPoint]:
    """Measure a method on growing parts of the training rows.

    It costs `n_seeds` fits a size. Each seed has stratified subsets of its own, a smaller one
    within a
    larger one; sizes too small for two rows of each class are skipped. Values of x are checked by
    `fit`
    and by what it gives.

    Parameters
    ----------
    x, y
        Training rows (n, d) and class indices (n,).
    n_classes
        Number of classes.
    fit
        `fit(x, y, seed)` trains on these rows only, and gives a head, or any classifier with
        `predict_proba`.
    splits
        By name, the (x, y) to evaluate.
    fractions
        Shares of the rows, above 0 and at most 1.
    n_seeds
        Fits of each size.
    seed
        0 or more.
    max_rows
        The most rows of a fit: larger sizes are cut down to that, and equal ones left out.
    max_evaluated
        The most rows of a split to evaluate, drawn with `seed`.

    Returns
    -------
    Iterator[LearningPoint]
        The smallest size first; leaving the loop stops the work.

    Raises
    ------
    DataError
        When called: a shape does not fit, a label is not an index of a class, or there is no split.
        While iterating: probabilities are not (m, n_classes), or `fit` raises it.
    ConfigError
        A number is out of range, or there would be more than 200 fits.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> y = np.arange(200) % 2
    >>> x = np.random.default_rng(0).normal(size=(200, 8)) + y[:, None]
    >>> def fit(x, y, seed):
    ...     return LogisticRegression().fit(x, y)
    >>> splits = {"test": (x, y)}
    >>> points = learning_curve(
    ...     x, y, n_classes=2, fit=fit, splits=splits, fractions=(0.1, 0.5, 1.0), n_seeds=2
    ... )
    >>> [point.n_rows for point in points]
    [20, 100, 200]
    """
    _check_settings(fractions, n_seeds, seed, max_rows, max_evaluated)
    train_x, labels = _checked(x, y, n_classes, "")
    if not splits:
        raise DataError("a learning curve needs at least one split to evaluate", field="splits")
    evaluated = {}
    for name, rows in splits.items():
        split_x, split_y = _checked(*rows, n_classes, f"{name}.")
        if split_x.shape[1] != train_x.shape[1]:
            raise DataError(
                f"{name}.x must have {train_x.shape[1]} columns, as the training rows, "
                f"got {split_x.shape[1]}",
                field=f"{name}.x",
            )
        kept = _sample(len(split_y), max_evaluated, seed)
        evaluated[name] = split_x[kept], split_y[kept]
    fractions = [min(fraction, max_rows / len(labels)) for fraction in fractions]
    takes = rows_per_class(labels, fractions)

    def points() -> Iterator[LearningPoint]:
        for take in takes:
            scores: dict[str, list[float]] = {name: [] for name in evaluated}
            for one in range(seed, seed + n_seeds):
                rows = nested_subset(labels, take, seed=one)
                head = fit(train_x[rows], labels[rows], one)
                for name, (split_x, split_y) in evaluated.items():
                    scores[name].append(_accuracy(head, split_x, split_y, n_classes))
            n_rows = int(take.sum())
            yield LearningPoint(
                fraction=n_rows / len(labels),
                n_rows=n_rows,
                accuracies={name: tuple(values) for name, values in scores.items()},
            )

    return points()


def _sample(n_rows: int, n_most: int, seed: int) -> NDArray[np.int64] | slice:
    if n_rows <= n_most:
        return slice(None)
    return np.sort(np.random.default_rng(seed).choice(n_rows, n_most, replace=False))


def _accuracy(head: Predictor, x: NDArray[Any], y: NDArray[np.int64], n_classes: int) -> float:
    probabilities = np.asarray(head.predict_proba(x))
    if probabilities.shape != (len(y), n_classes):
        raise DataError(
            f"probabilities must be ({len(y)}, {n_classes}), got shape {probabilities.shape}",
            field="probabilities",
        )
    return float((probabilities.argmax(axis=1) == y).mean())


def _checked(
    x: NDArray[Any], y: NDArray[Any], n_classes: int, prefix: str
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    x = as_numbers(x, field=f"{prefix}x")
    if x.ndim != 2 or not x.size:
        raise DataError(
            f"{prefix}x must be (rows, columns) with at least one of each, got shape {x.shape}",
            field=f"{prefix}x",
        )
    return x, as_labels(y, n_rows=len(x), n_classes=n_classes, field=f"{prefix}y")


def _check_settings(
    fractions: Sequence[float], n_seeds: int, seed: int, max_rows: int, max_evaluated: int
) -> None:
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise ConfigError(
            f"fractions must be above 0 and at most 1, got {list(fractions)}", field="fractions"
        )
    for field, value, least in (
        ("n_seeds", n_seeds, 1),
        ("seed", seed, 0),
        ("max_rows", max_rows, 1),
        ("max_evaluated", max_evaluated, 1),
    ):
        if value < least:
            raise ConfigError(f"{field} must be {least} or more, got {value}", field=field)
    if len(fractions) * n_seeds > MAX_FITS:
        raise ConfigError(
            f"{len(fractions)} fractions and {n_seeds} seeds would be more than {MAX_FITS} fits",
            field="n_seeds",
        )
