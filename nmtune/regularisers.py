"""The home of the three terms' arithmetic: each value with its exact gradient, in float64.

`losses` says what the terms mean. A term's gradient is that of `weight` times the term, which
costs nothing here and a pass over (b, d) afterwards.
"""

import math
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

# A Gram matrix knows a singular value s to about eps * (s_1 / s)^2, so down to this fraction of
# s_1 the float64 Gram is good to 1e-7; below it the singular values are taken from a QR of Z.
_TRUSTED_FRACTION = 1e-4
# A Z within these bounds keeps its fourth powers, and sums of them, within float64.
_SAFE_MAGNITUDES = (1e-60, 1e60)


class Term(NamedTuple):
    """A term's value, a scalar, and its weight times its gradient in Z (b, d); both float64."""

    value: Tensor
    gradient: Tensor


class Batch:
    """Z (b, d) in float64 and what the terms share of it, each worked out once.

    `rows` is Z, or Z / `scale` where its largest entry is extreme: the division keeps fourth
    powers within range; float32 never needs it. An all-zero Z has scale 0.
    """

    def __init__(self, z: Tensor) -> None:
        self.z = z.detach()
        self.rows = self.z.to(torch.float64)
        self.is_wide = z.shape[0] <= z.shape[1]
        largest = float(self.z.abs().amax())
        low, high = _SAFE_MAGNITUDES
        self.scale = 1.0 if low < largest < high else largest
        if largest < _smallest_normal(z):
            self.rows, self.scale = torch.zeros_like(self.rows), 0.0
        elif self.scale != 1:
            self.rows = self.rows / self.scale

    @cached_property
    def mean(self) -> Tensor:
        return self.rows.mean(0)

    @cached_property
    def centred(self) -> Tensor:
        return self.rows - self.mean

    @cached_property
    def centred_gram(self) -> Tensor:
        """Of the smaller side."""
        centred = self.centred
        return centred @ centred.T if self.is_wide else centred.T @ centred

    @cached_property
    def gram(self) -> Tensor:
        """Of the rows: adding the mean back loses nothing; centring a Gram would cancel."""
        mean = self.mean
        if not self.is_wide:
            return self.centred_gram + len(self.rows) * torch.outer(mean, mean)
        along_mean = self.centred @ mean
        return self.centred_gram + along_mean[:, None] + along_mean + mean @ mean


def consistency(batch: Batch, f: Tensor, *, divisor: int, weight: float = 1.0) -> Term:
    """Sum over rows of || z_i/||z_i|| - f_i/||f_i|| ||^2, divided."""
    unit_z, inverse_length = _unit_rows(batch.z)
    unit_f, _ = _unit_rows(f.detach())
    difference = unit_z - unit_f
    value = difference.square().sum() / divisor
    # A row's direction does not change along the row itself, so that part of the gradient goes.
    along = torch.linalg.vecdot(unit_z, difference)[:, None]
    gradient = difference.addcmul_(unit_z, along, value=-1)
    return Term(value, gradient.mul_(inverse_length * (2 * weight / divisor)))


def covariance(batch: Batch, *, weight: float = 1.0) -> Term:
    """(1/d) * sum over i != j of C(Z)_ij^2 from the Gram matrix of the column-centred Z."""
    centred, gram, scale = batch.centred, batch.centred_gram, batch.scale
    n_rows, n_columns = centred.shape
    divisor = n_columns * max(n_rows - 1, 1) ** 2
    factor = 4 * weight / divisor
    if batch.is_wide:
        # ||Zc^T Zc|| = ||Zc Zc^T||: the d x d matrix is never built, only its diagonal.
        diagonal = torch.linalg.vecdot(centred, centred, dim=0)
        squares = gram.square().sum() - diagonal.square().sum()
        gradient = (factor * gram @ centred).addcmul_(centred, diagonal, value=-factor)
    else:
        off_diagonal = gram - torch.diag(gram.diagonal())
        squares = off_diagonal.square().sum()
        gradient = centred @ (factor * off_diagonal)
    # The wide form is a difference, which rounding can push below zero.
    value = squares.clamp_min(0) / divisor
    if scale != 1:
        # One factor at a time: the fourth power may leave float64 and turn an exact 0 into NaN.
        value = value * scale * scale * scale * scale
        gradient = gradient * scale * scale * scale
    return Term(value, gradient)


def dominant(batch: Batch, *, k: int, weight: float = 1.0) -> Term:
    """-(1/k) * sum_{i<=k} s_i / sum_j s_j; needs only d s_i / d Z = u_i v_i^T.

    With s and the eigenvectors U of Z Z^T, sum_i w_i u_i v_i^T = U diag(w / s) U^T Z (or the same
    with V from the right), so no difference of singular values is ever divided by.
    """
    rows, scale = batch.rows, batch.scale
    if scale == 0 or not math.isfinite(scale):
        blank = rows.sum() * scale
        return Term(blank, blank.expand_as(rows))
    values, vectors = _singular_values(batch)
    total = values.sum()
    largest, rest = values[:k].sum(), values[k:].sum()
    weights = (largest / (k * total * total)).repeat(len(values))
    weights[:k] = -rest / (k * total * total)
    # v_i = Z^T u_i / s_i is noise where s_i is; leaving it out is a valid subgradient there.
    is_zero = values <= values[0] * max(rows.shape) * torch.finfo(values.dtype).eps
    ratios = (weights / values.masked_fill(is_zero, 1.0)).masked_fill(is_zero, 0.0)
    matrix = (vectors * (ratios * (weight / scale))) @ vectors.T
    gradient = matrix @ rows if batch.is_wide else rows @ matrix
    return Term(-largest / (k * total), gradient)


def _unit_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of x scaled to length 1, and 1 / their lengths; both zero for a zero row."""
    rows = x.to(torch.float64)
    if x.dtype == torch.float64:  # the squares of a narrower type cannot leave float64's range
        largest = rows.abs().amax(1, keepdim=True)
        largest = largest.masked_fill(largest < _smallest_normal(x), 1.0)
        rows = rows / largest
    length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    inverse_length = (1 / length).masked_fill(length < _smallest_normal(x), 0.0)
    unit = rows * inverse_length
    return unit, inverse_length / largest if x.dtype == torch.float64 else inverse_length


def _smallest_normal(x: Tensor) -> float:
    return torch.finfo(x.dtype if x.dtype == torch.float64 else torch.float32).tiny


def _singular_values(batch: Batch) -> tuple[Tensor, Tensor]:
    """Singular values, largest first, and the singular vectors of the smaller side as columns."""
    eigenvalues, vectors = torch.linalg.eigh(batch.gram)  # smallest first
    if eigenvalues[0] > _TRUSTED_FRACTION**2 * eigenvalues[-1]:
        return eigenvalues.flip(0).sqrt(), vectors.flip(1)
    tall = batch.rows.T if batch.is_wide else batch.rows
    _, triangle = torch.linalg.qr(tall, mode="r")
    _, values, right = torch.linalg.svd(triangle)
    return values, right.T
