"""When to abstain: the confidence below which a head had better not answer, from held-out rows.

The threshold is the least at which the answered rows have half the error rate of all rows. It is
chosen on held-out rows, and what it is worth has to be read from others.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nmtune.numeric.statistics import wilson_interval

FEWEST_ROWS: Final = 100
"""Held-out rows; on fewer a threshold says more of chance than of the head."""

FEWEST_WRONG: Final = 10
"""Wrong answers on the held-out rows: with fewer there is nothing to tell them by."""

LEAST_COVERAGE: Final = 0.5
"""A threshold that answers less than this share is no advice."""

ERROR_LEFT: Final = 0.5
"""Of the error rate of all rows, what the answered ones may have."""

_THRESHOLDS: Final = np.arange(1, 100)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a threshold does on n_rows rows; shares between 0 and 1, intervals of 95 % (Wilson).

    coverage: of the rows that are answered. accuracy: of the answered ones, None without any.
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
    """The threshold to give as abstain_below, None where none is advised, and why."""

    threshold: float | None
    reason: str


def advise(confidence: NDArray[np.floating], is_correct: NDArray[np.bool_]) -> Advice:
    """From the largest probabilities (n,) of held-out rows and which of them are right (n,)."""
    n_rows, n_wrong = len(is_correct), int(np.count_nonzero(~is_correct))
    if n_rows < FEWEST_ROWS:
        return Advice(
            threshold=None,
            reason=f"No threshold is advised: that takes {FEWEST_ROWS} held-out rows, there are "
            f"{n_rows}.",
        )
    if n_wrong < FEWEST_WRONG:
        return Advice(
            threshold=None,
            reason=f"No threshold is advised: of {n_rows:,} held-out rows {n_wrong} were wrong, "
            "too few to tell such rows by.",
        )
    wanted = 1 - ERROR_LEFT * n_wrong / n_rows
    for hundredths in _THRESHOLDS.tolist():
        one = apply(confidence, is_correct, hundredths / 100)
        if one.coverage < LEAST_COVERAGE:
            break
        if one.n_answered < n_rows and one.accuracy is not None and one.accuracy >= wanted:
            return Advice(
                threshold=hundredths / 100,
                reason=f"The least threshold at which the answered rows have half the error rate: "
                f"{1 - one.accuracy:.1%} in place of {n_wrong / n_rows:.1%} on {n_rows:,} held-out "
                f"rows, {one.coverage:.1%} of which are answered.",
            )
    return Advice(
        threshold=None,
        reason="No threshold is advised: none halves the error rate and still answers half of the "
        f"{n_rows:,} held-out rows.",
    )


def apply(
    confidence: NDArray[np.floating], is_correct: NDArray[np.bool_], threshold: float
) -> Answered:
    """What the threshold does on these rows: those are answered that reach it."""
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
