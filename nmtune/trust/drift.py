"""Measure drift: how later rows differ from those that a head was trained on.

It needs only sums (see `row_summary`). The part that chance explains is subtracted from each
figure, so that a few rows like the training rows do not look as if they had drifted.
"""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nmtune.trust.row_summary import RowSummary

FEWEST_ROWS: Final = 200
"""Rows; fewer are not compared."""

SOME: Final = 0.1
"""A mean shift (in deviations) or a PSI from here on counts as some drift."""

MUCH: Final = 0.25
"""From here on as much drift; both are the usual bounds for the population stability index."""

N_COLUMNS: Final = 5
"""How many of the columns that moved most are named."""

_STANDARD_ERRORS = 3

State = Literal["not_enough_rows", "none", "some", "much"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """How far a column's mean moved, in deviations of the training rows, and its z-score."""

    column: int
    shift: float
    z: float


@dataclass(frozen=True, kw_only=True)
class Drift:
    """n rows compared with the training rows; the figures are None if the rows are too few.

    Attributes:
        state: the worst of mean_shift, norm_psi and class_psi, in a word.
        sentence: the same in a sentence, with the numbers.
        n_rows, n_training_rows: how many rows were compared.
        mean_shift: root mean square over columns of the shifts of the means, in training
            deviations, less what chance adds.
        spread_ratio: the mean variance of a column over that in training; 1 is unchanged.
        norm_psi: the population stability index (PSI) of the Euclidean norms, in deciles of the
            training norms.
        class_psi: the PSI of the predicted classes.
        columns: the columns whose means moved most, the farthest first.
    """

    state: State
    sentence: str
    n_rows: int
    n_training_rows: int
    mean_shift: float | None = None
    spread_ratio: float | None = None
    norm_psi: float | None = None
    class_psi: float | None = None
    columns: tuple[Column, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self) | {"columns": [asdict(column) for column in self.columns]}


def measure_drift(summary: "RowSummary", n_rows: int, sums: NDArray[np.float64]) -> Drift:
    """The drift of n_rows rows whose `RowSummary.sums` add up to `sums`.

    ValueError if `sums` has another length.
    """
    if sums.shape != (summary.n_sums,):
        raise ValueError(f"expected {summary.n_sums} sums, got {sums.shape}")
    if n_rows < FEWEST_ROWS:
        return Drift(
            state="not_enough_rows",
            sentence=f"Not enough rows yet: {n_rows} of the {FEWEST_ROWS} that a comparison takes.",
            n_rows=n_rows,
            n_training_rows=summary.n_rows,
        )
    d = len(summary.mean)
    means, squares = sums[:d] / n_rows, sums[d : 2 * d] / n_rows
    norms, classes = np.split(sums[2 * d :], [len(summary.norm_shares)])
    chance = 1 / n_rows + 1 / summary.n_rows
    mean_shift = math.sqrt(max(0.0, float(np.square(means).mean()) - chance))
    norm_psi = _psi(norms, summary.norm_shares, chance)
    class_psi = _psi(classes, summary.class_shares, chance)
    state, sentence = _verdict(n_rows, mean_shift, norm_psi, class_psi)
    farthest = np.argsort(-np.abs(means), kind="stable")[:N_COLUMNS]
    return Drift(
        state=state,
        sentence=sentence,
        n_rows=n_rows,
        n_training_rows=summary.n_rows,
        mean_shift=mean_shift,
        spread_ratio=float((squares - np.square(means)).mean()),
        norm_psi=norm_psi,
        class_psi=class_psi,
        columns=tuple(
            Column(column=int(at), shift=float(means[at]), z=float(means[at]) / math.sqrt(chance))
            for at in farthest
        ),
    )


def _psi(counts: NDArray[np.float64], expected: NDArray[np.float64], chance: float) -> float:
    """The population stability index of counts against expected shares, less what chance explains.

    It is the sum of (p - q) log(p / q). For rows like the training rows it is about
    (bins - 1) * chance; anything within three standard errors of that counts as 0. Half a row is
    added to each bin, so that an empty one has a logarithm.
    """
    n_bins = len(counts)
    p = (counts + 0.5) / (counts.sum() + 0.5 * n_bins)
    q = (expected + 0.5 * chance) / (1 + 0.5 * chance * n_bins)
    by_chance = (n_bins - 1) * chance
    error = math.sqrt(2 * (n_bins - 1)) * chance
    found = float(((p - q) * np.log(p / q)).sum())
    return found - by_chance if found > by_chance + _STANDARD_ERRORS * error else 0.0


def _verdict(
    n_rows: int, mean_shift: float, norm_psi: float, class_psi: float
) -> tuple[State, str]:
    worst = max(mean_shift, norm_psi, class_psi)
    figures = (
        f"means moved by {mean_shift:.2f} standard deviations; the PSI is {norm_psi:.2f} for "
        f"norms and {class_psi:.2f} for predicted classes"
    )
    if worst < SOME:
        return "none", f"{n_rows:,} rows look like the training rows: {figures}."
    moved = [
        what
        for what, figure in (
            ("embeddings", max(mean_shift, norm_psi)),
            ("predicted classes", class_psi),
        )
        if figure >= SOME
    ]
    where = " and ".join(moved)
    if worst < MUCH:
        return "some", f"The {where} of {n_rows:,} rows have drifted somewhat: {figures}."
    return "much", (
        f"The {where} of {n_rows:,} rows are far from the training rows: {figures}. Check the head "
        "on recent labelled rows, and retrain it if it has become worse."
    )
