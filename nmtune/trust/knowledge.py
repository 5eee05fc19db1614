"""Learn, at training time, when a head can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nmtune.numeric.tensor_file import prefixed, sections
from nmtune.numeric.torch_state import own_state
from nmtune.trust.conformal import Conformal
from nmtune.trust.ood_score import OodScore
from nmtune.trust.row_summary import RowSummary

_CONFORMAL, _OOD, _ROW_SUMMARY = "conformal", "ood", "sketch"
"""Where they are stored; the last key is of an older name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Knowledge:
    """What a head knows about its own limits; a part is None if there were too few rows for it."""

    row_summary: RowSummary
    conformal: Conformal | None = None
    ood: OodScore | None = None

    def of_other_head(
        self,
        *,
        predicted: NDArray[np.integer],
        of_truth: NDArray[np.floating] | None,
        weights: NDArray[np.floating] | None = None,
    ) -> Self:
        """What `learn` would find for another head of the same rows and seed, at no cost.

        Only its predictions tell one head from another; the arguments are those of `learn`.
        """
        return replace(
            self,
            conformal=None if of_truth is None else Conformal.fit(of_truth, weights),
            row_summary=self.row_summary.of_other_head(predicted),
        )

    def tensors(self) -> dict[str, Tensor]:
        """The tensors to store, by name."""
        tensors = prefixed(_ROW_SUMMARY, self.row_summary.tensors())
        if self.conformal is not None:
            tensors |= prefixed(_CONFORMAL, self.conformal.tensors())
        if self.ood is not None:
            tensors |= prefixed(_OOD, self.ood.tensors())
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], *, n_columns: int, n_classes: int) -> Self:
        """The inverse of `tensors`; ValueError or KeyError says what does not fit."""
        of_conformal, of_ood, of_summary = sections(tensors, _CONFORMAL, _OOD, _ROW_SUMMARY)
        return cls(
            conformal=Conformal.from_tensors(of_conformal) if of_conformal else None,
            ood=OodScore.from_tensors(of_ood, n_columns=n_columns) if of_ood else None,
            row_summary=RowSummary.from_tensors(
                of_summary, n_columns=n_columns, n_classes=n_classes
            ),
        )


@own_state()
def learn(
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    *,
    predicted: NDArray[np.integer],
    of_truth: NDArray[np.floating] | None,
    weights: NDArray[np.floating] | None = None,
    n_classes: int,
    seed: int,
) -> Knowledge:
    """Learn from training rows and held-out predictions; test and OOD rows play no part.

    Args:
        x: the training rows' embeddings (n, d).
        y: their classes (n,).
        predicted: classes (m,) predicted for held-out rows, or for x if there are none.
        of_truth: the true class's probability (m,) on held-out rows, by the head or by the models
            of its cross-validation at its temperature; None without held-out rows.
        weights: as `Conformal.fit` takes them, where labels may be wrong; of_truth then has the
            candidates of each row.
        n_classes: c.
        seed: for the folds and directions of the OOD score.
    """
    return Knowledge(
        conformal=None if of_truth is None else Conformal.fit(of_truth, weights),
        ood=OodScore.fit(x, y, seed=seed),
        row_summary=RowSummary.fit(x, predicted, n_classes=n_classes),
    )
