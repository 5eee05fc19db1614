"""What a study reads: rows to pre-train on, and a downstream task with other domains."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TRAIN, TEST = "train", "test"


class DataMissingError(Exception):
    """The data that the user names cannot be read; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs x (n, ...), as the encoder takes them, and classes y (n,) int64."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def take(self, at: Tensor) -> "Rows":
        """Some of the rows."""
        return Rows(self.x[at], self.y[at])

    def to(self, device: str) -> "Rows":
        """The rows on a device."""
        return Rows(self.x.to(device), self.y.to(device))


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """pretraining: `train` and `test`. downstream: `train`, `test` and domains `ood_...`."""

    pretraining: Mapping[str, Rows]
    downstream: Mapping[str, Rows]
    n_pretraining_classes: int
    classes: tuple[str, ...]

    def to(self, device: str) -> "Task":
        """The task on a device."""
        return Task(
            pretraining={split: rows.to(device) for split, rows in self.pretraining.items()},
            downstream={split: rows.to(device) for split, rows in self.downstream.items()},
            n_pretraining_classes=self.n_pretraining_classes,
            classes=self.classes,
        )


def drawn(rows: Rows, n_rows: int | None) -> Rows:
    """n_rows of the rows, as many of each class as can be, always the same; all if None."""
    if n_rows is None or n_rows >= len(rows):
        return rows
    return rows.take(torch.from_numpy(_evenly(rows.y.numpy(), n_rows)))


def _evenly(y: NDArray[np.int64], n_rows: int) -> NDArray[np.int64]:
    """Indices of n_rows rows: first one row of each class, then a second of each, and so on."""
    order = np.random.default_rng(0).permutation(len(y))
    turn = np.empty(len(y), np.int64)
    for label in np.unique(y):
        mine = order[y[order] == label]
        turn[mine] = np.arange(len(mine))
    return np.sort(order[np.argsort(turn[order], kind="stable")][:n_rows])
