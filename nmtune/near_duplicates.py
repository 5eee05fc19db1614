"""The home of the search for rows of a split that nearly repeat a training row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.rows import as_labels, as_numbers, as_rows
from nmtune.torch_state import own_state

MAX_PRODUCTS: Final = 500_000_000_000
"""Multiplications of one search by default: about half a minute on one core."""
MAX_SHARE_OF_PAIRS: Final = 0.01
"""Where more of all pairs are this similar, the cosine says little on these embeddings."""

_BLOCK_ROWS = 2048  # two blocks' similarities are 16 MiB
# Float32 products of a row with itself are off by about this.
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class NearDuplicates:
    """The rows of a split whose most similar training row has a cosine of at least `threshold`.

    Attributes
    ----------
    threshold
        The cosine from which on a row counts.
    n_rows
        Rows of the split.
    n_compared
        Rows compared with every training row: all of them or a random sample.
    n_classes
        Number of classes.
    share_of_pairs
        Of all pairs compared, the share that is at least as similar.
    rows, train_rows, similarities, labels, train_labels
        (k,) the near-duplicates, the most similar first: the row in the split, its most similar
        training
        row (the first of equals), their cosine, and the class indices of both.
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
        """Share of the compared rows that nearly repeat a training row, 0..1."""
        return len(self.rows) / self.n_compared

    @property
    def n_other_label(self) -> int:
        """How many of them carry another label than their training row."""
        return int(np.count_nonzero(self.labels != self.train_labels))

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know before believing the counts, in full sentences."""
        notes = []
        if self.n_compared < self.n_rows:
            notes.append(
                f"Only {self.n_compared:,} of the {self.n_rows:,} rows, drawn at random, were "
                "compared with the training rows: the counts are of these alone."
            )
        if self.share_of_pairs > MAX_SHARE_OF_PAIRS:
            notes.append(
                f"{self.share_of_pairs:.0%} of all pairs have a cosine of {self.threshold:g} or "
                "more: these embeddings lie so close together that it does not mark a repeat."
            )
        return tuple(notes)

    def to_dict(self, classes: Sequence[str], *, limit: int = 20) -> dict[str, Any]:
        """The same with class names in plain Python values, ready for JSON.

        At most `limit` pairs are listed, the most similar first; the counts are of all. Raises
        DataError where `classes` does not name every class, ConfigError where limit is negative.
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
    """Find the rows that nearly repeat a training row, by the cosine of the two.

    The arrays may be memory-mapped: blocks of rows are held, whatever n and m. A row of zeros has
    no
    direction: it is similar to none.

    Parameters
    ----------
    x, y
        Rows (n, d) of a split and their class indices (n,).
    train_x, train_y
        Training rows (m, d) and their class indices (m,).
    n_classes
        Number of classes.
    threshold
        The least cosine, above 0 and at most 1.
    max_products
        All n * m * d products are made if they are at most so many; else as many rows of x as that
        allows, at least one, are drawn with `seed`, and the result says so.
    seed
        0 or more.

    Returns
    -------
    NearDuplicates

    Raises
    ------
    DataError
        Rows are not finite real numbers of one width, or a label is not an index of a class; it
        names
        the row.
    ConfigError
        threshold, max_products or seed is out of its bounds.

    Examples
    --------
    >>> import numpy as np
    >>> train = np.random.default_rng(0).normal(size=(50, 8))
    >>> labels = np.arange(50) % 2
    >>> rows = np.concatenate([2 * train[3:4], -train[3:4]])  # a copy, and its opposite
    >>> found = find_near_duplicates(
    ...     rows, np.array([1, 0]), train_x=train, train_y=labels, n_classes=2
    ... )
    >>> found.rows.tolist(), found.train_rows.tolist()
    ([0], [3])
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
            as_rows(rows, n_columns=0, field=field)  # says what is wrong with it
    if x.shape[1] != train_x.shape[1]:
        raise DataError(
            f"x must have {train_x.shape[1]} columns, as train_x, got {x.shape[1]}", field="x"
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
        part = _directions(x, compared[here], "x")
        for first, train_part in _train_blocks(train_x):
            products = part @ train_part.T
            n_pairs += int((products >= threshold).sum())
            best = products.max(dim=1)
            values, places = best.values.numpy(), best.indices.numpy()
            is_better = values > similarity[here]
            nearest[here][is_better] = places[is_better] + first
            similarity[here][is_better] = values[is_better]
    return similarity, nearest, n_pairs


def _train_blocks(train_x: NDArray[Any]) -> Iterator[tuple[int, torch.Tensor]]:
    for first in range(0, len(train_x), _BLOCK_ROWS):
        rows = np.arange(first, min(first + _BLOCK_ROWS, len(train_x)))
        yield first, _directions(train_x, rows, "train_x")


def _directions(x: NDArray[Any], rows: NDArray[np.int64], field: str) -> torch.Tensor:
    """These rows at length 1, float32 (b, d); rows of zeros stay zero."""
    try:
        part = as_rows(x[rows], n_columns=x.shape[1], field=field)
    except DataError as wrong:
        if wrong.row is None:
            raise
        raise DataError(
            f"{field} must be finite numbers within float32's range, row {rows[wrong.row]}, "
            f"column {wrong.column} is not",
            field=field,
            row=int(rows[wrong.row]),
            column=wrong.column,
        ) from None
    # By way of the largest entry: squares of very large or small entries would leave float32.
    largest = np.abs(part).max(axis=1, keepdims=True)
    scaled = part / np.where(largest > 0, largest, 1)
    length = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    return torch.from_numpy(scaled / np.where(length > 0, length, 1))
