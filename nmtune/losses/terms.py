"""The arithmetic of the three terms: each value with its exact gradient, in float64.

`objective` says what the terms mean. A term's gradient already includes its weight, which is free
here and would cost a pass over (b, d) later. Z may be a stack of h batches, (h, b, d): then a value
is (h,), and a weight may be (h, 1, 1).
"""

import math
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from nmtune.numeric.eigh import eigh

# A Gram matrix knows a singular value s to about eps * (s_1 / s)^2, so down to this fraction of
# s_1 the float64 Gram is good to 1e-7; below it the singular values are taken from a QR of Z.
_TRUSTED_FRACTION = 1e-4
# A float32 Z is itself rounded at this fraction of s_1. A stack stops here: it is made for GPUs,
# where a QR takes longer than the rest of the step.
_ROUNDING_FRACTION = torch.finfo(torch.float32).eps
# Fourth powers of a Z within these bounds, and their sums, stay within float64.
_SAFE_MAGNITUDES = (1e-60, 1e60)


Weight = float | Tensor


class Term(NamedTuple):
    """A term's value, one per batch, and its gradient in Z times its weight; both float64."""

    value: Tensor
    gradient: Tensor


class Batch:
    """Z (b, d), or (h, b, d) of float32, in float64, and what the terms share, computed once.

    `rows` is Z, or Z / `scale` if its largest entry is extreme: the division keeps fourth powers
    within range, and float32 never needs it. An all-zero Z has scale 0. In a stack, entries that
    are not finite count as 0, so that the other batches can go on.
    """

    def __init__(self, z: Tensor) -> None:
        self.is_stack = z.ndim == 3
        self.z = z.detach().nan_to_num(0, 0, 0) if self.is_stack else z.detach()
        self.rows = self.z.to(torch.float64)
        self.is_wide = z.shape[-2] <= z.shape[-1]
        self.scale = 1.0
        if self.is_stack:
            return  # a look at the entries would make a GPU wait, and float32 is safe
        largest = float(self.z.abs().amax())
        low, high = _SAFE_MAGNITUDES
        if not low < largest < high:
            self.scale = largest
        if largest < _smallest_normal(z):
            self.rows, self.scale = torch.zeros_like(self.rows), 0.0
        elif self.scale != 1:
            self.rows = self.rows / self.scale

    @cached_property
    def mean(self) -> Tensor:
        return self.rows.mean(-2, keepdim=True)

    @cached_property
    def centred(self) -> Tensor:
        return self.rows - self.mean

    @cached_property
    def centred_gram(self) -> Tensor:
        """The centred Gram matrix of the smaller side."""
        centred = self.centred
        return centred @ centred.mT if self.is_wide else centred.mT @ centred

    @cached_property
    def gram(self) -> Tensor:
        """The Gram matrix of the rows: adding the mean back is exact, centring a Gram is not."""
        mean = self.mean
        if not self.is_wide:
            return self.centred_gram + self.rows.shape[-2] * (mean.mT @ mean)
        along_mean = self.centred @ mean.mT
        return self.centred_gram + along_mean + along_mean.mT + mean @ mean.mT

    @cached_property
    def singular(self) -> tuple[Tensor, Tensor]:
        """Singular values (r), largest first, and vectors of the smaller side as columns (r, r)."""
        eigenvalues, vectors = eigh(self.gram)  # smallest first
        if self.is_stack or eigenvalues[0] > _TRUSTED_FRACTION**2 * eigenvalues[-1]:
            return eigenvalues.flip(-1).clamp_min(0).sqrt(), vectors.flip(-1)
        tall = self.rows.T if self.is_wide else self.rows
        _, triangle = torch.linalg.qr(tall, mode="r")
        _, values, right = torch.linalg.svd(triangle)
        return values, right.T


def consistency(batch: Batch, f: Tensor, *, divisor: int, weight: Weight = 1.0) -> Term:
    """Sum over rows of || z_i/||z_i|| - f_i/||f_i|| ||^2, over `divisor`."""
    unit_z, inverse_length = _unit_rows(batch.z)
    unit_f, _ = _unit_rows(f.detach())
    difference = unit_z - unit_f
    value = difference.square().sum((-2, -1)) / divisor
    # A row's direction does not change along the row itself, so that part of the gradient is 0.
    along = torch.linalg.vecdot(unit_z, difference)[..., None]
    gradient = difference.addcmul_(unit_z, along, value=-1)
    return Term(value, gradient.mul_(inverse_length * (2 * weight / divisor)))


