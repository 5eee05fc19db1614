"""Would more labels help? Extrapolate a learning curve to twice the training rows.

Learning curves mostly follow a power law (Hestness et al. 2017, arXiv 1712.00409; Viering & Loog
2022, "The Shape of Learning Curves", arXiv 2103.10948), but a few points do not tell its exponent.
So the accuracy a - b n^-e is fitted by least squares for each exponent e on a grid, and the answers
are averaged by the fits' likelihoods: if the exponents disagree, the answer is less certain.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from nmtune.errors import DataError
from nmtune.numeric.numpy_state import numpy_state
from nmtune.study.learning_curve import LearningPoint

FLAT_GAIN: Final = 0.01
"""A curve is flat if doubling the rows surely moves the accuracy by less than this."""
LEAST_POINTS: Final = 3

Verdict: TypeAlias = Literal["rising", "flat", "falling", "unclear", "unknown"]

_EXPONENTS = np.linspace(0.05, 1, 20)
# No point is more certain than this, even if its seeds agree: the evaluated rows are a sample too.
_LEAST_ERROR = 0.001
# About 95 % for an error that is estimated from five or six points (Student's t).
_STANDARD_ERRORS = 2.5


@dataclass(frozen=True, kw_only=True)
class LabelOutlook:
    """What doubling the training rows would do to the accuracy on one split.

    Attributes
    ----------
    split : str
    n_rows : int
        The largest size measured, which is doubled.
    accuracy : float
        The mean accuracy there, 0..1.
    gain : float or None
        The expected change (0.01 is one point).
    low, high : float or None
        The interval of the gain, 2.5 standard errors each way: about 95 %.
    verdict : {"rising", "flat", "falling", "unclear", "unknown"}
        "flat" if the interval is within a point of 0, else "rising" or "falling" if it excludes 0,
        else "unclear". "unknown", without figures, for fewer than three sizes.
    sentence : str
        The same in words.
    """

    split: str
    n_rows: int
    accuracy: float
    gain: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain Python values, ready for JSON."""
        return asdict(self)


@numpy_state()
def would_more_labels_help(points: Sequence[LearningPoint], *, split: str) -> LabelOutlook:
    """Extrapolate a learning curve to twice its largest size.

    The accuracy is fitted as :math:`a - b n^{-e}` for each exponent e on a grid. The interval
    covers the scatter about the curve and between seeds, for more rows like these; it says nothing
    about rows from elsewhere.

    Parameters
    ----------
    points : sequence of LearningPoint
        From `learning_curve`, in any order.
    split : str
        The split to look at.

    Returns
    -------
    LabelOutlook

    Raises
    ------
    DataError
        There are no points, or one lacks the split.

    Examples
    --------
    >>> from nmtune import LearningPoint, would_more_labels_help
    >>> points = [
    ...     LearningPoint(fraction=n / 800, n_rows=n, accuracies={"test": (value, value + 0.002)})
    ...     for n, value in [(100, 0.70), (200, 0.76), (400, 0.80), (800, 0.83)]
    ... ]
    >>> would_more_labels_help(points, split="test").verdict
    'rising'
    """
    if not points or not all(split in point.accuracies for point in points):
        raise DataError(f"there is no learning curve for the split {split!r}", field="split")
    points = sorted(points, key=lambda point: point.n_rows)
    n_rows, accuracy = points[-1].n_rows, points[-1].mean(split)
    if len({point.n_rows for point in points}) < LEAST_POINTS:
        return LabelOutlook(
            split=split,
            n_rows=n_rows,
            accuracy=accuracy,
            gain=None,
            low=None,
            high=None,
            verdict="unknown",
            sentence=(f"Too few sizes were measured to say what more labels would do on {split}."),
        )
    gain, error = _gain_of_doubling(points, split)
    # The accuracy stays within 0..1, whatever the curve says.
    gain, low, high = (
        float(np.clip(value, -accuracy, 1 - accuracy))
        for value in (gain, gain - _STANDARD_ERRORS * error, gain + _STANDARD_ERRORS * error)
    )
    verdict = _verdict(low, high)
    return LabelOutlook(
        split=split,
        n_rows=n_rows,
        accuracy=accuracy,
        gain=gain,
        low=low,
        high=high,
        verdict=verdict,
        sentence=_sentence(verdict, split, n_rows, (gain, low, high)),
    )


def _gain_of_doubling(points: Sequence[LearningPoint], split: str) -> tuple[float, float]:
    """The expected gain and its standard error."""
    means = np.array([point.mean(split) for point in points])
    sizes = np.array([point.n_rows for point in points]) / points[-1].n_rows
    fits = []
    for exponent in _EXPONENTS:
        design = np.stack([np.ones(len(sizes)), -(sizes**-exponent)], axis=1)
        inverse = np.linalg.inv(design.T @ design)
        a_and_b = inverse @ design.T @ means
        misfit = ((means - design @ a_and_b) ** 2).sum()
        step = 1 - 2**-exponent  # from n^-e = 1 at the largest size
        fits.append((misfit, a_and_b[1] * step, inverse[1, 1] * step**2))
    misfits, gains, spreads = np.array(fits).T
    # Three numbers are fitted: a, b and, by the weights, e.
    scatter = misfits.min() / max(1, len(points) - 3)
    variance = max(scatter, _variance_of_means(points, split), _LEAST_ERROR**2)
    weights = np.exp(-(misfits - misfits.min()) / (2 * variance))
    weights /= weights.sum()
    gain = float(weights @ gains)
    return gain, float(np.sqrt(weights @ (variance * spreads + (gains - gain) ** 2)))


def _variance_of_means(points: Sequence[LearningPoint], split: str) -> float:
    """Of the mean over seeds, pooled over the sizes; 0 with one seed."""
    variances = [
        deviation**2 / len(point.accuracies[split])
        for point in points
        if (deviation := point.deviation(split)) is not None
    ]
    return float(np.mean(variances)) if variances else 0.0


def _verdict(low: float, high: float) -> Verdict:
    if low > -FLAT_GAIN and high < FLAT_GAIN:
        return "flat"
    if low > 0:
        return "rising"
    return "falling" if high < 0 else "unclear"


def _sentence(verdict: Verdict, split: str, n_rows: int, figures: tuple[float, ...]) -> str:
    gain, low, high = (f"{round(100 * figure, 1) + 0.0:+.1f}" for figure in figures)  # no -0.0
    begin = {
        "rising": f"More labels would help on {split}",
        "flat": f"More labels would hardly help on {split}",
        "falling": f"More labels like these would hurt on {split}",
    }.get(verdict, f"Whether more labels would help on {split} is unclear")
    return (
        f"{begin}: doubling {n_rows:,} training rows to {2 * n_rows:,} is expected to change "
        f"accuracy by {gain} points ({low} to {high})."
    )
