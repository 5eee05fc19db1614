"""Networks: a transform to tuned embeddings, and a linear classifier on them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nmtune.config import TuneConfig

_ROWS_AT_A_TIME = 1024
"""Rows per pass outside training: the hidden layer then takes 12 MB at d = 768."""


class Network(nn.Module):
    """F (b, d) -> Z = transform(F) (b, m) and logits = Z W^T + bias (b, c).

    m is d, except for transform `hidden`, where it is the hidden units of all members. With
    transform `bottlenecks`, every member classifies its own tuned embeddings F + U_k u_k, and Z is
    their mean: the mean of the members' logits is a classifier of F beside the units u (b, K h).
    """

    def __init__(self, config: TuneConfig, *, n_columns: int, n_classes: int) -> None:
        """The network without storage (on the meta device): see `initialised`."""
        super().__init__()
        self.n_columns = n_columns
        self.transform, self.n_tuned = _transform(config, n_columns)
        n_seen = self.n_tuned
        if isinstance(self.transform, Bottlenecks):
            n_seen += self.transform.into.out_features
        self.classifier = nn.Linear(n_seen, n_classes, device="meta")

    def forward(self, f: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.transform, Bottlenecks):
            units = self.transform.units(f)
            z, seen = f + self.transform.back(units), torch.cat([f, units], dim=1)
        else:
            z = seen = self.transform(f)
        logits: Tensor = self.classifier(seen)
        return z, logits

    @classmethod
    def initialised(
        cls, config: TuneConfig, *, n_columns: int, n_classes: int, generator: torch.Generator
    ) -> "Network":
        """A network on the CPU with initial weights drawn only from `generator`.

        Torch's own constructors draw from the process's generator, which a library must leave
        alone, so the storage is made empty and filled here. Hidden layers get torch's default for a
        linear layer; the classifier is Kaiming-uniform with bias 0.
        """
        network = cls(config, n_columns=n_columns, n_classes=n_classes)
        network.to_empty(device="cpu")
        for module in network.transform.modules():
            if isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.in_features)
                nn.init.uniform_(module.weight, -bound, bound, generator=generator)
                if module.bias is not None:
                    nn.init.uniform_(module.bias, -bound, bound, generator=generator)
            elif isinstance(module, nn.BatchNorm1d):
                module.reset_parameters()
            elif isinstance(module, _ScaledResidual):
                nn.init.ones_(module.scale)
        nn.init.kaiming_uniform_(network.classifier.weight, generator=generator)
        nn.init.zeros_(network.classifier.bias)
        return network


class _ScaledResidual(nn.Module):
    """F + scale * branch(F), as in the authors' code; scale (d,) is learnt and starts at 1."""

    def __init__(self, branch: nn.Module, n_columns: int) -> None:
        super().__init__()
        self.branch = branch
        self.scale = nn.Parameter(torch.empty(n_columns, device="meta"))

    def forward(self, f: Tensor) -> Tensor:
        change: Tensor = self.branch(f)
        return f + self.scale * change


class Bottlenecks(nn.Module):
    """F + back(u), u = ReLU(into(F)) (b, K h): the mean of K members' tuned embeddings."""

    def __init__(self, n_columns: int, n_units: int) -> None:
        super().__init__()
        self.into = nn.Linear(n_columns, n_units, device="meta")
        self.back = nn.Linear(n_units, n_columns, bias=False, device="meta")

    def units(self, f: Tensor) -> Tensor:
        """u (b, K h) of f (b, d)."""
        units: Tensor = self.into(f).relu()
        return units

    def forward(self, f: Tensor) -> Tensor:
        change: Tensor = self.back(self.units(f))
        return f + change


def _transform(config: TuneConfig, d: int) -> tuple[nn.Module, int]:
    """The module and the width of its output."""
    if config.transform == "none":
        return nn.Identity(), d
    if config.transform == "whiten":
        # Fitted, not trained: the probe sets its weights once (see `training.whitening`).
        return nn.Linear(d, d, device="meta").requires_grad_(False), d
    if config.transform == "hidden":
        n_tuned = config.n_members * config.hidden_width
        return nn.Sequential(nn.Linear(d, n_tuned, device="meta"), nn.ReLU()), n_tuned
    if config.transform == "bottlenecks":
        return Bottlenecks(d, config.n_members * config.hidden_width), d
    hidden = config.hidden_multiplier * d
    into, back = nn.Linear(d, hidden, device="meta"), nn.Linear(hidden, d, device="meta")
    if config.transform == "mlp":
        return nn.Sequential(into, nn.ReLU(), back), d
    normalise = nn.BatchNorm1d(hidden, device="meta")
    return _ScaledResidual(nn.Sequential(into, normalise, nn.ReLU(), back), d), d


def forward_in_batches(
    network: Callable[[Tensor], tuple[Tensor, Tensor]], f: Tensor
) -> tuple[Tensor, Tensor]:
    """Z and logits for any number of rows; the caller has set eval mode and no gradients."""
    starts = range(0, len(f), _ROWS_AT_A_TIME)
    parts = [network(f[start : start + _ROWS_AT_A_TIME]) for start in starts]
    if len(parts) == 1:
        z, logits = parts[0]
        return z, logits
    return torch.cat([z for z, _ in parts]), torch.cat([logits for _, logits in parts])
