"""Find rows of a split that nearly repeat a training row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.numeric.torch_state import own_state
from nmtune.rows.checks import as_labels, as_numbers, as_rows

MAX_PRODUCTS: Final = 500_000_000_000
"""Multiplications of one search, by default: about half a minute on one core."""
MAX_SHARE_OF_PAIRS: Final = 0.01
"""If more of all pairs are this similar, the cosine says little about these embeddings."""

_BLOCK_ROWS = 2048  # two blocks' similarities are 16 MiB
# Float32 products of a row with itself are off by about this.
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class NearDuplicates:
    """The rows of a split whose most similar training row has a cosine of at least `threshold`.

    Attributes
    ----------
    threshold : float
        The least cosine of a near duplicate.
    n_rows : int
        Rows of the split.
    n_compared : int
        Rows compared with every training row: all of them, or a random sample.
    n_classes : int
        How many classes there are.
    share_of_pairs : float
        The share of all compared pairs that are at least as similar, 0..1.
    rows, train_rows : ndarray of int64, shape (k,)
        The near duplicates, most similar first, and the most similar training row of each.
    similarities : ndarray of float32, shape (k,)
        Their cosines.
    labels, train_labels : ndarray of int64, shape (k,)
        The class indices of both.
    """

    threshold: float
    n_rows: int
    n_compared: int
    n_classes: int
    share_of_pairs: float
    rows: NDArray[np.int64]
    train_rows: NDArray[np.int64]
    similarities: NDArray[np.float32]
    labels: NDArray[np.int64]
    train_labels: NDArray[np.int64]

    @property
    def share(self) -> float:
        """The share of the compared rows that nearly repeat a training row, 0..1."""
        return len(self.rows) / self.n_compared

    @property
    def n_other_label(self) -> int:
        """How many of them have another label than their training row."""
        return int(np.count_nonzero(self.labels != self.train_labels))

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know before trusting the counts, in full sentences."""
        notes = []
        if self.n_compared < self.n_rows:
            notes.append(
                f"Only {self.n_compared:,} of the {self.n_rows:,} rows, drawn at random, were "
                "compared with the training rows; the counts cover only these."
            )
        if self.share_of_pairs > MAX_SHARE_OF_PAIRS:
            notes.append(
                f"{self.share_of_pairs:.0%} of all pairs have a cosine of {self.threshold:g} or "
                "more: these embeddings lie so close together that it does not indicate a repeat."
            )
        return tuple(notes)

    def to_dict(self, classes: Sequence[str], *, limit: int = 20) -> dict[str, Any]:
        """The same as plain Python values with class names, ready for JSON.

        At most `limit` pairs are listed, most similar first; the counts cover all. Raises DataError
        if `classes` does not name every class, ConfigError if limit is negative.
        """
        if len(classes) != self.n_classes:
            raise DataError(
                f"classes must be {self.n_classes} names, got {len(classes)}", field="classes"
            )
        if limit < 0:
            raise ConfigError(f"limit must be 0 or more, got {limit}", field="limit")
        return {
            "threshold": self.threshold,
            "n_rows": self.n_rows,
            "n_compared": self.n_compared,
            "n_near_duplicates": len(self.rows),
            "share": self.share,
            "n_other_label": self.n_other_label,
            "share_of_pairs": self.share_of_pairs,
            "notes": list(self.notes),
            "pairs": [
                {
                    "row": int(self.rows[at]),
                    "train_row": int(self.train_rows[at]),
                    "similarity": float(self.similarities[at]),
                    "label": classes[self.labels[at]],
                    "train_label": classes[self.train_labels[at]],
                }
                for at in range(min(limit, len(self.rows)))
            ],
        }


