"""The home of the objective: cross-entropy and the three terms that reshape the tuned embeddings.

Source: "Impact of Noisy Supervision in Foundation Model Learning" (arXiv 2403.06869), section 3.

Every term is worked out in float64 whatever the input's precision, together with its exact
gradient, and comes back in the precision of Z (at least float32). The device is Z's. Gradients
are first order: a second derivative raises. A finite Z never gives NaN; the covariance grows with
the fourth power of Z, so it alone can exceed float32 (and is then inf). A Z that already holds NaN
or inf gives a NaN loss, not an exception from an eigen-solver: check the total before stepping.
"""

from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nmtune import regularisers
from nmtune.errors import ConfigError, DataError
from nmtune.regularisers import Batch, Term


class NMTuneLoss(NamedTuple):
    """The objective of one batch and its parts, all scalar tensors.

    A term whose weight is zero is not part of the objective, is not computed and reads 0.

    Attributes
    ----------
    total
        What to differentiate: `cross_entropy` plus the weighted terms.
    cross_entropy, consistency, covariance, dominant
        The parts before weighting, detached.
    """

    total: Tensor
    cross_entropy: Tensor
    consistency: Tensor
    covariance: Tensor
    dominant: Tensor


def consistency_loss(z: Tensor, f: Tensor, *, mean_over_dimensions: bool = False) -> Tensor:
    """L_MSE: how far the directions of the tuned embeddings Z are from those of the frozen F.

    The mean over rows of || f_i/||f_i|| - z_i/||z_i|| ||^2, between 0 and 4. A zero row (no entry
    as
    large as the smallest normal number of its precision) normalises to zero and, in Z, has zero
    gradient.

    Parameters
    ----------
    z
        Tuned embeddings (b, d).
    f
        Frozen embeddings (b, d): a constant, no gradient flows to it.
    mean_over_dimensions
        Divide by d too, as the authors' code does.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    DataError
        The shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> f = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> consistency_loss(3 * f, f).item(), consistency_loss(-f, f).item()
    (0.0, 4.0)
    """
    _check(z)
    _check_same_shape(z, f)
    return differentiable(z, *_consistency(Batch(z), f, mean_over_dimensions=mean_over_dimensions))


def covariance_loss(z: Tensor) -> Tensor:
    """L_COV: how correlated the dimensions of Z are, (1/d) * sum over i != j of C(Z)_ij^2.

    C = Zc^T Zc / (b - 1), Zc the column-centred Z. Not negative; 0 for a single row (its covariance
    is
    taken as 0) and for a single column.

    Parameters
    ----------
    z
        Tuned embeddings (b, d).

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    DataError
        z is not 2-D or is empty.

    Examples
    --------
    >>> import torch
    >>> covariance_loss(torch.tensor([[1.0, 1.0], [-1.0, -1.0]])).item()
    4.0
    >>> covariance_loss(torch.tensor([[1.0, 1.0], [1.0, -1.0]])).item()
    0.0
    """
    _check(z)
    return differentiable(z, *regularisers.covariance(Batch(z)))


def dominant_singular_value_loss(z: Tensor, k: int = 1) -> Tensor:
    """L_SVD: minus the share of the k largest singular values of Z, in [-1/k, 0].

    -(1/k) * sum_{i<=k} s_i / sum_j s_j, Z neither centred nor normalised. Where Z has fewer than k
    singular values the missing ones are zero: the loss is then the constant -1/k. It is 0 for an
    all-zero Z (no entry as large as the smallest normal number of its precision).

    Where the derivative is not unique, the gradient is a valid choice: singular values that are
    zero to
    float64 rounding contribute nothing, a tie across the k-th place is cut.

    Parameters
    ----------
    z
        Tuned embeddings (b, d).
    k
        At least 1.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    DataError
        z is not 2-D or is empty.
    ConfigError
        k is out of its bounds.

    Examples
    --------
    >>> import torch
    >>> round(dominant_singular_value_loss(torch.diag(torch.tensor([3.0, 1.0]))).item(), 6)
    -0.75
    """
    _check(z)
    _check_k(k)
    return differentiable(z, *regularisers.dominant(Batch(z), k=k))


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

    A weight of 0 leaves its term out.

    Parameters
    ----------
    logits
        (b, c).
    y
        Class indices (b,).
    z, f
        Tuned and frozen embeddings (b, d).
    w_consistency, w_covariance, w_dominant
        The weights.
    k
        How many leading singular values L_SVD rewards.
    mean_over_dimensions
        Divide L_MSE by d too.
    weight
        (b,) how much each row's cross-entropy counts; None where all count 1.

    Returns
    -------
    NMTuneLoss

    Raises
    ------
    DataError
        z or f has the wrong shape.
    ConfigError
        k is out of its bounds.

    Examples
    --------
    >>> import torch
    >>> f = torch.eye(2)
    >>> loss = nmtune_loss(
    ...     torch.zeros(2, 2), torch.tensor([0, 1]), f, f, w_consistency=1.0, w_covariance=0.0,
    ...     w_dominant=0.0,
    ... )
    >>> round(loss.total.item(), 4), loss.consistency.item()
    (0.6931, 0.0)
    """
    _check(z)
    _check_k(k)
    # bfloat16 logits, of autocast for one, would give a loss of three digits
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if weight is None:
        cross_entropy = functional.cross_entropy(logits, y)
    else:
        cross_entropy = (functional.cross_entropy(logits, y, reduction="none") * weight).mean()
    weights = {"consistency": w_consistency, "covariance": w_covariance, "dominant": w_dominant}
    terms: dict[str, Term] = {}
    batch = Batch(z) if any(weights.values()) else None
    if batch and w_consistency != 0:
        _check_same_shape(z, f)
        terms["consistency"] = _consistency(
            batch, f, mean_over_dimensions=mean_over_dimensions, weight=w_consistency
        )
    if batch and w_covariance != 0:
        terms["covariance"] = regularisers.covariance(batch, weight=w_covariance)
    if batch and w_dominant != 0:
        terms["dominant"] = regularisers.dominant(batch, k=k, weight=w_dominant)
    total = cross_entropy
    if terms:
        # One node of autograd for all: each would cost passes over (b, d) of its own.
        value = reduce(torch.add, (weights[name] * term.value for name, term in terms.items()))
        gradient = reduce(torch.add, (term.gradient for term in terms.values()))
        total = total + differentiable(z, value, gradient)
    cross_entropy = cross_entropy.detach()
    zero = torch.zeros_like(cross_entropy)
    parts = (terms[name].value.to(zero.dtype) if name in terms else zero for name in weights)
    return NMTuneLoss(total, cross_entropy, *parts)


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


def differentiable(z: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
    """The scalar `value` as a function of Z that has this gradient."""
    loss: Tensor = _KnownGradient.apply(  # type: ignore[no-untyped-call]  # torch has no types here
        z, value, gradient
    )
    return loss


def _consistency(
    batch: Batch, f: Tensor, *, mean_over_dimensions: bool, weight: float = 1.0
) -> Term:
    n_rows, n_columns = batch.z.shape
    divisor = n_rows * n_columns if mean_over_dimensions else n_rows
    return regularisers.consistency(batch, f, divisor=divisor, weight=weight)


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
