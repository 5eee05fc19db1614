r"""Two of NMTune's terms in a form that carries over from encoder to encoder, for many members.

The published terms depend on the scale of the embeddings: the covariance grows with its fourth
power. Here the covariance is that of columns of unit variance, so a correlation, and what weighs a
term is the length of its gradient in Z, stated as a share of that of the cross-entropy's. Every
function takes the K members' tuned embeddings Z (K, b, d) of one batch, and `learns` (K, b), the
rows that a member learns from: the others have no part in its terms.
"""

from typing import NamedTuple

import torch
from torch import Tensor

_LEAST = 1e-12


class SharedTerm(NamedTuple):
    """A term's value by member (K,), its gradient in Z, and that one's full length (K, 1, 1)."""

    value: Tensor
    gradient: Tensor
    full_length: Tensor


def correlation(z: Tensor, learns: Tensor) -> SharedTerm:
    r"""How correlated the columns of Z (K, b, d) are: :math:`(1/d) \sum_{i \ne j} R_{ij}^2`.

    R is the correlation matrix over the rows that a member learns from. A column that does not vary
    is correlated with none. The gradient's full length is its own.
    """
    kept = learns[..., None].to(z.dtype)
    n_rows = kept.sum(1, keepdim=True).clamp_min(1)
    n_columns = z.shape[-1]
    centred = (z - (z * kept).sum(1, keepdim=True) / n_rows) * kept
    deviation = (centred.square().sum(1, keepdim=True) / n_rows).sqrt()
    inverse = torch.where(deviation > _LEAST**0.5, 1 / deviation, 0.0)
    unit = centred * inverse
    gram = unit @ unit.mT
    diagonal = unit.square().sum(1) / n_rows[..., 0]
    off_diagonal = gram.square().sum((1, 2)) / n_rows[:, 0, 0] ** 2 - diagonal.square().sum(1)
    gradient = torch.baddbmm(unit, gram, unit, beta=0) * (4 / (n_columns * n_rows**2))
    # Through mean and deviation: what shifts or stretches a column changes no correlation.
    along = (gradient * unit).sum(1, keepdim=True) / n_rows
    gradient = gradient - gradient.sum(1, keepdim=True) / n_rows - unit * along
    gradient = gradient * kept * inverse
    return SharedTerm(off_diagonal / n_columns, gradient, _length(gradient))


def directions(z: Tensor, f: Tensor, learns: Tensor) -> SharedTerm:
    r"""How far rows of Z (K, b, d) turned away from those of F (b, d), as `consistency_loss`.

    The gradient's full length is the one that it has where every row is at a right angle, so that
    the term does not pull where nothing has turned.
    """
    kept = learns[..., None].to(z.dtype)
    n_rows = kept.sum(1, keepdim=True).clamp_min(1)
    f_length = torch.linalg.vector_norm(f, dim=-1, keepdim=True)
    unit_f = f / f_length.clamp_min(_LEAST)
    z_length = torch.linalg.vecdot(z, z)[..., None].sqrt()
    has_direction = kept * (z_length > _LEAST) * (f_length > _LEAST)
    inverse = has_direction / z_length.clamp_min(_LEAST)
    # Few passes over (K, b, d): what follows is one number per row.
    cosine = torch.linalg.vecdot(z, unit_f)[..., None] * inverse
    value = (2 * (has_direction - cosine)).sum(1, keepdim=True) / n_rows
    strength = 2 * inverse / n_rows
    gradient = (z * (strength * cosine * inverse)).addcmul_(unit_f, strength, value=-1)
    return SharedTerm(value[:, 0, 0], gradient, _length(strength))


def pull(gradient: Tensor, term: SharedTerm, share: float) -> Tensor:
    """What a term adds to a gradient (K, b, d): at full length, `share` of each member's length."""
    factor = torch.where(term.full_length > 0, _length(gradient) / term.full_length, 0.0)
    return term.gradient * (share * factor)


def _length(gradient: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(gradient, dim=(1, 2), keepdim=True)
    return length
