"""The home of what the two ways to train have in common: what they are given, do and tell."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from nmtune.network import Network, forward_in_batches


@dataclass(frozen=True)
class LabelledRows:
    """Scaled embeddings x (n, d) float32 and class indices y (n,) int64, on the device."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: Tensor) -> "LabelledRows":
        """A copy of some rows."""
        at = indices.to(self.y.device)
        return LabelledRows(self.x[at], self.y[at])


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What one epoch did, as the procedure knows it; the fields are EpochReport's."""

    losses: dict[str, float]
    learning_rate: float | None = None
    l2: float | None = None
    validation: dict[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What one epoch did.

    Attributes:
        epoch, n_epochs: its number, from 1, of how many. An epoch of the linear probe is one
            solution: one for each penalty tried, and the last on all training rows.
        losses: means over the epoch's rows. With AdamW `total`, `cross_entropy`,
            `consistency`, `covariance`, `dominant` (unweighted; 0 where the weight is 0), each
            batch taken before its step; for the linear probe `total`, `cross_entropy`,
            `l2_penalty` at the solution.
        learning_rate: at the epoch's last step; None for the linear probe.
        l2: the linear probe's penalty in this epoch, else None.
        validation: `loss` (mean cross-entropy), `loss_standard_error` and `accuracy` on the
            validation rows, or on the rows the linear probe held out; None where there are none.
        seconds: how long the epoch took.
    """

    epoch: int
    n_epochs: int
    losses: dict[str, float]
    learning_rate: float | None
    l2: float | None
    validation: dict[str, float] | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


class Procedure(Protocol):
    """A way to train a network, epoch by epoch."""

    network: Network
    n_epochs: int

    def run(self, epoch: int) -> Progress:
        """Do one epoch (1-based, each once, in order)."""

    def settings(self) -> dict[str, Any]:
        """What was chosen while training, as fields of TuneConfig."""

    def notes(self) -> list[str]:
        """What the user should know of the training, once it is done."""

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """All that the next epoch depends on, as JSON and tensors."""

    def restore(self, epoch: int, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take up the state that `state` told after `epoch`; ValueError if it cannot be one."""


def score(network: Network, rows: LabelledRows) -> dict[str, float]:
    """How the network does on rows, in eval mode.

    `loss` is the mean cross-entropy in nats, `loss_standard_error` how far chance may have moved
    it (deviation over rows / sqrt(n)), `accuracy` the share of rows it gets right.
    """
    network.eval()
    with torch.no_grad():
        _, logits = forward_in_batches(network, rows.x)
        losses = functional.cross_entropy(logits.double(), rows.y, reduction="none")
        error = losses.std(correction=0) / math.sqrt(len(rows))
        accuracy = (logits.argmax(dim=1) == rows.y).double().mean()
    return {
        "loss": losses.mean().item(),
        "loss_standard_error": error.item(),
        "accuracy": accuracy.item(),
    }
