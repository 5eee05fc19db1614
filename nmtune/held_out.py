"""The home of HeldOut: what a training said of rows it had not learnt from."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from nmtune.tensor_file import pack, unpack

_KIND = "nmtune-held-out"
_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Logits on held-out rows: all that a choice, or a calibration, may rest on.

    Attributes
    ----------
    logits
        (m, c) float32. The training rows come first, in their order, each judged by a
        model that was fitted on other folds; then the validation rows, if any, judged by the
        mean of those models.
    y
        (m,) int64, the labels as they were given.
    n_train_rows
        How many are training rows: all of them, or 0.
    """

    logits: NDArray[np.float32]
    y: NDArray[np.int64]
    n_train_rows: int

    @property
    def log_probabilities(self) -> NDArray[np.float64]:
        """(m, c), of the softmax of the logits."""
        shifted = self.logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return shifted

    def of_truth(self, temperature: float) -> NDArray[np.float64]:
        """(m,): the true classes' probabilities, the logits divided by the temperature."""
        logits = self.logits / np.float32(temperature)
        tempered = HeldOut(logits=logits, y=self.y, n_train_rows=self.n_train_rows)
        return np.exp(-tempered.losses)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(m,): which rows it got right."""
        return np.asarray(self.logits.argmax(axis=1) == self.y)

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())

    @property
    def losses(self) -> NDArray[np.float64]:
        """(m,): -log of the true class's probability, in nats."""
        return np.asarray(-self.log_probabilities[np.arange(len(self.y)), self.y])

    def to_bytes(self) -> bytes:
        """A safetensors file."""
        document = {"kind": _KIND, "version": _VERSION, "n_train_rows": self.n_train_rows}
        tensors = {"logits": torch.from_numpy(self.logits), "y": torch.from_numpy(self.y)}
        return pack(document, tensors)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` wrote; ValueError says what is wrong with the bytes."""
        document, tensors = unpack(data, kind=_KIND, version=_VERSION)
        try:
            logits, y = tensors["logits"].numpy(), tensors["y"].numpy()
            return cls(logits=logits, y=y, n_train_rows=int(document["n_train_rows"]))
        except (KeyError, TypeError) as wrong:
            raise ValueError(f"no held-out predictions: {wrong}") from None
