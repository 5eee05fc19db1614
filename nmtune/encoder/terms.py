"""NMTune's terms on a batch's pooled vectors: what they add to the cross-entropy's gradient."""

import torch
from torch import Tensor

from nmtune.encoder.config import LoraConfig
from nmtune.losses import shares, terms
from nmtune.losses.shares import SharedTerm


def added(
    config: LoraConfig, pooled: Tensor, frozen: Tensor, gradient: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """The gradient in the pooled vectors with the terms' part, and the terms' values.

    pooled, frozen: (b, d), with and without the adapter. gradient: (b, d), of the cross-entropy.
    """
    values = dict.fromkeys(("consistency", "covariance", "dominant"), 0.0)
    if not config.is_regularised:
        return gradient, values
    z = pooled.detach()
    parts: list[Tensor] = []
    for name, weight in (
        ("consistency", config.w_consistency),
        ("covariance", config.w_covariance),
        ("dominant", config.w_dominant),
    ):
        if not weight:
            continue
        if config.terms == "published":
            value, part = _published(name, z, frozen, k=config.k, weight=weight)
        else:
            value, part = _shared(name, z, frozen, gradient, k=config.k, share=weight)
        values[name] = float(value)
        parts.append(part)
    return torch.stack([gradient, *parts]).sum(0), values


def _published(
    name: str, z: Tensor, frozen: Tensor, *, k: int, weight: float
) -> tuple[Tensor, Tensor]:
    batch = terms.Batch(z)
    if name == "consistency":
        found = terms.consistency(batch, frozen, divisor=len(z), weight=weight)
    elif name == "covariance":
        found = terms.covariance(batch, weight=weight)
    else:
        # The authors' mean over the first k shares, which is what `dominant` is.
        found = terms.dominant(batch, k=k, weight=weight)
    return found.value, found.gradient.to(z.dtype)


def _shared(
    name: str, z: Tensor, frozen: Tensor, gradient: Tensor, *, k: int, share: float
) -> tuple[Tensor, Tensor]:
    learns = torch.ones(1, len(z), dtype=torch.bool, device=z.device)
    if name == "consistency":
        found = shares.directions(z[None], frozen, learns)
    elif name == "covariance":
        found = shares.correlation(z[None], learns)
    else:
        exact = terms.dominant(terms.Batch(z), k=k)
        of_z = exact.gradient.to(z.dtype)[None]
        length = torch.linalg.vector_norm(of_z, dim=(1, 2), keepdim=True)
        found = SharedTerm(exact.value.to(z.dtype), of_z, length)
    return found.value, shares.pull(gradient[None], found, share)[0]
