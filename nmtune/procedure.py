"""The home of what the two ways to train have in common: what they are given, do and tell."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from nmtune.held_out import HeldOut
from nmtune.network import Network, forward_in_batches


@dataclass(frozen=True)
class LabelledRows:
    """Scaled embeddings x (n, d) float32 and class indices y (n,) int64, on the device.

    weight: how much each row counts, (n,) float32 of mean 1; None where all count alike.
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
        """The same rows in memory of their own."""
        weight = None if self.weight is None else self.weight.clone()
        return LabelledRows(self.x.clone(), self.y.clone(), weight)

    def take(self, indices: Tensor) -> "LabelledRows":
        """A copy of some rows."""
        at = indices.to(self.y.device)
        weight = None if self.weight is None else self.weight[at]
        return LabelledRows(self.x[at], self.y[at], weight)


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

    Attributes
    ----------
    epoch, n_epochs
        Its number, from 1, of how many. An epoch of a linear probe is one fold
        of the cross-validation that chooses l2, the last one the solution on all training
        rows. An ensemble may stop early: n_epochs is then less at the end than before.
    losses
        Means over the epoch's rows. With AdamW `total`, `cross_entropy`,
        `consistency`, `covariance`, `dominant` (unweighted; 0 where the weight is 0), each
        batch taken before its step; for a linear probe `total`, `cross_entropy`,
        `l2_penalty` at the solution; for an ensemble `total` and `cross_entropy`, means over
        its members.
    learning_rate
        At the epoch's last step; None for a linear probe.
    l2
        The penalty that did best on a linear probe's fold, or that was chosen; else None.
    validation
        `loss` (mean cross-entropy), `loss_standard_error` and `accuracy` on the
        validation rows, or on the rows that were held out; None where there are none.
    seconds
        How long the epoch took.
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

    def held_out(self) -> HeldOut | None:
        """What it said of rows it had not learnt from, once it is done; None if there are none."""

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """All that the next epoch depends on, as JSON and tensors."""

    def restore(self, epoch: int, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take up the state that `state` told after `epoch`; ValueError if it cannot be one."""


def score(network: Network, rows: LabelledRows) -> dict[str, float]:
    """How the network does on rows, in eval mode (see `score_logits`)."""
    network.eval()
    with torch.no_grad():
        _, logits = forward_in_batches(network, rows.x)
    return score_logits(logits, rows.y)


def score_logits(logits: Tensor, y: Tensor) -> dict[str, float]:
    """How logits (n, c) fit the labels y (n,).

    `loss` is the mean cross-entropy in nats, `loss_standard_error` how far chance may have moved
    it (deviation over rows / sqrt(n)), `accuracy` the share of rows it gets right.
    """
    losses = functional.cross_entropy(logits.double(), y, reduction="none")
    error = losses.std(correction=0) / math.sqrt(len(y))
    accuracy = (logits.argmax(dim=1) == y).double().mean()
    return {
        "loss": losses.mean().item(),
        "loss_standard_error": error.item(),
        "accuracy": accuracy.item(),
    }
