"""Advise when to abstain: a confidence below which a head should not answer.

The threshold is the lowest at which the answered rows have half the error rate of all rows. It is
chosen on held-out rows, so its worth has to be measured on other rows.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.numeric.statistics import wilson_interval

FEWEST_ROWS: Final = 100
"""Held-out rows; with fewer, a threshold would mostly reflect chance."""

FEWEST_WRONG: Final = 10
"""Wrong answers on the held-out rows; with fewer, nothing sets them apart."""

LEAST_COVERAGE: Final = 0.5
"""A threshold that answers a smaller share is not advised."""

ERROR_LEFT: Final = 0.5
"""The share of the overall error rate that the answered rows may have."""

_THRESHOLDS: Final = np.arange(1, 100)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The effect of a threshold on n_rows rows; shares are in 0..1, intervals 95 % (Wilson).

    coverage: the share of rows that are answered. accuracy: on the answered rows, None if there are
    none.
    """

    n_rows: int
    n_answered: int
    coverage: float
    coverage_interval: tuple[float, float]
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    accuracy_of_all: float

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The value for abstain_below, None if no value is advised, and why."""

    threshold: float | None
    reason: str


def advise(confidence: NDArray[np.floating], is_correct: NDArray[np.bool_]) -> Advice:
    """Advise from the largest probabilities (n,) of held-out rows, and which are right (n,)."""
    n_rows, n_wrong = len(is_correct), int(np.count_nonzero(~is_correct))
    if n_rows < FEWEST_ROWS:
        return Advice(
            threshold=None,
            reason=f"No threshold is advised: it takes {FEWEST_ROWS} held-out rows, and there are "
            f"{n_rows}.",
        )
    if n_wrong < FEWEST_WRONG:
        return Advice(
            threshold=None,
            reason=f"No threshold is advised: only {n_wrong} of {n_rows:,} held-out rows were "
            "wrong, too few to choose one by.",
        )
    wanted = 1 - ERROR_LEFT * n_wrong / n_rows
    for hundredths in _THRESHOLDS.tolist():
        one = apply(confidence, is_correct, hundredths / 100)
        if one.coverage < LEAST_COVERAGE:
            break
        if one.n_answered < n_rows and one.accuracy is not None and one.accuracy >= wanted:
            return Advice(
                threshold=hundredths / 100,
                reason=f"The lowest threshold that halves the error rate: {1 - one.accuracy:.1%} "
                f"instead of {n_wrong / n_rows:.1%} on {n_rows:,} held-out rows, of which it "
                f"answers {one.coverage:.1%}.",
            )
    return Advice(
        threshold=None,
        reason="No threshold is advised: no value halves the error rate and still answers half of "
        f"the {n_rows:,} held-out rows.",
    )


def apply(
    confidence: NDArray[np.floating], is_correct: NDArray[np.bool_], threshold: float
) -> Answered:
    """The effect of the threshold on these rows; a row that reaches it is answered."""
    answered = confidence >= threshold
    n_rows, n_answered = len(is_correct), int(np.count_nonzero(answered))
    n_right = int(np.count_nonzero(is_correct & answered))
    return Answered(
        n_rows=n_rows,
        n_answered=n_answered,
        coverage=n_answered / n_rows,
        coverage_interval=wilson_interval(n_answered / n_rows, n_rows),
        accuracy=n_right / n_answered if n_answered else None,
        accuracy_interval=(
            wilson_interval(n_right / n_answered, n_answered) if n_answered else None
        ),
        accuracy_of_all=float(np.count_nonzero(is_correct) / n_rows),
    )
