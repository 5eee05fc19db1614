"""Learning curves: how accurate a method is with growing parts of the training rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.rows.checks import as_labels, as_numbers
from nmtune.rows.subsets import nested_subset, rows_per_class

FRACTIONS: Final = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
N_SEEDS: Final = 3
MAX_FITS: Final = 200
MAX_ROWS: Final = 100_000
"""Training rows of the largest fit, by default."""
MAX_EVALUATED: Final = 10_000
"""Rows evaluated per split, by default."""


class Predictor(Protocol):
    """What a fit returns: a head, or any scikit-learn classifier."""

    def predict_proba(self, x: NDArray[Any], /) -> NDArray[np.floating]:
        """Probabilities (m, c) for rows (m, d)."""


Fitter: TypeAlias = Callable[[NDArray[Any], NDArray[np.int64], int], Predictor]
"""fit(x (k, d), y (k,), seed): a classifier trained on only these rows."""


@dataclass(frozen=True, kw_only=True)
class LearningPoint:
    """The accuracies with one number of training rows.

    Attributes
    ----------
    fraction : float
        n_rows over all training rows.
    n_rows : int
        Training rows used.
    accuracies : mapping of str to tuple of float
        Split -> one accuracy (0..1) per seed. Each seed draws its own nested subsets; with all rows
        there is only one subset, and seeds differ only by what the fit does with them.
    """

    fraction: float
    n_rows: int
    accuracies: Mapping[str, tuple[float, ...]]

    def mean(self, split: str) -> float:
        """The mean accuracy over the seeds, 0..1."""
        return float(np.mean(self.accuracies[split]))

    def deviation(self, split: str) -> float | None:
        """The standard deviation of the accuracy over the seeds; None with one seed."""
        values = self.accuracies[split]
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain Python values, ready for JSON."""
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
    """Iterate over a learning curve, smallest size first; leaving the loop stops the work.

    Each seed draws stratified subsets, each smaller one inside the larger ones. Sizes too small for
    two rows of each class are skipped. The cost is `n_seeds` fits per size.

    Parameters
    ----------
    x : ndarray, shape (n, d)
        Training embeddings; `fit` checks their values.
    y : ndarray of int, shape (n,)
        Class indices.
    n_classes : int
        How many classes there are.
    fit : callable
        ``fit(x, y, seed)`` trains on only these rows and returns something with
        ``predict_proba(x)``, such as a Head or a scikit-learn classifier.
    splits : mapping of str to tuple
        Name -> ``(x, y)`` to evaluate.
    fractions : sequence of float
        Shares of the training rows, above 0 and at most 1;
        by default 0.1, 0.2, 0.35, 0.5, 0.7 and 1.
    n_seeds : int, default=3
        Fits per size.
    seed : int, default=0
        The first seed.
    max_rows : int, default=100_000
        Larger sizes are cut down to this, and equal ones left out.
    max_evaluated : int, default=10_000
        Rows evaluated per split, drawn with `seed`.

    Yields
    ------
    LearningPoint

    Raises
    ------
    DataError
        A shape does not fit, a label is not a class index, or there is no split; while iterating,
        if probabilities are not of shape (m, n_classes).
    ConfigError
        A number is out of bounds, or there would be more than 200 fits.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from nmtune import learning_curve
    >>> random = np.random.default_rng(0)
    >>> y = np.arange(400) % 2
    >>> x = random.normal(size=(400, 5)) + y[:, None]
    >>> def fit(x, y, seed):
    ...     return LogisticRegression().fit(x, y)
    >>> test = {"test": (x[300:], y[300:])}
    >>> points = list(learning_curve(x[:300], y[:300], n_classes=2, fit=fit, splits=test))
    >>> [point.n_rows for point in points]
    [30, 60, 106, 150, 210, 300]
    >>> points[-1].mean("test") > 0.8
    True
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
