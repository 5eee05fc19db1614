"""Summarise a head's training rows in a few numbers, so that later rows can be compared with them.

Of the later rows only sums are kept, from which no row can be recovered.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmtune.numeric.tensor_file import check_layout

N_NORM_BINS: Final = 10
"""Norms are counted in bins between the deciles of the training rows' norms."""

_SAME_LENGTH = 1e-3
"""Deciles closer together than this share of a norm mean that the rows have one length."""

_BLOCK_VALUES = 1 << 20
_CACHED_VALUES = 1 << 15
_ARRAYS = ("mean", "deviation", "norm_edges", "norm_shares", "class_shares")


@dataclass(frozen=True, kw_only=True, eq=False)
class RowSummary:
    """The training rows in a few numbers, for embeddings of d columns and c classes.

    Attributes:
        n_rows: how many rows there were.
        mean: (d,) float64.
        deviation: (d,) float64, above 0: 1 for a column that does not vary.
        norm_edges: (9,) float64, not falling: the deciles of the rows' Euclidean norms, or edges
            around their one length.
        norm_shares: (10,) float64, summing to 1: the share of norms in each bin.
        class_shares: (c,) float64, summing to 1: how often each class was predicted, on held-out
            rows if there are any.
    """

    n_rows: int
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    norm_edges: NDArray[np.float64]
    norm_shares: NDArray[np.float64]
    class_shares: NDArray[np.float64]

    @classmethod
    def fit(
        cls, x: NDArray[np.floating], predicted: NDArray[np.integer], *, n_classes: int
    ) -> Self:
        """From training rows x (n, d), read block by block, and predicted classes (m,)."""
        n_rows, n_columns = x.shape
        mean, norms = np.zeros(n_columns), np.empty(n_rows)
        step = max(1, _BLOCK_VALUES // n_columns)
        blocks = [slice(start, start + step) for start in range(0, n_rows, step)]
        for block in blocks:
            rows = x[block].astype(np.float64)
            mean += rows.sum(axis=0) / n_rows
            norms[block] = np.sqrt(np.square(rows).sum(axis=1))
        variance = np.zeros(n_columns)
        for block in blocks:
            variance += np.square(x[block].astype(np.float64) - mean).sum(axis=0) / n_rows
        # A column that varies by less than float32 resolves at its size is constant plus rounding.
        floor = np.maximum(np.abs(mean) * np.finfo(np.float32).eps, np.finfo(np.float32).tiny)
        deviation = np.sqrt(variance)
        edges = _edges(norms)
        return cls(
            n_rows=n_rows,
            mean=mean,
            deviation=np.where(deviation > floor, deviation, 1.0),
            norm_edges=edges,
            norm_shares=_counts(norms, edges) / n_rows,
            class_shares=_shares(predicted, n_classes),
        )

    def of_other_head(self, predicted: NDArray[np.integer]) -> Self:
        """The summary of the same rows for another head, which predicts the classes (m,)."""
        return replace(self, class_shares=_shares(predicted, len(self.class_shares)))

    @property
    def n_sums(self) -> int:
        """The length of what `sums` returns: 2 d + 10 + c."""
        return 2 * len(self.mean) + N_NORM_BINS + len(self.class_shares)

    def sums(self, x: NDArray[np.floating], predicted: NDArray[np.integer]) -> NDArray[np.float64]:
        """The sums of rows x (n, d) and their predicted classes (n,) as one float64 vector.

        It holds the sums of the standardised columns and of their squares, and the counts of norms
        by bin and of classes. The sums of several sets of rows add up to those of all their rows.
        """
        n_columns = len(self.mean)
        columns, squares = np.zeros(n_columns), np.zeros(n_columns)
        norms = np.zeros(N_NORM_BINS)
        # A block at a time stays in the processor's cache: ten times faster on many rows.
        step = max(1, _CACHED_VALUES // n_columns)
        for start in range(0, len(x), step):
            rows = x[start : start + step].astype(np.float64)
            norms += _counts(np.sqrt(np.einsum("ij,ij->i", rows, rows)), self.norm_edges)
            rows -= self.mean
            rows /= self.deviation
            columns += rows.sum(axis=0)
            squares += np.einsum("ij,ij->j", rows, rows)
        classes = np.bincount(predicted, minlength=len(self.class_shares))
        return np.concatenate([columns, squares, norms, classes])

    def tensors(self) -> dict[str, Tensor]:
        """The tensors to store, by name."""
        arrays = {name: torch.from_numpy(getattr(self, name)) for name in _ARRAYS}
        return arrays | {"n_rows": torch.tensor([self.n_rows])}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], *, n_columns: int, n_classes: int) -> Self:
        """The inverse of `tensors`; ValueError says what does not fit."""
        sizes = {
            "mean": n_columns,
            "deviation": n_columns,
            "norm_edges": N_NORM_BINS - 1,
            "norm_shares": N_NORM_BINS,
            "class_shares": n_classes,
        }
        like = {
            name: torch.empty(size, dtype=torch.float64, device="meta")
            for name, size in sizes.items()
        } | {"n_rows": torch.empty(1, dtype=torch.int64, device="meta")}
        check_layout(tensors, like)
        arrays = {name: tensors[name].numpy() for name in _ARRAYS}
        n_rows = int(tensors["n_rows"][0])
        if n_rows < 1 or (arrays["deviation"] <= 0).any():
            raise ValueError("a row summary needs rows, and deviations above 0")
        if (np.diff(arrays["norm_edges"]) < 0).any():
            raise ValueError("the norm edges of a row summary must not fall")
        for name in ("norm_shares", "class_shares"):
            shares = arrays[name]
            if (shares < 0).any() or not math.isclose(float(shares.sum()), 1, abs_tol=1e-6):
                raise ValueError(f"{name} of a row summary must be shares that sum to 1")
        return cls(n_rows=n_rows, **arrays)


def _edges(norms: NDArray[np.float64]) -> NDArray[np.float64]:
    edges = np.quantile(norms, np.arange(1, N_NORM_BINS) / N_NORM_BINS).astype(np.float64)
    middle = float(np.median(norms))
    if edges[-1] - edges[0] > _SAME_LENGTH * middle:
        return edges
    # Without this, the bins would show how a length of 1 was rounded.
    return (1 + _SAME_LENGTH * (np.arange(N_NORM_BINS - 1.0) - 3.5)) * middle


def _shares(predicted: NDArray[np.integer], n_classes: int) -> NDArray[np.float64]:
    counts = np.bincount(predicted, minlength=n_classes).astype(np.float64)
    return np.asarray(counts / counts.sum())


def _counts(norms: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    bins = np.searchsorted(edges, norms, side="right")
    return np.bincount(bins, minlength=N_NORM_BINS).astype(np.float64)