def covariance(batch: Batch, *, weight: Weight = 1.0) -> Term:
    """(1/d) * sum over i != j of C(Z)_ij^2 from the Gram matrix of the column-centred Z."""
    centred, gram, scale = batch.centred, batch.centred_gram, batch.scale
    n_rows, n_columns = centred.shape[-2:]
    divisor = n_columns * max(n_rows - 1, 1) ** 2
    factor = 4 * weight / divisor
    if batch.is_wide:
        # ||Zc^T Zc|| = ||Zc Zc^T||: the d x d matrix is never built, only its diagonal.
        diagonal = torch.linalg.vecdot(centred, centred, dim=-2)[..., None, :]
        squares = gram.square().sum((-2, -1)) - diagonal.square().sum((-2, -1))
        gradient = (factor * gram @ centred).addcmul_(centred, diagonal * factor, value=-1)
    else:
        off_diagonal = gram - torch.diag_embed(gram.diagonal(dim1=-2, dim2=-1))
        squares = off_diagonal.square().sum((-2, -1))
        gradient = centred @ (factor * off_diagonal)
    # The wide form is a difference, which rounding can push below zero.
    value = squares.clamp_min(0) / divisor
    if scale != 1:
        # One factor at a time: the fourth power may leave float64 and turn an exact 0 into NaN.
        value = value * scale * scale * scale * scale
        gradient = gradient * scale * scale * scale
    return Term(value, gradient)


def dominant(batch: Batch, *, k: int, weight: Weight = 1.0) -> Term:
    """-(1/k) * sum_{i<=k} s_i / sum_j s_j; needs only d s_i / d Z = u_i v_i^T.

    With s and the eigenvectors U of Z Z^T, sum_i w_i u_i v_i^T = U diag(w / s) U^T Z (or the same
    with V from the right), so no difference of singular values is ever divided by.
    """
    rows, scale = batch.rows, batch.scale
    if scale == 0 or not math.isfinite(scale):
        blank = rows.sum((-2, -1)) * scale
        return Term(blank, blank[..., None, None].expand_as(rows))
    values, vectors = batch.singular
    total = values.sum(-1, keepdim=True)
    total = total.masked_fill(total == 0, 1.0)  # an all-zero batch of a stack
    largest, rest = (part.sum(-1, keepdim=True) for part in (values[..., :k], values[..., k:]))
    weights = (largest / (k * total * total)).expand_as(values).clone()
    weights[..., :k] = -rest / (k * total * total)
    # v_i = Z^T u_i / s_i is noise if s_i is; leaving it out is a valid subgradient then.
    exact = max(rows.shape[-2:]) * torch.finfo(torch.float64).eps
    is_zero = values <= values[..., :1] * (_ROUNDING_FRACTION if batch.is_stack else exact)
    ratios = (weights / values.masked_fill(is_zero, 1.0)).masked_fill(is_zero, 0.0)
    matrix = (vectors * (ratios[..., None, :] * (weight / scale))) @ vectors.mT
    gradient = matrix @ rows if batch.is_wide else rows @ matrix
    return Term(-(largest / (k * total)).squeeze(-1), gradient)


def _unit_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of x scaled to length 1, and 1 / their lengths; both zero for a zero row."""
    rows = x.to(torch.float64)
    if x.dtype == torch.float64:  # the squares of a narrower type cannot leave float64's range
        largest = rows.abs().amax(-1, keepdim=True)
        largest = largest.masked_fill(largest < _smallest_normal(x), 1.0)
        rows = rows / largest
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    inverse_length = (1 / length).masked_fill(length < _smallest_normal(x), 0.0)
    unit = rows * inverse_length
    return unit, inverse_length / largest if x.dtype == torch.float64 else inverse_length


def _smallest_normal(x: Tensor) -> float:
    return torch.finfo(x.dtype if x.dtype == torch.float64 else torch.float32).tiny
