"""The home of drift: how rows that came later differ from those that a head was trained on.

From sums alone (see sketch). Each figure has what chance does to it taken off, so that few rows
that are like the training's do not look as if they had drifted.
"""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nmtune.trust.row_summary import Sketch

FEWEST_ROWS: Final = 200
"""Rows; of fewer nothing is said."""

SOME: Final = 0.1
"""From here on a mean shift, in deviations, or a PSI counts as some drift."""

MUCH: Final = 0.25
"""From here on as much: the usual bounds of the population stability index."""

N_COLUMNS: Final = 5
"""The columns that moved most, which are named."""

_STANDARD_ERRORS = 3

State = Literal["not_enough_rows", "none", "some", "much"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's mean: by how many deviations of the training rows it moved, and the z of that."""

    column: int
    shift: float
    z: float


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What n rows look like beside the training rows; figures are None for too few rows.

    Attributes:
        state: the worst of the three figures, in a word.
        sentence: the same for people, with the numbers.
        n_rows: how many rows were compared, with n_training_rows.
        mean_shift: the root mean square, over columns, of the shifts of the means in training
            deviations, without what chance adds.
        spread_ratio: the mean variance of a column over the training's: 1 is unchanged.
        norm_psi: the population stability index of the Euclidean norms, in tenths of those of the
            training.
        class_psi: that of the predicted classes.
        columns: those whose means moved most, the farthest first.
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


def compare(sketch: "Sketch", n_rows: int, sums: NDArray[np.float64]) -> Drift:
    """The drift of n rows whose `sketch.sums` add up to `sums`.

    ValueError for sums of another length.
    """
    if sums.shape != (sketch.n_sums,):
        raise ValueError(f"expected {sketch.n_sums} sums, got {sums.shape}")
    if n_rows < FEWEST_ROWS:
        return Drift(
            state="not_enough_rows",
            sentence=f"Not enough rows yet: a comparison takes {FEWEST_ROWS}, there are {n_rows}.",
            n_rows=n_rows,
            n_training_rows=sketch.n_rows,
        )
    d = len(sketch.mean)
    means, squares = sums[:d] / n_rows, sums[d : 2 * d] / n_rows
    norms, classes = np.split(sums[2 * d :], [len(sketch.norm_shares)])
    chance = 1 / n_rows + 1 / sketch.n_rows
    mean_shift = math.sqrt(max(0.0, float(np.square(means).mean()) - chance))
    norm_psi = _psi(norms, sketch.norm_shares, chance)
    class_psi = _psi(classes, sketch.class_shares, chance)
    state, sentence = _verdict(n_rows, mean_shift, norm_psi, class_psi)
    farthest = np.argsort(-np.abs(means), kind="stable")[:N_COLUMNS]
    return Drift(
        state=state,
        sentence=sentence,
        n_rows=n_rows,
        n_training_rows=sketch.n_rows,
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
    """The population stability index of counts beside expected shares, as far as it is no chance.

    Sum of (p - q) log(p / q). Like the training's rows it is about (bins - 1) * chance, give or
    take: what lies within three standard errors of that is 0. Half a row is added to each bin, so
    that an empty one has a logarithm.
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
        f"means moved by {mean_shift:.2f} deviations, norms by a PSI of {norm_psi:.2f}, predicted "
        f"classes by {class_psi:.2f}"
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
        return "some", f"The {where} of {n_rows:,} rows have moved somewhat: {figures}."
    return "much", (
        f"The {where} of {n_rows:,} rows are far from the training rows: {figures}. Check the head "
        "on labelled rows from now, and train again if it has become worse."
    )
