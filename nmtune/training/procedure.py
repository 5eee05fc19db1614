"""What all training procedures share: their interface, their progress and their scores."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from nmtune.heads.network import Network, forward_in_batches
from nmtune.rows.held_out import HeldOut
from nmtune.training.rows import LabelledRows


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The result of one epoch, as the procedure knows it; the fields are those of EpochReport."""

    losses: dict[str, float]
    learning_rate: float | None = None
    l2: float | None = None
    validation: dict[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """The result of one epoch.

    Attributes
    ----------
    epoch, n_epochs : int
        Its number, from 1, and how many there are. A linear probe's epochs are the penalties that
        its cross-validation tries, and last the solution on all training rows. It and an ensemble
        may stop early, which lowers n_epochs.
    losses : dict of str to float
        Means over the epoch's rows. With AdamW ``total``, ``cross_entropy``, ``consistency``,
        ``covariance`` and ``dominant`` (unweighted; 0 if the weight is 0), each batch before its
        step. For a linear probe ``total``, ``cross_entropy`` and ``l2_penalty`` at the solution.
        For an ensemble ``total`` and ``cross_entropy``, means over its members.
    learning_rate : float or None
        At the epoch's last step; None for a linear probe.
    l2 : float or None
        The penalty that a linear probe tried, or the chosen one; else None.
    validation : dict of str to float or None
        ``loss`` (mean cross-entropy), ``loss_standard_error`` and ``accuracy`` on the validation
        rows or the held-out rows; None if there are none.
    seconds : float
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
        """What the training chose, as fields of TuneConfig."""

    def notes(self) -> list[str]:
        """What the user should know about the finished training."""

    def held_out(self) -> HeldOut | None:
        """The finished training's held-out predictions; None if no rows were held out."""

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Everything that the next epoch depends on, as JSON and tensors."""

    def restore(self, epoch: int, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take up what `state` returned after `epoch`; ValueError if it does not fit."""


def score(network: Network, rows: LabelledRows) -> dict[str, float]:
    """Score the network on rows, in eval mode (see `score_logits`)."""
    network.eval()
    with torch.no_grad():
        _, logits = forward_in_batches(network, rows.x)
    return score_logits(logits, rows.y)


def score_logits(logits: Tensor, y: Tensor) -> dict[str, float]:
    """Score logits (n, c) against labels y (n,).

    `loss` is the mean cross-entropy in nats, `loss_standard_error` its standard error (deviation
    over rows / sqrt(n)), `accuracy` the share of rows predicted right.
    """
    losses = functional.cross_entropy(logits.double(), y, reduction="none")
    error = losses.std(correction=0) / math.sqrt(len(y))
    accuracy = (logits.argmax(dim=1) == y).double().mean()
    return {
        "loss": losses.mean().item(),
        "loss_standard_error": error.item(),
        "accuracy": accuracy.item(),
    }
