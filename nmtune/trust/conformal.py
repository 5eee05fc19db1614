"""The home of conformal prediction sets: sets of classes that hold the true one as often as stated.

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
"""The levels that are kept, in thousandths; one between two of them counts as the higher."""

_THOUSAND = 1000
_STEP = 5
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Conformal:
    """How probable a class must be to be in the set, for each level that n rows allow.

    Attributes:
        n_rows: the held-out rows that it rests on.
        least: (g,) float32, not rising: the least probability at the first g of LEVELS. Higher
            levels need more rows.
    """

    n_rows: int
    least: NDArray[np.float32]

    @classmethod
    def fit(cls, of_truth: NDArray[np.floating]) -> Self | None:
        """From the probabilities (n,) of the true classes of rows that were not learnt from.

        With a level L the k-th largest of them is the least one, k = ceil((n + 1) L): of a row that
        comes from where these came from, the true class is as probable as that with a chance of at
        least L. None if the rows allow no level.
        """
        n_rows = len(of_truth)
        # In whole numbers: a product of floats may round to just above a whole one.
        places = -(-(n_rows + 1) * LEVELS // _THOUSAND)
        places = places[places <= n_rows]
        if not len(places):
            return None
        falling = -np.sort(-of_truth.astype(np.float64))
        # Rounded down, so that float32 does not shut out what stood on the edge.
        least = np.nextafter(falling[places - 1].astype(np.float32), np.float32(0))
        return cls(n_rows=n_rows, least=least)

    @property
    def highest_level(self) -> float:
        """The highest level that the rows allow."""
        return float(LEVELS[len(self.least) - 1]) / _THOUSAND

    def level(self, asked: float) -> float:
        """The level that is kept for one that is asked for: it, or the next above it.

        Raises:
            DataError: below 0.5, above 0.995, or higher than the rows allow.
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
                f"held-out rows, and this head had {self.n_rows}: ask for {self.highest_level:g} "
                "at most, or train on more rows",
                field="conformal_level",
            )
        return level

    def sets(self, probabilities: NDArray[np.floating], level: float) -> NDArray[np.bool_]:
        """Which classes are in each row's set, (n, c), at the level asked for.

        probabilities: (n, c), as the head gives them. The most probable class is always in, so no
        set is empty: that only adds to how often the true class is. Raises as `level`.
        """
        index = round(self.level(level) * _THOUSAND - LEVELS[0]) // _STEP
        most = probabilities.max(axis=1, keepdims=True)
        return np.asarray(probabilities >= np.minimum(most, self.least[index]))

    def tensors(self) -> dict[str, Tensor]:
        """What is to be stored, by name."""
        return {"least": torch.from_numpy(self.least), "n_rows": torch.tensor([self.n_rows])}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """What `tensors` gave; ValueError says what does not fit."""
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
            raise ValueError("conformal levels must rest on a row or more")
        if (least < 0).any() or (least > 1).any() or (np.diff(least) > 0).any():
            raise ValueError("conformal levels need probabilities that do not rise")
        return cls(n_rows=n_rows, least=least)
