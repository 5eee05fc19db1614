"""Solve penalised logistic regressions side by side on the same rows, with L-BFGS."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nmtune.config import Loss
from nmtune.numeric.lbfgs import minimise
from nmtune.training.rows import LabelledRows
from nmtune.training.whitening import Maps

GCE_POWER = 0.7
"""q of the generalised cross-entropy, as in Zhang & Sabuncu (arXiv 1805.07836)."""

_LOGITS_AT_A_TIME = 1 << 19  # 2 MB of float32, which stay in a core's cache
_LEAST_CURVATURE = 1e-7


@dataclass(frozen=True, kw_only=True, eq=False)
class Problems:
    """K regressions on the rows x (n, r), whose penalty is on the coefficients of mapped rows.

    share: (K, n) float32, how much each row counts in each of them; sums to about 1. squares: (r,),
    about the mean squares of the mapped columns, which should be uncorrelated with mean 0.
    """

    rows: LabelledRows
    share: Tensor
    maps: Maps
    squares: Tensor
    loss: Loss

    def __len__(self) -> int:
        return len(self.share)


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """Solutions (K, c, r + 1), the bias last, for the mapped rows and for the rows as they are.

    losses: the parts of the objective there, per row, as means over the problems.
    """

    mapped: Tensor
    coefficients: Tensor
    losses: dict[str, float]


def linear(coefficients: Tensor, x: Tensor) -> Tensor:
    """Logits (n, c) of x (n, d) with coefficients (c, d + 1)."""
    return torch.addmm(coefficients[:, -1], x, coefficients[:, :-1].T)


def row_losses(logits: Tensor, y: Tensor, loss: Loss) -> Tensor:
    """Each row's loss, float64 (n,), for logits (n, c) and classes y (n,).

    `cross_entropy`: -log p_y. `gce`: (1 - p_y^q) / q, which tends to it as q goes to 0 and to the
    share of wrong rows as q goes to 1 (Zhang & Sabuncu 2018).
    """
    log_likelihood = logits.double().log_softmax(dim=1).gather(1, y[:, None])[:, 0]
    return _of_log_likelihood(log_likelihood, loss)


def _of_log_likelihood(log_likelihood: Tensor, loss: Loss) -> Tensor:
    if loss == "cross_entropy":
        return -log_likelihood
    return (1 - (GCE_POWER * log_likelihood).exp()) / GCE_POWER


def solve(
    problems: Problems,
    *,
    l2_per_row: float,
    start: Tensor,
    tolerance: float = 1e-10,
    max_iterations: int = 500,
) -> Solution:
    """Minimise mean loss + l2_per_row / 2 * ||W||^2 of each; the bias is free.

    start: (K, c, r + 1), coefficients for the mapped rows.

    A solution is good enough once it is within about `tolerance` of the minimum, in nats per row.
    With `gce` the objective is not convex, and the solution is the minimum that descent from
    `start` reaches.

    It is fast if the mapped columns are uncorrelated with mean 0 (`nmtune.training.axes`). Then the
    curvature is about that of M x diag(mean squares), with M = mean(diag(p) - p p^T) at the start,
    and L-BFGS runs in the variables in which this is the identity.
    """
    shape = start.shape
    turn, curvature = _curvature(start, problems)
    root = curvature.clone()
    root[..., :-1] += l2_per_row
    root = root.sqrt_()

    def objective(points: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        mapped = turn[which] @ (points.view(-1, *shape[1:]) / root[which]).float()
        mean_loss, gradient = _mean_loss(mapped, problems, which)
        gradient[..., :-1] += l2_per_row * mapped[..., :-1]
        gradient = (turn[which].mT @ gradient) / root[which]
        return mean_loss + _penalty(mapped, l2_per_row), gradient.flatten(1)

    with torch.no_grad():
        points = minimise(
            objective,
            ((turn.mT @ start) * root).flatten(1),
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        mapped = turn @ (points.view(shape) / root).float()
        # The losses do not know a common shift, and rounding may have added one.
        mapped = mapped - mapped.mean(1, keepdim=True)
        every = torch.arange(len(problems), device=mapped.device)
        mean_loss = _mean_loss(mapped, problems, every)[0].mean().item()
    penalty = _penalty(mapped, l2_per_row).mean().item()
    return Solution(
        mapped=mapped,
        coefficients=problems.maps.back(mapped),
        losses={"total": mean_loss + penalty, "cross_entropy": mean_loss, "l2_penalty": penalty},
    )


def _curvature(mapped: Tensor, problems: Problems) -> tuple[Tensor, Tensor]:
    """Eigenvectors of M (K, c, c), and its eigenvalues times the mean squares (K, c, r + 1)."""
    k, n_classes, _ = mapped.shape
    second = torch.zeros(k, n_classes, n_classes, dtype=torch.float64, device=mapped.device)
    total = torch.zeros(k, n_classes, dtype=torch.float64, device=mapped.device)
    coefficients = problems.maps.back(mapped)
    for at in _blocks(problems, k * n_classes):
        p = _logits(coefficients, problems.rows.x[at]).softmax(dim=2)
        weighed = p * problems.share[:, at].T[:, :, None]
        second += (weighed.permute(1, 2, 0) @ p.transpose(0, 1)).double()
        total += weighed.sum(0)
    values, turn = torch.linalg.eigh(torch.diag_embed(total) - second)
    spread = torch.cat([problems.squares, torch.ones_like(problems.squares[:1])])
    return turn.float(), (values.clamp_min(_LEAST_CURVATURE)[:, :, None] * spread).float()


def _penalty(mapped: Tensor, l2_per_row: float) -> Tensor:
    return l2_per_row / 2 * mapped[..., :-1].double().square().sum(dim=(1, 2))


def _logits(coefficients: Tensor, x: Tensor) -> Tensor:
    """Logits (n, K, c) of x (n, r) with coefficients (K, c, r + 1)."""
    k, n_classes, _ = coefficients.shape
    flat = coefficients.flatten(0, 1)
    return linear(flat, x).view(len(x), k, n_classes)


def _mean_loss(mapped: Tensor, problems: Problems, which: Tensor) -> tuple[Tensor, Tensor]:
    """Mean losses (a,), float64, of the problems `which` and their gradients (a, c, r + 1).

    The gradient is written out, (p - e_y) per row and p_y^q times that with `gce`; autograd took
    three times as long. Losses are in float64, since the line search compares values that differ in
    the eighth digit.
    """
    maps = problems.maps.of(which)
    coefficients = maps.back(mapped)
    k, n_classes, _ = mapped.shape
    total = torch.zeros(k, dtype=torch.float64, device=mapped.device)
    gradient = torch.zeros_like(coefficients)
    flat = gradient.view(k * n_classes, -1)
    for at in _blocks(problems, k * n_classes):
        x, y = problems.rows.x[at], problems.rows.y[at]
        share = problems.share[which, at].T
        logs = _logits(coefficients, x).log_softmax(dim=2)
        truth = y[:, None, None].expand(-1, k, 1)
        losses = _of_log_likelihood(logs.gather(2, truth)[:, :, 0].double(), problems.loss)
        total += (losses * share).sum(0)
        if problems.loss == "gce":
            share = share * (1 - GCE_POWER * losses).float()  # p_y^q
        errors = logs.exp_()
        errors.scatter_add_(2, truth, torch.full_like(truth, -1, dtype=errors.dtype))
        errors *= share[:, :, None]
        by_row = errors.view(len(y), -1)
        flat[:, :-1].addmm_(by_row.T, x)
        flat[:, -1] += by_row.sum(0)
    return total, maps.pulled(gradient)


def _blocks(problems: Problems, n_logits: int) -> list[slice]:
    """Rows whose logits, so many each, are held at a time."""
    n_rows = max(1, _LOGITS_AT_A_TIME // n_logits)
    return [slice(start, start + n_rows) for start in range(0, len(problems.rows), n_rows)]
