"""Score how far an embedding lies from those that the head was trained on.

The score is a Mahalanobis distance to the nearest class: Lee et al., "A Simple Unified Framework
for Detecting Out-of-Distribution Samples and Adversarial Attacks" (arXiv 1807.03888), with one
covariance for all classes, of which the leading directions are kept and the rest is treated as
isotropic (Tipping & Bishop 1999). It uses the raw embeddings: they do about as well as tuned ones
(docs/inside/benchmarks.md), take several times less space for an ensemble, need no second pass
through the head, and mean the same for every version that was trained on the same rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmtune.numeric.leading import leading_directions
from nmtune.numeric.tensor_file import check_layout
from nmtune.rows.folds import assign_folds, held_out_rows

QUANTILE: Final = 0.95
"""The share of rows from the training domain that score at most the threshold."""

FEWEST_ROWS: Final = 100
"""Training rows; with fewer, the threshold would reflect chance."""

_RANK = 64
_N_FOLDS = 5
_MOST_VALUES = 1 << 25
_ARRAYS = ("mean", "directions", "centres", "spread", "scalars")


@dataclass(frozen=True, kw_only=True, eq=False)
class OodScore:
    """The parts of the distance, for d columns, r directions and k classes with rows.

    Attributes:
        mean: (d,), the mean of all rows.
        directions: (d, r), orthonormal: the directions in which rows of one class differ most.
        centres: (k, d), the class means minus `mean`.
        spread: (r,), the variance within a class along each direction.
        rest: the mean variance along all other directions.
        threshold: a row of the training domain scores at most this with probability QUANTILE.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    centres: NDArray[np.float32]
    spread: NDArray[np.float32]
    rest: float
    threshold: float

    @classmethod
    def fit(cls, x: NDArray[np.float32], y: NDArray[np.int64], *, seed: int) -> Self | None:
        """Fit to training rows x (n, d) and classes y (n,); None for fewer than FEWEST_ROWS.

        The threshold comes from scores by fits on the other folds. Very many rows are thinned
        evenly, to about 32 million values.
        """
        step = -(-x.size // _MOST_VALUES)
        x, y = np.ascontiguousarray(x[::step], dtype=np.float32), y[::step]
        if len(x) < FEWEST_ROWS:
            return None
        folds = assign_folds(y, n_folds=_N_FOLDS, seed=seed)
        scores = np.concatenate(
            [
                cls._fitted(x[kept], y[kept], seed=seed).score(x[held_out])
                for kept, held_out in held_out_rows(folds)
            ]
        )
        threshold = float(np.quantile(scores, QUANTILE, method="higher"))
        return replace(cls._fitted(x, y, seed=seed), threshold=threshold)

    @classmethod
    def _fitted(cls, x: NDArray[np.float32], y: NDArray[np.int64], *, seed: int) -> Self:
        mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        _, of_row, sizes = np.unique(y, return_inverse=True, return_counts=True)
        centred = x - mean
        centres = np.zeros((len(sizes), x.shape[1]))
        for index in range(len(sizes)):
            centres[index] = centred[of_row == index].mean(axis=0, dtype=np.float64)
        centred -= centres.astype(np.float32)[of_row]
        n_free = max(1, len(x) - len(sizes))
        total = float(np.square(centred, dtype=np.float64).sum()) / n_free
        rank = min(_RANK, x.shape[1] - 1, len(x) - 1)
        directions, spread = leading_directions(centred, rank=rank, n_free=n_free, seed=seed)
        n_rest = x.shape[1] - len(spread)
        rest = max(total - float(spread.sum(dtype=np.float64)), 0) / n_rest
        # If all rows of a class are equal, there is still a distance, the Euclidean one.
        floor = max(total / x.shape[1] * 1e-6, float(np.finfo(np.float32).tiny))
        rest = max(rest, floor) if total > 0 else 1.0
        return cls(
            mean=mean,
            directions=directions,
            centres=centres.astype(np.float32),
            spread=np.maximum(spread, np.float32(rest)),
            rest=rest,
            threshold=0.0,
        )

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (n,) for embeddings x (n, d): squared distances to the nearest class, over d.

        They are about 1 for rows like the training rows, and always finite (at most the largest
        float32).
        """
        most = np.finfo(np.float32).max
        with np.errstate(over="ignore", invalid="ignore"):
            centred = x - self.mean
            scaled, centres_scaled, centres_plain = self._projected
            near = _squares(centred @ scaled, centres_scaled)
            beside = _squares(centred, self.centres)
            beside -= _squares(centred @ self.directions, centres_plain)
            distance = (near + np.maximum(beside, 0) / np.float32(self.rest)).min(axis=1)
            scores = distance / np.float32(len(self.mean))
        return np.where(np.isfinite(scores), scores, most)

    @cached_property
    def _projected(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Directions over the root of their spread; centres along these and the plain ones."""
        scaled = (self.directions / np.sqrt(self.spread)).astype(np.float32)
        return scaled, self.centres @ scaled, self.centres @ self.directions

    def tensors(self) -> dict[str, Tensor]:
        """The tensors to store, by name."""
        arrays = {name: torch.from_numpy(getattr(self, name)) for name in _ARRAYS[:-1]}
        scalars = torch.tensor([self.rest, self.threshold], dtype=torch.float64)
        return arrays | {"scalars": scalars}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], *, n_columns: int) -> Self:
        """The inverse of `tensors`; ValueError says what does not fit."""
        spread, centres = tensors["spread"], tensors["centres"]
        n_directions, n_centres = spread.numel(), len(centres) if centres.ndim else 0
        if n_directions >= n_columns or n_centres < 1:
            raise ValueError(
                "an OOD score needs fewer directions than columns, and at least one centre"
            )
        shapes = {
            "mean": (n_columns,),
            "directions": (n_columns, n_directions),
            "centres": (n_centres, n_columns),
            "spread": (n_directions,),
        }
        like = {
            name: torch.empty(shape, dtype=torch.float32, device="meta")
            for name, shape in shapes.items()
        } | {"scalars": torch.empty(2, dtype=torch.float64, device="meta")}
        check_layout(tensors, like)
        rest, threshold = tensors["scalars"].tolist()
        if rest <= 0 or threshold < 0 or bool((spread <= 0).any()):
            raise ValueError("the variances of an OOD score must be positive")
        arrays = {name: tensors[name].numpy() for name in shapes}
        return cls(rest=rest, threshold=threshold, **arrays)


def _squares(x: NDArray[Any], centres: NDArray[Any]) -> NDArray[Any]:
    """The squared distances (n, k) between rows x (n, m) and centres (k, m)."""
    own = np.square(x).sum(axis=1)[:, None] + np.square(centres).sum(axis=1)
    return np.asarray(np.maximum(own - 2 * (x @ centres.T), 0))


def auroc(inside: NDArray[np.floating], outside: NDArray[np.floating]) -> float:
    """How often a score from `outside` exceeds one from `inside`; ties count half."""
    ordered = np.sort(inside)
    below = np.searchsorted(ordered, outside, side="left")
    not_above = np.searchsorted(ordered, outside, side="right")
    return float((below + not_above).mean() / (2 * len(ordered)))
