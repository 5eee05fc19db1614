"""The home of the objective: cross-entropy and the three terms that reshape the tuned embeddings.

Source: "Impact of Noisy Supervision in Foundation Model Learning" (arXiv 2403.06869), section 3.

Every term is worked out in float64 whatever the input's precision, together with its exact
gradient, and comes back in the precision of Z (at least float32). The device is Z's. Gradients
are first order: a second derivative raises. A finite Z never gives NaN; the covariance grows with
the fourth power of Z, so it alone can exceed float32 (and is then inf). A Z that already holds NaN
or inf gives a NaN loss, not an exception from an eigen-solver: check the total before stepping.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nmtune.errors import ConfigError, DataError

# A Gram matrix knows a singular value s to about eps * (s_1 / s)^2, so down to this fraction of
# s_1 the float64 Gram is good to 1e-7; below it the singular values are taken from a QR of Z.
_TRUSTED_FRACTION = 1e-4
# A Z within these bounds keeps its fourth powers, and sums of them, within float64.
_SAFE_MAGNITUDES = (1e-60, 1e60)


class NMTuneLoss(NamedTuple):
    """The objective of one batch and its parts, all scalar tensors.

    total: what to differentiate, `cross_entropy` plus the weighted terms.
    cross_entropy, consistency, covariance, dominant: the parts before weighting, detached. A term
    whose weight is zero is not part of the objective, is not computed and reads 0.
    """

    total: Tensor
    cross_entropy: Tensor
    consistency: Tensor
    covariance: Tensor
    dominant: Tensor


def consistency_loss(z: Tensor, f: Tensor, *, mean_over_dimensions: bool = False) -> Tensor:
    """L_MSE: how far the directions of the tuned embeddings Z are from those of the frozen F.

    Mean over rows of || f_i/||f_i|| - z_i/||z_i|| ||^2, between 0 and 4. With
    `mean_over_dimensions` it is divided by d too, as the authors' code does.

    z, f: (b, d). F is a constant: no gradient flows to it. A zero row (no entry as large as the
    smallest normal number of its precision) normalises to zero and, in Z, has zero gradient.
    Raises DataError where the shapes do not fit.
    """
    _check(z)
    _check_same_shape(z, f)
    return _differentiable(z, _consistency(z, f, mean_over_dimensions=mean_over_dimensions))


def covariance_loss(z: Tensor) -> Tensor:
    """L_COV: how correlated the dimensions of Z are, (1/d) * sum over i != j of C(Z)_ij^2.

    C = Zc^T Zc / (b - 1), Zc the column-centred Z. Not negative; 0 for a single row (its
    covariance is taken as 0) and for a single column.

    z: (b, d). Raises DataError where it is not 2-D or is empty.
    """
    _check(z)
    rows, scale = _scaled(z)
    centred = rows - rows.mean(0)
    return _differentiable(z, _covariance(centred, _gram(centred), scale=scale))


def dominant_singular_value_loss(z: Tensor, k: int = 1) -> Tensor:
    """L_SVD: minus the share of the k largest singular values of Z, in [-1/k, 0].

    -(1/k) * sum_{i<=k} s_i / sum_j s_j, Z neither centred nor normalised. Where Z has fewer than
    k singular values the missing ones are zero: the loss is then the constant -1/k. It is 0 for
    an all-zero Z (no entry as large as the smallest normal number of its precision).

    Where the derivative is not unique, the gradient is a valid choice: singular values that are
    zero to float64 rounding contribute nothing, a tie across the k-th place is cut.

    z: (b, d); k: at least 1. Raises DataError where z is not 2-D or is empty, ConfigError for k.
    """
    _check(z)
    _check_k(k)
    rows, scale = _scaled(z)
    return _differentiable(z, _dominant(rows, _gram(rows), k=k, scale=scale))


def nmtune_loss(
    logits: Tensor,
    y: Tensor,
    z: Tensor,
    f: Tensor,
    *,
    w_consistency: float,
    w_covariance: float,
    w_dominant: float,
    k: int = 1,
    mean_over_dimensions: bool = False,
    weight: Tensor | None = None,
) -> NMTuneLoss:
    """The NMTune objective: CE + w_consistency * L_MSE + w_covariance * L_COV + w_dominant * L_SVD.

    logits: (b, c); y: (b,) class indices; z: (b, d) tuned and f: (b, d) frozen embeddings.
    weight: (b,) how much each row's cross-entropy counts, None where all count 1.
    A weight of 0 leaves its term out (see NMTuneLoss). Raises DataError where z or f has the
    wrong shape, ConfigError for k.
    """
    _check(z)
    _check_k(k)
    if weight is None:
        cross_entropy = functional.cross_entropy(logits, y)
    else:
        cross_entropy = (functional.cross_entropy(logits, y, reduction="none") * weight).mean()
    consistency = covariance = dominant = torch.zeros_like(cross_entropy, requires_grad=False)
    if w_consistency != 0:
        consistency = consistency_loss(z, f, mean_over_dimensions=mean_over_dimensions)
    if w_covariance != 0 and w_dominant != 0:
        covariance, dominant = _covariance_and_dominant(z, k=k)
    elif w_covariance != 0:
        covariance = covariance_loss(z)
    elif w_dominant != 0:
        dominant = dominant_singular_value_loss(z, k)
    total = cross_entropy + w_consistency * consistency
    total = total + w_covariance * covariance + w_dominant * dominant
    parts = (cross_entropy, consistency, covariance, dominant)
    return NMTuneLoss(total, *(part.detach() for part in parts))


class _Term(NamedTuple):
    """A term's value and its gradient in Z, both float64."""

    value: Tensor
    gradient: Tensor


