"""Measure class probabilities against the true classes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError
from nmtune.numeric.numpy_state import numpy_state
from nmtune.rows.checks import as_numbers

LARGEST_MATRIX = 100
"""With more classes than this, the confusions are listed instead of laid out as a matrix."""
N_CONFUSIONS = 100
"""How many confusions are listed, the most frequent first."""

_N_BINS = 15
_EDGES = np.linspace(0, 1, _N_BINS + 1)
# A head's probabilities are float32: one that reads 0 is only known to be below this.
_SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)
_ROW_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """The metrics of one class; a share of no rows is 0.

    Attributes
    ----------
    name : str
        The class.
    support : int
        Its true rows.
    precision, recall, f1 : float
        0..1.
    """

    name: str
    support: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How many rows of the class `true` were predicted as `predicted`."""

    true: str
    predicted: str
    n_rows: int


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The rows whose confidence (largest probability) is above `low` and at most `high`.

    mean_confidence and accuracy are in 0..1, None if the bin is empty.
    """

    low: float
    high: float
    n_rows: int
    mean_confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """How good probabilities are on one split.

    Attributes
    ----------
    n_rows : int
        Rows evaluated.
    accuracy : float
        0..1.
    macro_f1 : float
        Mean F1 over the classes present in y, 0..1.
    n_classes_present : int
        Classes with at least one row.
    log_loss : float
        Mean -log of the true class's probability, in nats; probabilities are clipped at float32's
        rounding step (1.2e-7).
    ece : float
        Expected calibration error of the predicted class, 0..1: the mean over rows of
        ``|accuracy - mean confidence|`` of the row's bin (Guo et al. 2017, arXiv 1706.04599).
    reliability : tuple of ReliabilityBin
        Its 15 bins of equal width.
    per_class : tuple of ClassMetrics
        Precision, recall and F1 of each class, in order.
    confusion_matrix : ndarray of int64, shape (c, c), or None
        Rows are true classes, columns predicted ones; None with more than 100 classes.
    confusions : tuple of Confusion
        The 100 most frequent mistakes; ties by true, then predicted class.
    """

    n_rows: int
    accuracy: float
    macro_f1: float
    n_classes_present: int
    log_loss: float
    ece: float
    reliability: tuple[ReliabilityBin, ...] = field(repr=False)
    per_class: tuple[ClassMetrics, ...] = field(repr=False)
    confusion_matrix: NDArray[np.int64] | None = field(repr=False)
    confusions: tuple[Confusion, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain Python values, ready for JSON."""
        matrix = self.confusion_matrix
        return {
            "n_rows": self.n_rows,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "n_classes_present": self.n_classes_present,
            "log_loss": self.log_loss,
            "ece": self.ece,
            "reliability": [asdict(one) for one in self.reliability],
            "per_class": [asdict(metrics) for metrics in self.per_class],
            "confusion_matrix": None if matrix is None else matrix.tolist(),
            "confusions": [asdict(one) for one in self.confusions],
        }


@numpy_state()
def evaluate(
    probabilities: NDArray[np.floating], y: NDArray[Any], classes: Sequence[str]
) -> Evaluation:
    """Measure probabilities against the true classes.

    The predicted class is the one with the largest probability, the first of equals. Memory grows
    with n and c, but not with c x c beyond 100 classes.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, c)
        One row per example, each adding up to 1.
    y : ndarray of int, shape (n,)
        True class indices.
    classes : sequence of str
        The c class names.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        There are no rows, a shape does not fit, y is not an index of classes, or a row of
        probabilities is invalid (NaN, negative, or not adding up to 1); ``row`` says where.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import evaluate
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    >>> found = evaluate(probabilities, np.array([0, 1, 1]), ["cat", "dog"])
    >>> round(found.accuracy, 3), round(found.log_loss, 3)
    (0.667, 0.415)
    >>> found.confusion_matrix.tolist()
    [[1, 0], [1, 1]]
    """
    probabilities = as_numbers(probabilities, field="probabilities")
    y = as_numbers(y, field="y") if hasattr(y, "detach") else np.asarray(y)
    _check_probabilities(probabilities, n_classes=len(classes))
    _check_labels(y, n_rows=len(probabilities), n_classes=len(classes))
    y = y.astype(np.int64)
    predicted = probabilities.argmax(axis=1)
    every_row = np.arange(len(y))
    is_correct = predicted == y
    confidence = probabilities[every_row, predicted].astype(np.float64)
    per_class = _per_class(y, predicted, classes)
    f1_of_present = [metrics.f1 for metrics in per_class if metrics.support]
    is_small = len(classes) <= LARGEST_MATRIX
    return Evaluation(
        n_rows=len(y),
        accuracy=float(is_correct.mean()),
        macro_f1=float(np.mean(f1_of_present)),
        n_classes_present=len(f1_of_present),
        log_loss=_log_loss(probabilities[every_row, y]),
        ece=_calibration_error(confidence, is_correct),
        reliability=_reliability(confidence, is_correct),
        per_class=per_class,
        confusion_matrix=_matrix(y, predicted, n_classes=len(classes)) if is_small else None,
        confusions=_confusions(y, predicted, classes),
    )


