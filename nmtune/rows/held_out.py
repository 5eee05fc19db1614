"""Held-out predictions: the logits of a training on rows that it did not learn from."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from nmtune.numeric.tensor_file import pack, unpack

_KIND = "nmtune-held-out"
_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Held-out predictions, on which every choice and calibration rests.

    Attributes
    ----------
    logits : ndarray of float32, shape (m, c)
        First the training rows in order, each predicted by models fitted on other folds; then the
        validation rows, if any, predicted by the mean of those models.
    y : ndarray of int64, shape (m,)
        The given labels.
    n_train_rows : int
        How many are training rows: all of them, or 0.
    """

    logits: NDArray[np.float32]
    y: NDArray[np.int64]
    n_train_rows: int

    @property
    def log_probabilities(self) -> NDArray[np.float64]:
        """Logarithms of the softmax of the logits, (m, c)."""
        shifted = self.logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return shifted

    def of_truth(self, temperature: float) -> NDArray[np.float64]:
        """The true class's probability at this temperature, (m,)."""
        logits = self.logits / np.float32(temperature)
        tempered = HeldOut(logits=logits, y=self.y, n_train_rows=self.n_train_rows)
        return np.exp(-tempered.losses)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which rows are predicted right, (m,)."""
        return np.asarray(self.logits.argmax(axis=1) == self.y)

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @property
    def losses(self) -> NDArray[np.float64]:
        """-log of the true class's probability, (m,), in nats."""
        return np.asarray(-self.log_probabilities[np.arange(len(self.y)), self.y])

    def to_bytes(self) -> bytes:
        """The predictions as a safetensors file."""
        document = {"kind": _KIND, "version": _VERSION, "n_train_rows": self.n_train_rows}
        tensors = {"logits": torch.from_numpy(self.logits), "y": torch.from_numpy(self.y)}
        return pack(document, tensors)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`; ValueError says what is wrong with the bytes."""
        document, tensors = unpack(data, kind=_KIND, version=_VERSION)
        try:
            logits, y = tensors["logits"].numpy(), tensors["y"].numpy()
            return cls(logits=logits, y=y, n_train_rows=int(document["n_train_rows"]))
        except (KeyError, TypeError) as wrong:
            raise ValueError(f"not readable as held-out predictions: {wrong}") from None
