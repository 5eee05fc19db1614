"""Conformal prediction sets: sets of classes that contain the true one as often as stated.

Source: Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World" (2005); Angelopoulos &
Bates, "A Gentle Introduction to Conformal Prediction" (arXiv 2107.07511), section 1.1, with the
score of Sadinle, Lei & Wasserman, "Least Ambiguous Set-Valued Classifiers" (arXiv 1609.00451).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmtune.errors import DataError
from nmtune.numeric.tensor_file import check_layout

LEVELS: Final = np.arange(500, 1000, 5)
"""The levels that are stored, in thousandths; a level between two counts as the higher."""

_THOUSAND = 1000
_STEP = 5
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Conformal:
    """How probable a class must be to be in the set, for each level that the rows allow.

    Attributes:
        n_rows: the held-out rows it was fitted on.
        least: (g,) float32, not rising: the least probability at each of the first g LEVELS. Higher
            levels need more rows.
    """

    n_rows: int
    least: NDArray[np.float32]

    @classmethod
    def fit(
        cls, of_truth: NDArray[np.floating], weights: NDArray[np.floating] | None = None
    ) -> Self | None:
        """Fit to the true classes' probabilities (n,) on held-out rows; None if too few.

        At level L the least probability is the k-th largest, k = ceil((n + 1) L): for a further row
        from the same source, the true class is at least that probable with a chance of at least L.

        Where labels may be wrong, a row has several candidates for its true class: then of_truth
        has the probability of each, and weights its chance to be the true one; the weights of a row
        add up to 1, so that n is their sum and the k-th largest is found by adding them up.
        """
        if weights is None:
            weights = np.ones(len(of_truth))
        n_rows = round(float(weights.sum()))
        # In integers: a product of floats may round to just above one.
        places = -(-(n_rows + 1) * LEVELS // _THOUSAND)
        places = places[places <= n_rows]
        if not len(places):
            return None
        order = np.argsort(-of_truth.astype(np.float64), kind="stable")
        at = np.searchsorted(weights[order].cumsum(), places - _ROUNDING * n_rows)
        falling = of_truth[order[np.minimum(at, len(order) - 1)]]
        # Rounded down, so that float32 does not exclude a value on the edge.
        least = np.nextafter(falling.astype(np.float32), np.float32(0))
        return cls(n_rows=n_rows, least=least)

    @property
    def highest_level(self) -> float:
        """The highest level that the rows allow."""
        return float(LEVELS[len(self.least) - 1]) / _THOUSAND

    def level(self, asked: float) -> float:
        """The stored level for the one asked for: the same, or the next above it.

        Raises DataError for a level below 0.5, above 0.995, or higher than the rows allow.
        """
        lowest, highest = (float(LEVELS[at]) / _THOUSAND for at in (0, -1))
        if not lowest <= asked <= highest:
            raise DataError(
                f"conformal_level must be from {lowest:g} to {highest:g}, got {asked:g}",
                field="conformal_level",
            )
        level = math.ceil(asked * _THOUSAND / _STEP - _ROUNDING) * _STEP / _THOUSAND
        if level > self.highest_level:
            raise DataError(
                f"conformal_level {asked:g} needs {math.ceil(level / (1 - level) - _ROUNDING)} "
                f"held-out rows, and this head had {self.n_rows}: ask for at most "
                f"{self.highest_level:g}, or train on more rows",
                field="conformal_level",
            )
        return level

    def sets(self, probabilities: NDArray[np.floating], level: float) -> NDArray[np.bool_]:
        """Which classes are in each row's set, (n, c), at the level asked for.

        probabilities: (n, c), from the head. The most probable class is always included, so that no
        set is empty; this can only raise the coverage. Raises as `level` does.
        """
        index = round(self.level(level) * _THOUSAND - LEVELS[0]) // _STEP
        most = probabilities.max(axis=1, keepdims=True)
        return np.asarray(probabilities >= np.minimum(most, self.least[index]))

    def tensors(self) -> dict[str, Tensor]:
        """The tensors to store, by name."""
        return {"least": torch.from_numpy(self.least), "n_rows": torch.tensor([self.n_rows])}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The inverse of `tensors`; ValueError says what does not fit."""
        n_levels = len(tensors["least"]) if "least" in tensors and tensors["least"].ndim else 0
        if not 1 <= n_levels <= len(LEVELS):
            raise ValueError(f"conformal levels must be 1 to {len(LEVELS)}, got {n_levels}")
        like = {
            "least": torch.empty(n_levels, dtype=torch.float32, device="meta"),
            "n_rows": torch.empty(1, dtype=torch.int64, device="meta"),
        }
        check_layout(tensors, like)
        least, n_rows = tensors["least"].numpy(), int(tensors["n_rows"][0])
        if n_rows < 1:
            raise ValueError("conformal levels must rest on at least one row")
        if (least < 0).any() or (least > 1).any() or (np.diff(least) > 0).any():
            raise ValueError("conformal levels need probabilities that do not rise")
        return cls(n_rows=n_rows, least=least)