class _KnownGradient(torch.autograd.Function):
    """A scalar function of Z whose gradient was worked out together with its value."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient.to(z.dtype))
        return value.to(torch.promote_types(z.dtype, torch.float32), copy=True)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return (grad_outputs[0] * gradient).to(gradient.dtype), None, None


def _differentiable(z: Tensor, term: _Term) -> Tensor:
    loss: Tensor = _KnownGradient.apply(  # type: ignore[no-untyped-call]  # torch has no types here
        z, term.value, term.gradient
    )
    return loss


def _consistency(z: Tensor, f: Tensor, *, mean_over_dimensions: bool) -> _Term:
    unit_z, inverse_length = _unit_rows(z)
    unit_f, _ = _unit_rows(f)
    n_rows, n_columns = z.shape
    divisor = n_rows * n_columns if mean_over_dimensions else n_rows
    difference = unit_z - unit_f
    value = difference.square().sum() / divisor
    # A row's direction does not change along the row itself, so that part of the gradient goes.
    along = (unit_z * difference).sum(1, keepdim=True)
    gradient = difference.addcmul_(unit_z, along, value=-1).mul_(inverse_length * (2 / divisor))
    return _Term(value, gradient)


def _unit_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of x scaled to length 1, and 1 / their lengths; both zero for a zero row."""
    rows = x.detach().to(torch.float64)
    largest = torch.linalg.vector_norm(rows, ord=math.inf, dim=1, keepdim=True)
    is_zero = largest < _smallest_normal(x)
    largest = largest.masked_fill(is_zero, 1.0)
    if x.dtype == torch.float64:  # the squares of a narrower type cannot leave float64's range
        rows = rows / largest
    else:
        largest = torch.ones_like(largest)
    length = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    inverse_length = (1 / length.masked_fill(is_zero, 1.0)).masked_fill(is_zero, 0.0)
    return rows * inverse_length, inverse_length / largest


def _covariance_and_dominant(z: Tensor, *, k: int) -> tuple[Tensor, Tensor]:
    """Both losses from one Gram matrix."""
    rows, scale = _scaled(z)
    mean = rows.mean(0)
    centred = rows - mean
    centred_gram = _gram(centred)
    # Adding the mean back loses nothing; centring the Gram of Z instead would cancel.
    if _is_wide(rows):
        along_mean = centred @ mean
        gram = centred_gram + along_mean[:, None] + along_mean[None, :] + mean @ mean
    else:
        gram = centred_gram + rows.shape[0] * torch.outer(mean, mean)
    covariance = _covariance(centred, centred_gram, scale=scale)
    dominant = _dominant(rows, gram, k=k, scale=scale)
    return _differentiable(z, covariance), _differentiable(z, dominant)


