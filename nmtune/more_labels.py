"""The home of the answer to "would more labels help?": what doubling the training rows would add.

Learning curves mostly follow a power law (Hestness et al. 2017, arXiv 1712.00409; Viering & Loog
2022, "The Shape of Learning Curves", arXiv 2103.10948), but a few points do not tell its exponent.
So the accuracy a - b n^-e is fitted by least squares for each exponent e on a grid, and the answers
are averaged with the fits' likelihoods: where the exponents disagree, the answer is less certain.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from nmtune.errors import DataError
from nmtune.learning_curve import LearningPoint
from nmtune.numpy_state import numpy_state

FLAT_GAIN: Final = 0.01
"""An accuracy that doubling the rows moves by less than this, for certain, is flat."""
LEAST_POINTS: Final = 3

Verdict: TypeAlias = Literal["rising", "flat", "falling", "unclear", "unknown"]

_EXPONENTS = np.linspace(0.05, 1, 20)
# No point is surer than this, though its seeds agree: the rows evaluated are a sample too.
_LEAST_ERROR = 0.001
# About 95 % for an error that is itself estimated from five or six points (Student's t).
_STANDARD_ERRORS = 2.5


@dataclass(frozen=True, kw_only=True)
class LabelOutlook:
    """What twice as many training rows would do on one split.

    Attributes
    ----------
    split
        The split.
    n_rows
        The largest size that was measured.
    accuracy
        The mean there, 0..1.
    gain
        Expected change of it, so 0.01 is a point; None with fewer than three sizes.
    low, high
        The interval of the gain, 2.5 standard errors wide each way: about 95 %.
    verdict
        "flat" where the interval is within a point of 0, else "rising" or "falling" where it leaves
        out
        0, else "unclear"; "unknown" with fewer than three sizes.
    sentence
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
        """The same in plain Python values, ready for JSON."""
        return asdict(self)


@numpy_state()
def would_more_labels_help(points: Sequence[LearningPoint], *, split: str) -> LabelOutlook:
    """Extrapolate a learning curve to twice its largest size.

    The interval is of scatter about the curve and between seeds. It cannot know of rows from
    elsewhere:
    more labels means more like these.

    Parameters
    ----------
    points
        What `learning_curve` gave.
    split
        The split to speak of.

    Returns
    -------
    LabelOutlook

    Raises
    ------
    DataError
        There is no point, or one that lacks the split.

    Examples
    --------
    >>> sizes = {100: 0.70, 200: 0.78, 400: 0.83, 800: 0.86}
    >>> points = [
    ...     LearningPoint(fraction=n / 800, n_rows=n, accuracies={"test": (accuracy,)})
    ...     for n, accuracy in sizes.items()
    ... ]
    >>> would_more_labels_help(points, split="test").verdict
    'rising'
    """
    if not points or not all(split in point.accuracies for point in points):
        raise DataError(f"there is no learning curve of split {split!r}", field="split")
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
            sentence=(
                f"Too few sizes could be measured to say what more labels would do on {split}."
            ),
        )
    gain, error = _gain_of_doubling(points, split)
    # No accuracy leaves 0..1, whatever the curve says.
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
        "flat": f"The curve is flat on {split}",
        "falling": f"More labels like these would harm on {split}",
    }.get(verdict, f"Whether more labels would help on {split} is unclear")
    return (
        f"{begin}: doubling {n_rows:,} training rows to {2 * n_rows:,} is expected to change "
        f"accuracy by {gain} points ({low} to {high})."
    )
