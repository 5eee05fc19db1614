"""The home of Knowledge: what a head learns at training time about when to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nmtune.numeric.tensor_file import prefixed, sections
from nmtune.numeric.torch_state import own_state
from nmtune.trust.conformal import Conformal
from nmtune.trust.ood_score import OodScore
from nmtune.trust.row_summary import Sketch

_CONFORMAL, _OOD, _SKETCH = "conformal", "ood", "sketch"


@dataclass(frozen=True, kw_only=True, eq=False)
class Knowledge:
    """Each None where the rows did not allow it, but the sketch, which any rows do."""

    sketch: Sketch
    conformal: Conformal | None = None
    ood: OodScore | None = None

    def tensors(self) -> dict[str, Tensor]:
        """What is to be stored, by name."""
        tensors = prefixed(_SKETCH, self.sketch.tensors())
        if self.conformal is not None:
            tensors |= prefixed(_CONFORMAL, self.conformal.tensors())
        if self.ood is not None:
            tensors |= prefixed(_OOD, self.ood.tensors())
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], *, n_columns: int, n_classes: int) -> Self:
        """What `tensors` gave; ValueError or KeyError says what does not fit."""
        of_conformal, of_ood, of_sketch = sections(tensors, _CONFORMAL, _OOD, _SKETCH)
        return cls(
            conformal=Conformal.from_tensors(of_conformal) if of_conformal else None,
            ood=OodScore.from_tensors(of_ood, n_columns=n_columns) if of_ood else None,
            sketch=Sketch.from_tensors(of_sketch, n_columns=n_columns, n_classes=n_classes),
        )


@own_state()
def learn(
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    *,
    predicted: NDArray[np.integer],
    of_truth: NDArray[np.floating] | None,
    n_classes: int,
    seed: int,
) -> Knowledge:
    """What the training rows and held-out predictions say of when to trust a head.

    Test and OOD rows have no place in any of this.

    Args:
        x: the training rows' embeddings (n, d).
        y: their classes (n,).
        predicted: the classes (m,) predicted of rows that were not learnt from, else of x.
        of_truth: the probabilities (m,) that the head, or the models of its cross-validation at
            its temperature, gave the true class of rows not learnt from; None without such rows.
        n_classes: c.
        seed: of the folds and directions of the OOD score.
    """
    return Knowledge(
        conformal=None if of_truth is None else Conformal.fit(of_truth),
        ood=OodScore.fit(x, y, seed=seed),
        sketch=Sketch.fit(x, predicted, n_classes=n_classes),
    )
