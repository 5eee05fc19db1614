"""Solve a penalised logistic regression on all rows at once, with L-BFGS."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nmtune.config import Loss
from nmtune.numeric.lbfgs import minimise
from nmtune.training.rows import LabelledRows

GCE_POWER = 0.7
"""q of the generalised cross-entropy, as in Zhang & Sabuncu (arXiv 1805.07836)."""

_LOGITS_AT_A_TIME = 1 << 23
_LEAST_CURVATURE = 1e-7


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """Weights and bias (c, d + 1), the bias last, and the parts of the objective there, per row."""

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
    rows: LabelledRows,
    *,
    l2_per_row: float,
    start: Tensor,
    loss: Loss = "cross_entropy",
    tolerance: float = 1e-10,
    max_iterations: int = 500,
) -> Solution:
    """Minimise mean loss + l2_per_row / 2 * ||W||^2 from `start` (c, d + 1); the bias is free.

    A solution is good enough once it is within about `tolerance` of the minimum, in nats per row.
    With `gce` the objective is not convex, and the solution is the minimum that descent from
    `start` reaches.

    It is fast if the columns are uncorrelated with mean 0 (`nmtune.training.axes`). Then the
    curvature is about that of M x diag(mean squares), with M = mean(diag(p) - p p^T) at the start,
    and L-BFGS runs in the variables in which this is the identity.
    """
    turn, curvature = _curvature(start, rows)
    root = curvature.clone()
    root[:, :-1] += l2_per_row
    root = root.sqrt_()

    def objective(point: Tensor) -> tuple[float, Tensor]:
        coefficients = turn @ (point / root)
        mean_loss, gradient = _mean_loss(coefficients.float(), rows, loss)
        gradient[:, :-1] += l2_per_row * coefficients[:, :-1]
        return mean_loss + _penalty(coefficients, l2_per_row), (turn.T @ gradient) / root

    with torch.no_grad():
        point = minimise(
            objective,
            (turn.T @ start.double()) * root,
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        solved = turn @ (point / root)
        # The losses do not know a common shift, and rounding may have added one.
        solved = (solved - solved.mean(0)).float()
        mean_loss, _ = _mean_loss(solved, rows, loss)
    penalty = _penalty(solved, l2_per_row)
    losses = {"total": mean_loss + penalty, "cross_entropy": mean_loss, "l2_penalty": penalty}
    return Solution(coefficients=solved, losses=losses)


def _curvature(coefficients: Tensor, rows: LabelledRows) -> tuple[Tensor, Tensor]:
    """Eigenvectors (c, c) of M, and its eigenvalues times the columns' mean squares, (c, d + 1)."""
    n_classes = len(coefficients)
    second = torch.zeros(n_classes, n_classes, dtype=torch.float64, device=rows.y.device)
    total = torch.zeros(n_classes, dtype=torch.float64, device=rows.y.device)
    squares = torch.zeros(rows.x.shape[1], dtype=torch.float64, device=rows.y.device)
    for at in _blocks(rows, n_classes):
        x = rows.x[at]
        p = linear(coefficients, x).softmax(dim=1)
        second += p.T @ p
        total += p.sum(0)
        squares += x.square().sum(0)
    matrix = (total.diag() - second) / len(rows)
    values, turn = torch.linalg.eigh(matrix)
    spread = torch.cat([squares / len(rows), torch.ones_like(squares[:1])])
    return turn, torch.outer(values.clamp_min(_LEAST_CURVATURE), spread)


def _penalty(coefficients: Tensor, l2_per_row: float) -> float:
    return l2_per_row / 2 * coefficients[:, :-1].double().square().sum().item()


def _mean_loss(coefficients: Tensor, rows: LabelledRows, loss: Loss) -> tuple[float, Tensor]:
    """Mean loss and its gradient, a block of rows at a time.

    The gradient is written out, (p - e_y) per row and p_y^q times that with `gce`; autograd took
    three times as long. Losses are in float64, since the line search compares values that differ in
    the eighth digit.
    """
    weight = coefficients[:, :-1].T.contiguous()
    total = torch.zeros((), dtype=torch.float64, device=rows.y.device)
    gradient = torch.zeros_like(coefficients)
    for at in _blocks(rows, len(coefficients)):
        x, y = rows.x[at], rows.y[at]
        logs = torch.addmm(coefficients[:, -1], x, weight).log_softmax(dim=1)
        losses = _of_log_likelihood(logs.gather(1, y[:, None])[:, 0].double(), loss)
        by_row = logs.exp_()
        by_row[torch.arange(len(y), device=y.device), y] -= 1
        share = torch.full_like(losses, 1 / len(rows))
        if rows.weight is not None:
            share *= rows.weight[at]
        total += (losses * share).sum()
        if loss == "gce":
            share *= 1 - GCE_POWER * losses  # p_y^q
        by_row *= share[:, None].to(by_row.dtype)
        gradient[:, :-1].addmm_(by_row.T, x)
        gradient[:, -1] += by_row.sum(0)
    return total.item(), gradient.double()


def _blocks(rows: LabelledRows, n_classes: int) -> list[slice]:
    n_rows = max(1, _LOGITS_AT_A_TIME // n_classes)
    return [slice(start, start + n_rows) for start in range(0, len(rows), n_rows)]