def _scaled(z: Tensor) -> tuple[Tensor, float]:
    """Z in float64 and 1, or Z divided by its largest entry and that entry where it is extreme.

    The division keeps fourth powers within range; float32 never needs it. An all-zero Z comes
    back with 0.
    """
    rows = z.detach().to(torch.float64)
    largest = float(torch.linalg.vector_norm(rows, ord=math.inf))
    if largest < _smallest_normal(z):
        return torch.zeros_like(rows), 0.0
    low, high = _SAFE_MAGNITUDES
    return (rows, 1.0) if low < largest < high else (rows / largest, largest)


def _covariance(centred: Tensor, gram: Tensor, *, scale: float) -> _Term:
    """The covariance term of scale * Z from the Gram matrix of the column-centred Z."""
    n_rows, n_columns = centred.shape
    if _is_wide(centred):
        # ||Zc^T Zc|| = ||Zc Zc^T||: the d x d matrix is never built, only its diagonal.
        diagonal = centred.square().sum(0)
        squares = gram.square().sum() - diagonal.square().sum()
        gradient = (gram @ centred).addcmul_(centred, diagonal, value=-1)
    else:
        off_diagonal = gram - torch.diag(gram.diagonal())
        squares = off_diagonal.square().sum()
        gradient = centred @ off_diagonal
    divisor = n_columns * max(n_rows - 1, 1) ** 2
    # The wide form is a difference, which rounding can push below zero.
    value = squares.clamp_min(0) / divisor
    gradient *= 4 / divisor
    if scale != 1:
        # One factor at a time: the fourth power may leave float64 and turn an exact 0 into NaN.
        value = value * scale * scale * scale * scale
        gradient = gradient * scale * scale * scale
    return _Term(value, gradient)


def _dominant(rows: Tensor, gram: Tensor, *, k: int, scale: float) -> _Term:
    """The dominant term of scale * Z from the Gram matrix of Z; needs only d s_i / d Z = u_i v_i^T.

    With s and the eigenvectors U of Z Z^T, sum_i w_i u_i v_i^T = U diag(w / s) U^T Z (or the same
    with V from the right), so no difference of singular values is ever divided by.
    """
    if scale == 0 or not math.isfinite(scale):
        blank = rows.sum() * scale
        return _Term(blank, blank.expand_as(rows))
    values, vectors = _singular_values(rows, gram)
    total = values.sum()
    largest, rest = values[:k].sum(), values[k:].sum()
    weights = (largest / (k * total * total)).repeat(len(values))
    weights[:k] = -rest / (k * total * total)
    # v_i = Z^T u_i / s_i is noise where s_i is; leaving it out is a valid subgradient there.
    is_zero = values <= values[0] * max(rows.shape) * torch.finfo(values.dtype).eps
    ratios = (weights / values.masked_fill(is_zero, 1.0)).masked_fill(is_zero, 0.0)
    matrix = (vectors * ratios) @ vectors.T
    gradient = matrix @ rows if _is_wide(rows) else rows @ matrix
    return _Term(-largest / (k * total), gradient if scale == 1 else gradient / scale)


def _singular_values(rows: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """Singular values, largest first, and the singular vectors of the smaller side as columns."""
    eigenvalues, vectors = torch.linalg.eigh(gram)  # smallest first
    if eigenvalues[0] > _TRUSTED_FRACTION**2 * eigenvalues[-1]:
        return eigenvalues.flip(0).sqrt(), vectors.flip(1)
    tall = rows.T if _is_wide(rows) else rows
    _, triangle = torch.linalg.qr(tall, mode="r")
    _, values, right = torch.linalg.svd(triangle)
    return values, right.T


def _gram(rows: Tensor) -> Tensor:
    return rows @ rows.T if _is_wide(rows) else rows.T @ rows


def _is_wide(rows: Tensor) -> bool:
    return rows.shape[0] <= rows.shape[1]


def _smallest_normal(x: Tensor) -> float:
    return torch.finfo(torch.promote_types(x.dtype, torch.float32)).tiny


def _check(z: Tensor) -> None:
    if z.ndim != 2 or z.numel() == 0:
        raise DataError(
            f"z must be (rows, dimensions) with at least one of each, got shape {tuple(z.shape)}",
            field="z",
        )


def _check_same_shape(z: Tensor, f: Tensor) -> None:
    if z.shape != f.shape:
        raise DataError(
            f"f must have the shape of z, {tuple(z.shape)}, got {tuple(f.shape)}", field="f"
        )


def _check_k(k: int) -> None:
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}", field="k")
