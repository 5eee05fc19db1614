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

    def tempered(self, temperature: float) -> "HeldOut":
        """The predictions at this temperature."""
        logits = self.logits / np.float32(temperature)
        return HeldOut(logits=logits, y=self.y, n_train_rows=self.n_train_rows)

    def of_truth(self, temperature: float) -> NDArray[np.float64]:
        """The labelled class's probability at this temperature, (m,)."""
        return np.exp(-self.tempered(temperature).losses)

    def of_given(self, temperature: float, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """The given label's probability, (m,): of every class that may have been turned into it.

        noise: (c, c), the chance that a row of class j was given label i at [j, i].
        """
        return np.asarray(self._of_both(temperature, noise).sum(axis=1))

    def of_right(
        self, temperature: float, noise: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The probabilities of the classes that may be the right ones, and their chances to be it.

        Both (k,), row after row; the chances of a row add up to 1. Chances below 1 in 1000 are
        left out.
        """
        both = self._of_both(temperature, noise)
        chances = both / np.maximum(both.sum(axis=1, keepdims=True), 1e-300)
        chances[chances < 1e-3] = 0
        chances /= np.maximum(chances.sum(axis=1, keepdims=True), 1e-300)
        found = chances > 0
        return np.exp(self.tempered(temperature).log_probabilities)[found], chances[found]

    def _of_both(self, temperature: float, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        """The chance that a class is the right one and the given label the given one, (m, c)."""
        return np.exp(self.tempered(temperature).log_probabilities) * noise.T[self.y]

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
