"""Pre-train encoders side by side, each on its own labels and in the order of its own seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.study.encoders import Encoder, Weights
from benchmarks.study.sizes import Steps
from nmtune.numeric.random_numbers import generator
from nmtune.training.adamw import remaining

_ROWS_AT_A_TIME = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class Models:
    """m encoders and their classifiers, weight (m, d, c) and bias (m, 1, c)."""

    encoder: Encoder
    weights: Weights
    weight: Tensor
    bias: Tensor

    def features(self, x: Tensor) -> Tensor:
        """(m, n, d) of inputs (n, ...)."""
        return features(self.encoder, self.weights, x)

    def logits(self, x: Tensor) -> Tensor:
        """(m, n, c) of inputs (n, ...)."""
        return torch.baddbmm(self.bias, self.features(x), self.weight)


def features(encoder: Encoder, weights: Weights, x: Tensor) -> Tensor:
    """(m, n, d) of inputs (n, ...), the same for all models, without a gradient."""
    n_models = len(next(iter(weights.values())))
    starts = range(0, len(x), _ROWS_AT_A_TIME)
    with torch.no_grad():
        parts = [
            encoder.features(weights, torch.stack([x[at : at + _ROWS_AT_A_TIME]] * n_models))
            for at in starts
        ]
    return torch.cat(parts, dim=1)


def pretrain(
    encoder: Encoder,
    x: Tensor,
    labels: Tensor,
    *,
    n_classes: int,
    seeds: Sequence[int],
    steps: Steps,
    pools: Tensor | None = None,
) -> Models:
    """m models from nothing, on inputs x (n, ...) with labels (m, n).

    Models of one seed have the same initial weights, see the same rows in the same order and the
    same changes of them: they differ in what their labels make of it. pools: (m, k), the rows that
    each model learns from; all if None.
    """
    device, n_rows = x.device, len(x)
    initial = [generator(seed, 0) for seed in seeds]
    weights = {name: one.to(device) for name, one in encoder.initial(initial).items()}
    weight = torch.stack([torch.randn(encoder.width, n_classes, generator=one) for one in initial])
    weight = (weight / encoder.width**0.5).to(device)
    bias = torch.zeros(len(seeds), 1, n_classes, device=device)
    if pools is None:
        pools = torch.arange(n_rows).expand(len(seeds), n_rows)
    optimiser = optimiser_of([*weights.values(), weight, bias], steps)
    for epoch in range(1, steps.epochs + 1):
        streams = [generator(seed, epoch) for seed in seeds]
        for start, at in batches(pools, streams, steps):
            set_rate(optimiser, steps, epoch - 1 + start / pools.shape[1])
            rows = at.to(device)
            seen = encoder.features(weights, encoder.varied(x[rows], streams))
            loss = mean_losses(torch.baddbmm(bias, seen, weight), labels.gather(1, rows)).sum()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
    for tensor in [*weights.values(), weight, bias]:
        tensor.requires_grad_(False)
    return Models(encoder=encoder, weights=weights, weight=weight, bias=bias)


def optimiser_of(tensors: Sequence[Tensor], steps: Steps) -> torch.optim.AdamW:
    """AdamW that learns these tensors; each stacked number is on its own, so models are too."""
    for tensor in tensors:
        tensor.requires_grad_(True)
    return torch.optim.AdamW(
        tensors, lr=steps.learning_rate, weight_decay=steps.weight_decay, fused=True
    )


def batches(
    pools: Tensor, streams: Sequence[torch.Generator], steps: Steps
) -> list[tuple[int, Tensor]]:
    """The start and the rows (m, b) of each step of an epoch; a short last batch is left out."""
    n_rows = pools.shape[1]
    orders = torch.stack([torch.randperm(n_rows, generator=one) for one in streams])
    shuffled = pools.gather(1, orders)
    size = min(steps.batch_size, n_rows)
    return [
        (start, shuffled[:, start : start + size]) for start in range(0, n_rows - size + 1, size)
    ]


def set_rate(optimiser: torch.optim.AdamW, steps: Steps, epochs_done: float) -> None:
    """A cosine from the first rate to 0."""
    for group in optimiser.param_groups:
        group["lr"] = steps.learning_rate * remaining("cosine", epochs_done / steps.epochs)


def mean_losses(logits: Tensor, y: Tensor) -> Tensor:
    """The mean cross-entropy (m,) of logits (m, b, c) for classes y (m, b)."""
    losses = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
    return losses.view(y.shape).mean(1)
