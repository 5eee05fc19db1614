"""Rows for training: checked, copied, digested, scaled and moved to the device."""

import hashlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nmtune.errors import DataError
from nmtune.heads.scaling import Scaling
from nmtune.rows.checks import as_labels, as_weights, load_rows

_MAX_NAMED = 5


@dataclass(frozen=True)
class LabelledRows:
    """Scaled embeddings x (n, d) float32 and class indices y (n,) int64, on the device.

    weight: how much each row counts, (n,) float32 of mean 1; None if all count equally.
    """

    x: Tensor
    y: Tensor
    weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def parts(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """x, y and weight."""
        return self.x, self.y, self.weight

    def clone(self) -> "LabelledRows":
        """A copy of the rows."""
        weight = None if self.weight is None else self.weight.clone()
        return LabelledRows(self.x.clone(), self.y.clone(), weight)

    def take(self, indices: Tensor) -> "LabelledRows":
        """A copy of some rows."""
        at = indices.to(self.y.device)
        weight = None if self.weight is None else self.weight[at]
        return LabelledRows(self.x[at], self.y[at], weight)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Checked copies of rows (n, d) and labels (n,), with a digest of everything.

    weight: (n,) of mean 1, or None. groups: (n,) of any type, or None. Rows of weight 0 are left
    out.
    """

    rows: NDArray[np.float32]
    labels: NDArray[np.int64]
    weight: NDArray[np.float32] | None
    groups: NDArray[Any] | None
    digest: str

    @classmethod
    def load(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        *,
        n_classes: int,
        prefix: str = "",
        weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Check and copy rows; DataError names the field, with `prefix`, and the row."""
        rows, digest_of_rows = load_rows(x, field=f"{prefix}embeddings")
        labels = as_labels(y, n_rows=len(rows), n_classes=n_classes, field=f"{prefix}labels")
        digest = hashlib.sha256(digest_of_rows.encode() + labels.tobytes())
        given_groups = None if groups is None else _as_groups(groups, n_rows=len(rows))
        if given_groups is not None:
            digest.update(repr(given_groups.tolist()).encode())
        if weight is None:
            return cls(rows, labels, None, given_groups, digest.hexdigest())
        weights = as_weights(weight, n_rows=len(rows))
        digest.update(weights.tobytes())
        counts = weights > 0
        if not counts.all():
            rows, labels, weights = rows[counts], labels[counts], weights[counts]
            given_groups = None if given_groups is None else given_groups[counts]
        weights = (weights / weights.mean()).astype(np.float32)
        return cls(rows, labels, weights, given_groups, digest.hexdigest())

    def scaled(self, scaling: Scaling, device: str) -> LabelledRows:
        """The rows on the device; `rows` is scaled in place and must not be used again."""
        x: Tensor = torch.from_numpy(self.rows).to(device)
        weight = None if self.weight is None else torch.from_numpy(self.weight).to(device)
        y = torch.from_numpy(self.labels).to(device)
        return LabelledRows(scaling.apply(x, in_place=True), y, weight)

    def check_width(self, train: "TrainingData") -> None:
        """Raise DataError unless these validation rows are as wide as the training rows."""
        got, expected = self.rows.shape[1], train.rows.shape[1]
        if got != expected:
            raise DataError(
                f"validation embeddings must have {expected} columns like the training rows, "
                f"got {got}",
                field="validation.embeddings",
            )

    def absent_classes(self, n_classes: int) -> NDArray[np.int64]:
        """The classes without a row."""
        return np.flatnonzero(np.bincount(self.labels, minlength=n_classes) == 0)


def notes_on_classes(data: TrainingData, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Notes on classes without training rows; DataError if fewer than two classes have any."""
    absent = [classes[index] for index in data.absent_classes(len(classes))]
    if len(classes) - len(absent) < 2:
        only = classes[int(data.labels[0])]
        raise DataError(
            f"labels must hold at least two classes to tell apart, got only {only!r}",
            field="labels",
        )
    if not absent:
        return ()
    more = f" and {len(absent) - _MAX_NAMED} more" if len(absent) > _MAX_NAMED else ""
    named = ", ".join(map(repr, absent[:_MAX_NAMED]))
    return (f"No training row has the class {named}{more}, so the head never predicts it.",)


def _as_groups(groups: ArrayLike, *, n_rows: int) -> NDArray[Any]:
    values = np.asarray(groups)
    if values.shape != (n_rows,):
        raise DataError(
            f"groups must be one per row, of shape ({n_rows},), got {values.shape}", field="groups"
        )
    return values
