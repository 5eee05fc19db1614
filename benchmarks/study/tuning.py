"""Fine-tune encoders side by side: LoRA with or without NMTune's terms, or all weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from benchmarks.study.encoders import Encoder, Weights
from benchmarks.study.pretraining import batches, features, mean_losses, optimiser_of, set_rate
from benchmarks.study.sizes import Steps
from benchmarks.study.task import Rows
from nmtune import TuneConfig
from nmtune.losses import terms as loss_terms
from nmtune.losses.objective import differentiable
from nmtune.losses.terms import Batch
from nmtune.numeric.random_numbers import generator

_STREAM: Final = 1 << 20
"""Of a seed's random numbers: far from the epochs of its pre-training."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How an encoder is fine-tuned: its rank, or all weights if None, and the terms' weights."""

    rank: int | None
    w_covariance: float = 0.0
    w_dominant: float = 0.0
    k: int = 1


def ways(rank: int) -> dict[str, Way]:
    """Method to way. The terms' weights are those of the authors' code, without consistency.

    That is what they do with LoRA: the covariance and dominant terms on pooled features, no MLP.
    """
    published = TuneConfig.from_preset("reference")
    return {
        "lora": Way(rank=rank),
        "lora_nmtune": Way(
            rank=rank,
            w_covariance=published.w_covariance,
            w_dominant=published.w_dominant,
            k=published.k,
        ),
        "full": Way(rank=None),
    }


METHODS: Final = tuple(ways(1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Tuned:
    """m fine-tuned encoders, and classifiers weight (m, d, c) and bias (m, 1, c)."""

    encoder: Encoder
    weights: Weights
    weight: Tensor
    bias: Tensor

    def features(self, x: Tensor) -> Tensor:
        """(m, n, d) of inputs (n, ...)."""
        return features(self.encoder, self.weights, x)

    def predictions(self, seen: Tensor) -> Tensor:
        """(m, n) classes of features (m, n, d)."""
        return torch.baddbmm(self.bias, seen, self.weight).argmax(2)


def tune(
    encoder: Encoder,
    weights: Mapping[str, Tensor],
    rows: Rows,
    *,
    start: tuple[Tensor, Tensor],
    way: Way,
    steps: Steps,
    seeds: Sequence[int],
) -> Tuned:
    """Fine-tune m encoders on the same rows, from the classifiers of solved linear probes.

    start: weight (m, d, c) and bias (m, 1, c) for the encoders' own features. The terms see
    features divided by each model's RMS before fine-tuning, one factor that stays.
    """
    streams = [generator(seed, _STREAM) for seed in seeds]
    own = {name: tensor.clone() for name, tensor in weights.items()}
    factors = None if way.rank is None else _factors(encoder, own, way.rank, streams)
    weight, bias = (one.to(rows.y.device).clone() for one in start)
    learnt = [*own.values()] if factors is None else [t for pair in factors.values() for t in pair]
    seen = features(encoder, own, rows.x)
    scale = seen.square().mean((1, 2), keepdim=True).sqrt()
    optimiser = optimiser_of([*learnt, weight, bias], steps)
    pools = torch.arange(len(rows)).expand(len(seeds), -1)
    for epoch in range(steps.epochs):
        for first, at in batches(pools, streams, steps):
            set_rate(optimiser, steps, epoch + first / len(rows))
            here = at.to(rows.y.device)
            z = encoder.features(_changed(own, factors), rows.x[here])
            loss = mean_losses(torch.baddbmm(bias, z, weight), rows.y[here]).sum()
            loss = loss + _terms(z / scale, way)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
    changed = {name: one.detach() for name, one in _changed(own, factors).items()}
    return Tuned(encoder=encoder, weights=changed, weight=weight.detach(), bias=bias.detach())


Factors = Mapping[str, tuple[Tensor, Tensor]]


def _factors(
    encoder: Encoder, weights: Weights, rank: int, streams: Sequence[torch.Generator]
) -> Factors:
    """A (m, r, in) at random and B (m, out, r) of zeros, for every layer.

    For a convolution `in` are the input channels times its window: A is a convolution with r
    channels, B one of 1 x 1.
    """
    found = {}
    for name in encoder.adapted:
        flat = weights[name].flatten(2)
        n_models, n_out, n_in = flat.shape
        down = torch.stack([torch.randn(rank, n_in, generator=one) for one in streams])
        down = (down / n_in**0.5).to(flat.device)
        found[name] = (down, torch.zeros(n_models, n_out, rank, device=flat.device))
    return found


def _changed(weights: Weights, factors: Factors | None) -> Weights:
    """W + B A for every adapted layer."""
    if factors is None:
        return weights
    changes = {name: (up @ down).view_as(weights[name]) for name, (down, up) in factors.items()}
    return weights | {name: weights[name] + change for name, change in changes.items()}


def _terms(z: Tensor, way: Way) -> Tensor:
    """The sum over models of the weighted terms of z (m, b, d)."""
    batch = Batch(z)
    total, gradient = torch.zeros((), device=z.device), torch.zeros((), device=z.device)
    if way.w_covariance:
        term = loss_terms.covariance(batch, weight=way.w_covariance)
        total, gradient = total + way.w_covariance * term.value.sum(), gradient + term.gradient
    if way.w_dominant:
        term = loss_terms.dominant(batch, k=way.k, weight=way.w_dominant)
        total, gradient = total + way.w_dominant * term.value.sum(), gradient + term.gradient
    return differentiable(z, total, gradient) if gradient.ndim else total