def _matrix(
    y: NDArray[np.int64], predicted: NDArray[np.intp], *, n_classes: int
) -> NDArray[np.int64]:
    counts = np.bincount(y * n_classes + predicted, minlength=n_classes * n_classes)
    return counts.astype(np.int64).reshape(n_classes, n_classes)


def _confusions(
    y: NDArray[np.int64], predicted: NDArray[np.intp], classes: Sequence[str]
) -> tuple[Confusion, ...]:
    is_wrong = predicted != y
    cells, counts = np.unique(y[is_wrong] * len(classes) + predicted[is_wrong], return_counts=True)
    most_first = np.argsort(-counts, kind="stable")[:N_CONFUSIONS]
    return tuple(
        Confusion(
            true=classes[cell // len(classes)],
            predicted=classes[cell % len(classes)],
            n_rows=n_rows,
        )
        for cell, n_rows in zip(
            cells[most_first].tolist(), counts[most_first].tolist(), strict=True
        )
    )


def _per_class(
    y: NDArray[np.int64], predicted: NDArray[np.intp], classes: Sequence[str]
) -> tuple[ClassMetrics, ...]:
    hits, support, claimed = (
        np.bincount(of, minlength=len(classes)) for of in (y[predicted == y], y, predicted)
    )
    precision = hits / np.maximum(claimed, 1)
    recall = hits / np.maximum(support, 1)
    f1 = 2 * hits / np.maximum(support + claimed, 1)
    return tuple(
        ClassMetrics(
            name=name,
            support=int(support[index]),
            precision=float(precision[index]),
            recall=float(recall[index]),
            f1=float(f1[index]),
        )
        for index, name in enumerate(classes)
    )


def _log_loss(probability_of_truth: NDArray[np.floating]) -> float:
    clipped = np.clip(probability_of_truth.astype(np.float64), _SMALLEST_PROBABILITY, 1)
    return max(0.0, float(-np.log(clipped).mean()))  # max: -log(1) is -0.0


def _bin_of(confidence: NDArray[np.float64]) -> NDArray[np.intp]:
    """The bin of each confidence; bins are (low, high]."""
    return np.searchsorted(_EDGES[1:-1], confidence, side="left")


def _calibration_error(confidence: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> float:
    gaps = np.bincount(_bin_of(confidence), weights=is_correct - confidence, minlength=_N_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _reliability(
    confidence: NDArray[np.float64], is_correct: NDArray[np.bool_]
) -> tuple[ReliabilityBin, ...]:
    bins = _bin_of(confidence)
    n_rows = np.bincount(bins, minlength=_N_BINS).tolist()
    confidences = np.bincount(bins, weights=confidence, minlength=_N_BINS).tolist()
    n_correct = np.bincount(bins[is_correct], minlength=_N_BINS).tolist()
    return tuple(
        ReliabilityBin(
            low=float(_EDGES[index]),
            high=float(_EDGES[index + 1]),
            n_rows=n_rows[index],
            mean_confidence=confidences[index] / n_rows[index] if n_rows[index] else None,
            accuracy=n_correct[index] / n_rows[index] if n_rows[index] else None,
        )
        for index in range(_N_BINS)
    )


def _check_probabilities(probabilities: NDArray[np.floating], *, n_classes: int) -> None:
    if probabilities.ndim != 2 or probabilities.shape[1] != n_classes or n_classes == 0:
        raise DataError(
            f"probabilities must be (rows, {n_classes}), one column per class, "
            f"got shape {probabilities.shape}",
            field="probabilities",
        )
    if probabilities.dtype.kind not in "fiu":
        raise DataError(
            f"probabilities must be real numbers, got {probabilities.dtype}", field="probabilities"
        )
    if len(probabilities) == 0:
        raise DataError("there are no rows to evaluate", field="probabilities")
    sums = probabilities.sum(axis=1, dtype=np.float64)
    # Written so that NaN fails too.
    is_good = (np.abs(sums - 1) <= _ROW_SUM_TOLERANCE) & (probabilities.min(axis=1) >= 0)
    if not is_good.all():
        row = int(np.argmin(is_good))
        raise DataError(
            f"row {row} of probabilities is not a distribution: it adds up to {sums[row]:.6g}, "
            f"its smallest value is {probabilities[row].min():.6g}",
            field="probabilities",
            row=row,
        )


def _check_labels(y: NDArray[Any], *, n_rows: int, n_classes: int) -> None:
    if y.shape != (n_rows,) or y.dtype.kind not in "iu":
        raise DataError(
            f"y must be {n_rows} class indices, one per row, got {y.dtype} of shape {y.shape}",
            field="y",
        )
    is_good = (y >= 0) & (y < n_classes)
    if not is_good.all():
        row = int(np.argmin(is_good))
        raise DataError(
            f"y must be class indices from 0 to {n_classes - 1}, got {y[row]} in row {row}",
            field="y",
            row=row,
        )
