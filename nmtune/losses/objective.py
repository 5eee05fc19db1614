"""The NMTune objective: cross-entropy and three terms that reshape the tuned embeddings.

Source: "Impact of Noisy Supervision in Foundation Model Learning" (arXiv 2403.06869), section 3.

Every term is computed in float64 whatever the input's precision, together with its exact gradient,
and returned in the precision of Z (at least float32) on Z's device. Gradients are first order: a
second derivative raises. A finite Z never gives NaN; only the covariance, which grows with the
fourth power of Z, can exceed float32 (and is then inf). A Z that holds NaN or inf gives a NaN loss,
not an exception from an eigen-solver: check the total before stepping.
"""

from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nmtune.errors import ConfigError, DataError
from nmtune.losses import terms as loss_terms
from nmtune.losses.terms import Batch, Term


class NMTuneLoss(NamedTuple):
    """The objective of one batch and its parts, all scalar tensors.

    Attributes
    ----------
    total : Tensor
        What to differentiate: `cross_entropy` plus the weighted terms.
    cross_entropy, consistency, covariance, dominant : Tensor
        The parts before weighting, detached. A term of weight 0 is not computed and reads 0.
    """

    total: Tensor
    cross_entropy: Tensor
    consistency: Tensor
    covariance: Tensor
    dominant: Tensor


def consistency_loss(z: Tensor, f: Tensor, *, mean_over_dimensions: bool = False) -> Tensor:
    r"""L_MSE: how far the directions of tuned embeddings Z are from those of the frozen F.

    .. math:: L_{MSE} = \frac{1}{b} \sum_i
       \left\| \frac{f_i}{\|f_i\|} - \frac{z_i}{\|z_i\|} \right\|^2 \in [0, 4]

    Parameters
    ----------
    z : Tensor, shape (b, d)
        Tuned embeddings.
    f : Tensor, shape (b, d)
        Frozen embeddings, a constant: no gradient flows to them.
    mean_over_dimensions : bool, default=False
        Divide by d too, as the authors' code does.

    Returns
    -------
    Tensor
        A scalar. A zero row (no entry as large as the smallest normal number of its precision)
        normalises to zero and, in Z, has zero gradient.

    Raises
    ------
    DataError
        The shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> from nmtune import consistency_loss
    >>> f = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> consistency_loss(2 * f, f).item(), consistency_loss(-f, f).item()
    (0.0, 4.0)
    """
    _check(z)
    _check_same_shape(z, f)
    return differentiable(z, *_consistency(Batch(z), f, mean_over_dimensions=mean_over_dimensions))


def covariance_loss(z: Tensor) -> Tensor:
    r"""L_COV: how correlated the dimensions of Z are.

    .. math:: L_{COV} = \frac{1}{d} \sum_{i \ne j} C(Z)_{ij}^2, \qquad
       C(Z) = \frac{1}{b - 1} Z_c^T Z_c,

    with Z_c the column-centred Z.

    Parameters
    ----------
    z : Tensor, shape (b, d)
        Tuned embeddings.

    Returns
    -------
    Tensor
        A scalar, not negative; 0 for a single row or a single column.

    Raises
    ------
    DataError
        z is not two-dimensional, or is empty.

    Examples
    --------
    >>> import torch
    >>> from nmtune import covariance_loss
    >>> covariance_loss(torch.tensor([[1.0, 1.0], [-1.0, -1.0]])).item()
    4.0
    """
    _check(z)
    return differentiable(z, *loss_terms.covariance(Batch(z)))


def dominant_singular_value_loss(z: Tensor, k: int = 1) -> Tensor:
    r"""L_SVD: minus the share of the k largest singular values of Z.

    .. math:: L_{SVD} = -\frac{1}{k} \frac{\sum_{i \le k} s_i}{\sum_j s_j} \in [-1/k, 0],

    with Z neither centred nor normalised.

    Parameters
    ----------
    z : Tensor, shape (b, d)
        Tuned embeddings.
    k : int, default=1
        How many leading singular values count; at least 1. If Z has fewer, the loss is the
        constant -1/k.

    Returns
    -------
    Tensor
        A scalar; 0 for an all-zero Z (no entry as large as the smallest normal number of its
        precision). Where the derivative is not unique, the gradient is a valid choice: singular
        values that are zero to float64 rounding contribute nothing, a tie at the k-th place is cut.

    Raises
    ------
    DataError
        z is not two-dimensional, or is empty.
    ConfigError
        k is below 1.

    Examples
    --------
    >>> import torch
    >>> from nmtune import dominant_singular_value_loss
    >>> round(dominant_singular_value_loss(torch.diag(torch.tensor([3.0, 1.0]))).item(), 6)
    -0.75
    """
    _check(z)
    _check_k(k)
    return differentiable(z, *loss_terms.dominant(Batch(z), k=k))


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
    r"""The NMTune objective of one batch (arXiv 2403.06869, section 3).

    .. math:: L = L_{CE} + w_{consistency} L_{MSE} + w_{covariance} L_{COV} + w_{dominant} L_{SVD}

    Parameters
    ----------
    logits : Tensor, shape (b, c)
        The classifier's output.
    y : Tensor of int, shape (b,)
        Class indices.
    z : Tensor, shape (b, d)
        Tuned embeddings.
    f : Tensor, shape (b, d)
        Frozen embeddings.
    w_consistency, w_covariance, w_dominant : float
        Weights of the terms; 0 leaves a term out.
    k : int, default=1
        As for `dominant_singular_value_loss`.
    mean_over_dimensions : bool, default=False
        As for `consistency_loss`.
    weight : Tensor, shape (b,), optional
        How much each row's cross-entropy counts; by default 1.

    Returns
    -------
    NMTuneLoss

    Raises
    ------
    DataError
        z or f has the wrong shape.
    ConfigError
        k is below 1.

    Examples
    --------
    >>> import torch
    >>> from nmtune import nmtune_loss
    >>> f = torch.eye(4)
    >>> z = f.clone().requires_grad_()
    >>> loss = nmtune_loss(
    ...     z @ torch.ones(4, 2), torch.tensor([0, 1, 0, 1]), z, f,
    ...     w_consistency=0.01, w_covariance=0.01, w_dominant=0.01,
    ... )
    >>> loss.total.backward()
    >>> round(loss.cross_entropy.item(), 4), loss.dominant.item()
    (0.6931, -0.25)
    """
    _check(z)
    _check_k(k)
    # bfloat16 logits, for example from autocast, would give a loss with three digits
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
        terms["covariance"] = loss_terms.covariance(batch, weight=w_covariance)
    if batch and w_dominant != 0:
        terms["dominant"] = loss_terms.dominant(batch, k=k, weight=w_dominant)
    total = cross_entropy
    if terms:
        # One autograd node for all terms: each of its own would cost further passes over (b, d).
        value = reduce(torch.add, (weights[name] * term.value for name, term in terms.items()))
        gradient = reduce(torch.add, (term.gradient for term in terms.values()))
        total = total + differentiable(z, value, gradient)
    cross_entropy = cross_entropy.detach()
    zero = torch.zeros_like(cross_entropy)
    parts = (terms[name].value.to(zero.dtype) if name in terms else zero for name in weights)
    return NMTuneLoss(total, cross_entropy, *parts)


class _KnownGradient(torch.autograd.Function):
    """A scalar function of Z whose gradient was computed together with its value."""

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
    return loss_terms.consistency(batch, f, divisor=divisor, weight=weight)


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
