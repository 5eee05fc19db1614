"""Train by mini-batches: minimise the NMTune objective with AdamW."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nmtune.config import Schedule, TuneConfig
from nmtune.heads.network import Network, forward_in_batches
from nmtune.losses.objective import NMTuneLoss, nmtune_loss
from nmtune.numeric.random_numbers import generator
from nmtune.numeric.tensor_file import check_layout, prefixed, sections
from nmtune.rows.held_out import HeldOut
from nmtune.training.optimiser import AdamW
from nmtune.training.procedure import Progress, score
from nmtune.training.rows import LabelledRows


class AdamwFit:
    """Epochs of AdamW over shuffled mini-batches, the learning rate set step by step."""

    def __init__(
        self,
        network: Network,
        rows: LabelledRows,
        *,
        config: TuneConfig,
        validation: LabelledRows | None,
        groups: NDArray[Any] | None = None,  # noqa: ARG002  # it has no folds
    ) -> None:
        self.network = network
        self._rows = rows
        self._config = config
        self._validation = validation
        self._batches = batch_bounds(
            len(rows), config.batch_size, smallest=max(2, config.k, config.batch_size // 4)
        )
        self.n_epochs = config.n_epochs(len(self._batches))
        self._optimiser = AdamW(
            dict(network.named_parameters()),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )

    def run(self, epoch: int) -> Progress:
        config = self._config
        self.network.train()
        device = self._rows.x.device
        order = epoch_order(len(self._rows), seed=config.seed, epoch=epoch).to(device)
        # Read once, after the epoch: reading each step would make a GPU wait for the host.
        sums = torch.zeros(len(NMTuneLoss._fields), device=device)
        n_steps = len(self._batches) * self.n_epochs
        rate = config.learning_rate
        for index, (start, stop) in enumerate(self._batches):
            step = (epoch - 1) * len(self._batches) + index
            rate = config.learning_rate * remaining(config.schedule, step / n_steps)
            self._optimiser.learning_rate = rate
            loss = self._step(self._rows.take(order[start:stop]))
            sums += torch.stack(loss).detach() * (stop - start)
        means = (sums / len(self._rows)).tolist()
        return Progress(
            losses=dict(zip(NMTuneLoss._fields, means, strict=True)),
            learning_rate=rate,
            validation=score(self.network, self._validation) if self._validation else None,
        )

    def _step(self, batch: LabelledRows) -> NMTuneLoss:
        config = self._config
        z, logits = self.network(batch.x)
        loss = nmtune_loss(
            logits,
            batch.y,
            z,
            batch.x,
            w_consistency=config.w_consistency,
            w_covariance=config.w_covariance,
            w_dominant=config.w_dominant,
            k=config.k,
            mean_over_dimensions=config.consistency_mean_over_dimensions,
            weight=batch.weight,
        )
        self._optimiser.descend(loss.total)
        return loss

    def notes(self) -> list[str]:
        n_rows, n_columns = self._rows.x.shape
        return notes_on_steps(
            self._config, n_rows=n_rows, n_columns=n_columns, n_epochs=self.n_epochs
        )

    def held_out(self) -> HeldOut | None:
        """Predictions for the validation rows; all training rows were learnt from."""
        if self._validation is None:
            return None
        self.network.eval()
        with torch.no_grad():
            _, logits = forward_in_batches(self.network, self._validation.x)
        y = self._validation.y
        return HeldOut(logits=logits.cpu().numpy(), y=y.cpu().numpy(), n_train_rows=0)

    def settings(self) -> dict[str, Any]:
        return {}

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        tensors = prefixed("network", self.network.state_dict())
        return {}, tensors | prefixed("optimiser", self._optimiser.state())

    def restore(self, epoch: int, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        if document:
            raise ValueError("AdamW's state holds only tensors")
        of_network, of_optimiser = sections(tensors, "network", "optimiser")
        check_layout(of_network, self.network.state_dict())
        self._optimiser.restore(of_optimiser, is_begun=epoch > 0)
        self.network.load_state_dict(of_network)


def notes_on_steps(config: TuneConfig, *, n_rows: int, n_columns: int, n_epochs: int) -> list[str]:
    """What the user should know about a training by mini-batches."""
    notes = []
    if n_epochs < config.epochs:
        notes.append(
            f"Training stopped after {n_epochs} of {config.epochs} epochs: more would exceed "
            f"max_steps ({config.max_steps:,})."
        )
    if n_rows < config.batch_size:
        notes.append(
            f"The {n_rows} training rows make one batch, smaller than batch_size "
            f"({config.batch_size}), so the regularisers weigh differently than in full batches."
        )
    if config.w_dominant and config.k >= min(n_rows, n_columns):
        notes.append(
            f"k = {config.k} covers every singular value, so the dominant term is constant and "
            "has no effect."
        )
    return notes


def batch_bounds(n_rows: int, batch_size: int, *, smallest: int) -> list[tuple[int, int]]:
    """Where each mini-batch starts and stops; a last one below `smallest` joins the one before.

    BatchNorm and the covariance need two rows, and the covariance of a few rows is mostly noise:
    with eight rows it is four times that of a full batch.
    """
    bounds = [(start, min(start + batch_size, n_rows)) for start in range(0, n_rows, batch_size)]
    if len(bounds) > 1 and n_rows - bounds[-1][0] < smallest:
        bounds[-2:] = [(bounds[-2][0], n_rows)]
    return bounds


def epoch_order(n_rows: int, *, seed: int, epoch: int) -> Tensor:
    """The order of the rows in an epoch (1-based), which does not depend on other epochs."""
    return torch.randperm(n_rows, generator=generator(seed, epoch))


def remaining(schedule: Schedule, passed: float) -> float:
    """The share of the full learning rate after a share `passed` of all steps."""
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return 1.0 - passed
    return 0.5 * (1.0 + math.cos(math.pi * passed))
