"""Find wrong labels: confident learning on out-of-fold probabilities.

Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels"
(JAIR 2021, arXiv 1911.00068), section 3. `confident_disagreement` is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.numeric.numpy_state import numpy_state
from nmtune.numeric.statistics import wilson_interval
from nmtune.rows.checks import as_labels, as_numbers
from nmtune.study.label_noise import ExpectedWrong, expected_wrong

SUREST_SHARE: Final = 0.2
"""The share of the rows predicted as a class that counts as predicted with confidence."""

_BLOCK_VALUES = 1 << 20
# Probabilities are often float32: one equal to its class's mean must reach it after rounding.
_ROUNDING = 1e-6
_ROW_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelErrors:
    """What out-of-fold probabilities (n, c) say about the given labels.

    Attributes
    ----------
    n_rows : int
        n.
    noise_rate : float
        The paper's estimate of the share of wrong labels, 0..1: the confident joint scaled to the
        class sizes. It also counts rows that are merely hard.
    confident_disagreement : float
        Among the most confident fifth of the rows predicted as each class, the share with another
        label, 0..1. That fifth contains wrong labels but few hard rows, so this tells a noisy set
        from a hard one.
    disagreement_error : float
        Its standard error.
    n_confident_rows : int
        How many rows that fifth holds.
    expected_wrong : ExpectedWrong
        How many labels are expected to be wrong, with a 95 % interval; the confidence of the
        predictions tells hard rows from wrong labels (`nmtune.study.label_noise`).
    thresholds : ndarray, shape (c,)
        Each class's mean probability over the rows labelled as it; 1 for a class without rows.
    n_rows_of_class : ndarray of int, shape (c,)
        Rows with each label.
    n_right_of_class : ndarray of int, shape (c,)
        The diagonal of the confident joint: rows labelled as a class and counted as it.
    joint_given, joint_suggested, joint_counts : ndarray of int, shape (m,)
        The nonzero entries of the confident joint off its diagonal, most frequent first: how many
        rows labelled `given` were confidently counted as `suggested`.
    rows, given, suggested : ndarray of int, shape (k,)
        The suspected rows: counted off the diagonal, and with a suggested class more probable than
        the label. The lowest margin (given minus suggested probability) comes first.
    given_probability, suggested_probability : ndarray, shape (k,)
        The probabilities of those two classes.
    """

    n_rows: int
    noise_rate: float
    confident_disagreement: float
    disagreement_error: float
    n_confident_rows: int
    expected_wrong: ExpectedWrong
    thresholds: NDArray[np.float64]
    n_rows_of_class: NDArray[np.int64]
    n_right_of_class: NDArray[np.int64]
    joint_given: NDArray[np.int64]
    joint_suggested: NDArray[np.int64]
    joint_counts: NDArray[np.int64]
    rows: NDArray[np.int64]
    given: NDArray[np.int64]
    suggested: NDArray[np.int64]
    given_probability: NDArray[np.float64]
    suggested_probability: NDArray[np.float64]

    @property
    def disagreement_interval(self) -> tuple[float, float]:
        """The 95 % interval of `confident_disagreement` (Wilson), 0..1."""
        return wilson_interval(self.confident_disagreement, self.n_confident_rows)

    @property
    def suspected_share(self) -> float:
        """The share of all rows that are suspected, 0..1."""
        return len(self.rows) / self.n_rows

    def to_dict(self, classes: Sequence[str], *, limit: int = 100) -> dict[str, Any]:
        """The same as plain Python values with class names, ready for JSON.

        At most `limit` suspected rows and `limit` pairs of classes are listed, the worst first; the
        counts cover all of them. Raises DataError if `classes` does not name the c classes,
        ConfigError if limit is negative.
        """
        if len(classes) != len(self.thresholds):
            raise DataError(
                f"classes must be {len(self.thresholds)} names, got {len(classes)}", field="classes"
            )
        if limit < 0:
            raise ConfigError(f"limit must be 0 or more, got {limit}", field="limit")
        suspects = zip(
            self.rows[:limit].tolist(),
            self.given[:limit].tolist(),
            self.suggested[:limit].tolist(),
            self.given_probability[:limit].tolist(),
            self.suggested_probability[:limit].tolist(),
            strict=True,
        )
        pairs = zip(
            self.joint_given[:limit].tolist(),
            self.joint_suggested[:limit].tolist(),
            self.joint_counts[:limit].tolist(),
            strict=True,
        )
        return {
            "n_rows": self.n_rows,
            "noise_rate": self.noise_rate,
            "confident_disagreement": self.confident_disagreement,
            "disagreement_error": self.disagreement_error,
            "disagreement_interval": list(self.disagreement_interval),
            "n_confident_rows": self.n_confident_rows,
            "expected_wrong": self.expected_wrong.to_dict(),
            "n_suspected": len(self.rows),
            "suspected_share": self.suspected_share,
            "suspected": [
                {
                    "row": row,
                    "given": classes[given],
                    "suggested": classes[suggested],
                    "given_probability": given_probability,
                    "suggested_probability": suggested_probability,
                }
                for row, given, suggested, given_probability, suggested_probability in suspects
            ],
            "n_pairs": len(self.joint_counts),
            "pairs": [
                {"given": classes[given], "suggested": classes[suggested], "n_rows": count}
                for given, suggested, count in pairs
            ],
        }


@numpy_state()
def find_label_errors(probabilities: ArrayLike, y: ArrayLike) -> LabelErrors:
    """Find labels that out-of-fold predictions contradict.

    With t_j the mean probability of class j over the rows labelled j, a row labelled i is counted
    as class j if p_j >= t_j and p_j is the largest such probability (confident learning,
    arXiv 1911.00068, section 3). It is a suspect if j differs from i and p_j > p_i. A class without
    rows is never suggested.

    Parameters
    ----------
    probabilities : array_like of float, shape (n, c)
        Out-of-fold probabilities, c >= 2: each row's come from a classifier that has not seen that
        row, which would only repeat its label.
    y : array_like of int, shape (n,)
        The given labels, as class indices.

    Returns
    -------
    LabelErrors

    Raises
    ------
    DataError
        A shape does not fit, y is not an index of a column, or a row of probabilities is invalid
        (NaN, negative, or not adding up to 1); ``row`` says where.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import find_label_errors
    >>> y = np.array([0, 0, 0, 1, 1, 1])
    >>> sure = np.array([0.9, 0.8, 0.1, 0.1, 0.2, 0.1])  # of class 0
    >>> found = find_label_errors(np.stack([sure, 1 - sure], axis=1), y)
    >>> found.rows.tolist(), found.suggested.tolist()
    ([2], [1])
    """
    values = _checked(probabilities)
    n_rows, n_classes = values.shape
    labels = as_labels(y, n_rows=n_rows, n_classes=n_classes, field="y")
    own = values[np.arange(n_rows), labels].astype(np.float64)
    sizes = np.bincount(labels, minlength=n_classes)
    thresholds = np.bincount(labels, weights=own, minlength=n_classes) / np.maximum(sizes, 1)
    thresholds[sizes == 0] = 1
    confident, predicted = _likely_classes(values, thresholds, sizes > 0)

    off = np.flatnonzero((confident >= 0) & (confident != labels))
    pairs, pair_counts = np.unique(labels[off] * n_classes + confident[off], return_counts=True)
    most_frequent_first = np.argsort(-pair_counts, kind="stable")
    pairs, pair_counts = pairs[most_frequent_first], pair_counts[most_frequent_first]

    other = values[off, confident[off]].astype(np.float64)
    is_likelier = other > own[off]
    off, other = off[is_likelier], other[is_likelier]
    worst_first = np.argsort(own[off] - other, kind="stable")
    rows = off[worst_first]
    confidence = values[np.arange(n_rows), predicted]
    surest = _surest_rows(predicted, confidence)
    disagreement = float((predicted[surest] != labels[surest]).mean())
    return LabelErrors(
        n_rows=n_rows,
        noise_rate=_noise_rate(labels, confident, sizes),
        confident_disagreement=disagreement,
        disagreement_error=float(np.sqrt(disagreement * (1 - disagreement) / len(surest))),
        n_confident_rows=len(surest),
        expected_wrong=expected_wrong(
            confidence, predicted != labels, n_classes=max(2, int(np.count_nonzero(sizes)))
        ),
        thresholds=thresholds,
        n_rows_of_class=sizes,
        n_right_of_class=np.bincount(labels[confident == labels], minlength=n_classes),
        joint_given=pairs // n_classes,
        joint_suggested=pairs % n_classes,
        joint_counts=pair_counts,
        rows=rows,
        given=labels[rows],
        suggested=confident[rows],
        given_probability=own[rows],
        suggested_probability=other[worst_first],
    )


def _likely_classes(
    values: NDArray[np.floating], thresholds: NDArray[np.float64], is_present: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each row's most probable class that reaches its threshold (-1: none), and of all classes.

    Both (n,); classes without rows are ignored.
    """
    confident = np.empty(len(values), np.int64)
    predicted = np.empty(len(values), np.int64)
    block = max(1, _BLOCK_VALUES // values.shape[1])
    for start in range(0, len(values), block):
        here = slice(start, start + block)
        part = np.where(is_present, values[here], -1)
        predicted[here] = part.argmax(axis=1)
        part[part < thresholds - _ROUNDING] = -1
        confident[here] = np.where(part.max(axis=1) >= 0, part.argmax(axis=1), -1)
    return confident, predicted


def _noise_rate(
    labels: NDArray[np.int64], confident: NDArray[np.int64], sizes: NDArray[np.int64]
) -> float:
    """The share of the joint off its diagonal, each of its rows scaled to its class's size."""
    n_classes = len(sizes)
    counted = np.bincount(labels[confident >= 0], minlength=n_classes)
    right = np.bincount(labels[confident == labels], minlength=n_classes)
    wrong = counted - right
    # In every class at least one row counts as right, as in cleanlab: else a class of three rows,
    # one of them counted, as wrong, would be taken for all wrong.
    return float((sizes * wrong / (wrong + np.maximum(right, 1))).sum() / len(labels))


def _surest_rows(
    predicted: NDArray[np.int64], confidence: NDArray[np.floating]
) -> NDArray[np.int64]:
    """The SUREST_SHARE of the rows predicted as each class, rounded up.

    By class: if only one class has wrong labels, the most confident rows are all in the others.
    """
    order = np.lexsort((-confidence, predicted))
    sizes = np.bincount(predicted)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[place < np.repeat(np.ceil(SUREST_SHARE * sizes), sizes)]


def _checked(probabilities: ArrayLike) -> NDArray[np.floating]:
    values = as_numbers(probabilities, field="probabilities")
    if values.ndim != 2 or values.shape[1] < 2 or not len(values) or values.dtype.kind != "f":
        raise DataError(
            "probabilities must be real numbers (rows, classes), at least one row and two classes, "
            f"got {values.dtype} of shape {values.shape}",
            field="probabilities",
        )
    block = max(1, _BLOCK_VALUES // values.shape[1])
    for start in range(0, len(values), block):
        part = values[start : start + block]
        sums = part.sum(axis=1, dtype=np.float64)
        # Written so that NaN fails too.
        is_good = (np.abs(sums - 1) <= _ROW_SUM_TOLERANCE) & (part.min(axis=1) >= 0)
        if not is_good.all():
            row = start + int(np.argmin(is_good))
            raise DataError(
                f"row {row} of probabilities is not a distribution: "
                f"it adds up to {sums[row - start]:.6g}",
                field="probabilities",
                row=row,
            )
    return values