@own_state()
def find_near_duplicates(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    train_x: NDArray[Any],
    train_y: NDArray[Any],
    n_classes: int,
    threshold: float = 0.99,
    max_products: int = MAX_PRODUCTS,
    seed: int = 0,
) -> NearDuplicates:
    """Find rows that nearly repeat a training row, by the cosine of their embeddings.

    Parameters
    ----------
    x : ndarray or memory map, shape (n, d)
        Embeddings of the split; only blocks of rows are held in memory.
    y : ndarray of int, shape (n,)
        Their class indices.
    train_x : ndarray or memory map, shape (m, d)
        Training embeddings.
    train_y : ndarray of int, shape (m,)
        Their class indices.
    n_classes : int
        How many classes there are.
    threshold : float, default=0.99
        The least cosine of a near duplicate, above 0 and at most 1. A row of zeros is similar to
        nothing.
    max_products : int, default=500_000_000_000
        The most multiplications. If n * m * d exceeds it, as many rows of x as it allows (at least
        one) are drawn at random, and the result's ``notes`` say so.
    seed : int, default=0
        For that sample.

    Returns
    -------
    NearDuplicates

    Raises
    ------
    DataError
        Rows are not of finite real numbers of one width, or a label is not a class index; ``row``
        says where.
    ConfigError
        threshold, max_products or seed is out of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from nmtune import find_near_duplicates
    >>> train_x = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> x = np.array([[1.0, 1.0], [0.0, 5.0]])
    >>> found = find_near_duplicates(
    ...     x, np.array([0, 0]), train_x=train_x, train_y=np.array([0, 1]), n_classes=2
    ... )
    >>> found.rows.tolist(), found.train_rows.tolist(), found.n_other_label
    ([1], [1], 1)
    """
    if not 0 < threshold <= 1:
        raise ConfigError(
            f"threshold must be above 0 and at most 1, got {threshold}", field="threshold"
        )
    for name, value, least in (("max_products", max_products, 1), ("seed", seed, 0)):
        if value < least:
            raise ConfigError(f"{name} must be {least} or more, got {value}", field=name)
    x, train_x = as_numbers(x, field="x"), as_numbers(train_x, field="train_x")
    for rows, field in ((x, "x"), (train_x, "train_x")):
        if rows.ndim != 2 or not rows.size:
            as_rows(rows, n_columns=0, field=field)  # raises what is wrong with it
    if x.shape[1] != train_x.shape[1]:
        raise DataError(
            f"x must have {train_x.shape[1]} columns like train_x, got {x.shape[1]}", field="x"
        )
    labels = as_labels(y, n_rows=len(x), n_classes=n_classes, field="y")
    train_labels = as_labels(train_y, n_rows=len(train_x), n_classes=n_classes, field="train_y")

    compared = np.arange(len(x))
    n_affordable = max(1, max_products // train_x.size)
    if n_affordable < len(x):
        drawn = np.random.default_rng(seed).choice(len(x), n_affordable, replace=False)
        compared = np.sort(drawn)
    similarity, nearest, n_pairs = _nearest(x, compared, train_x, threshold - _ROUNDING)
    found = np.flatnonzero(similarity >= threshold - _ROUNDING)
    found = found[np.argsort(-similarity[found], kind="stable")]
    return NearDuplicates(
        threshold=threshold,
        n_rows=len(x),
        n_compared=len(compared),
        n_classes=n_classes,
        share_of_pairs=n_pairs / (len(compared) * len(train_x)),
        rows=compared[found],
        train_rows=nearest[found],
        similarities=np.minimum(similarity[found], 1),
        labels=labels[compared[found]],
        train_labels=train_labels[nearest[found]],
    )


def _nearest(
    x: NDArray[Any], compared: NDArray[np.int64], train_x: NDArray[Any], threshold: float
) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    """The highest cosine of each compared row, its training row, and the pairs that reach it."""
    similarity = np.full(len(compared), -np.inf, np.float32)
    nearest = np.zeros(len(compared), np.int64)
    n_pairs = 0
    for start in range(0, len(compared), _BLOCK_ROWS):
        here = slice(start, start + _BLOCK_ROWS)
        part = directions(x, compared[here], "x")
        for first, train_part in row_blocks(train_x):
            products = part @ train_part.T
            n_pairs += int((products >= threshold).sum())
            best = products.max(dim=1)
            values, places = best.values.numpy(), best.indices.numpy()
            is_better = values > similarity[here]
            nearest[here][is_better] = places[is_better] + first
            similarity[here][is_better] = values[is_better]
    return similarity, nearest, n_pairs


def row_blocks(train_x: NDArray[Any]) -> Iterator[tuple[int, torch.Tensor]]:
    """All rows in blocks: the first row of each, and `directions` of its rows."""
    for first in range(0, len(train_x), _BLOCK_ROWS):
        rows = np.arange(first, min(first + _BLOCK_ROWS, len(train_x)))
        yield first, directions(train_x, rows, "train_x")


def directions(x: NDArray[Any], rows: NDArray[np.int64], field: str) -> torch.Tensor:
    """These rows at length 1, float32 (b, d); rows of zeros stay zero."""
    try:
        part = as_rows(x[rows], n_columns=x.shape[1], field=field)
    except DataError as wrong:
        if wrong.row is None:
            raise
        raise DataError(
            f"{field} must be finite numbers within float32's range, but row {rows[wrong.row]}, "
            f"column {wrong.column} is not",
            field=field,
            row=int(rows[wrong.row]),
            column=wrong.column,
        ) from None
    # Divided by the largest entry first: squares of very large or small ones would leave float32.
    largest = np.abs(part).max(axis=1, keepdims=True)
    scaled = part / np.where(largest > 0, largest, 1)
    length = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    return torch.from_numpy(scaled / np.where(length > 0, length, 1))
