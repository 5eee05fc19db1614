"""Solve a penalised logistic regression on all rows at once, with L-BFGS."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nmtune.config import Loss
from nmtune.training.rows import LabelledRows

GCE_POWER = 0.7
"""q of the generalised cross-entropy, as in Zhang & Sabuncu (arXiv 1805.07836)."""

_LOGITS_AT_A_TIME = 1 << 23


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
    if loss == "cross_entropy":
        return -log_likelihood
    return (1 - (GCE_POWER * log_likelihood).exp()) / GCE_POWER


def solve(
    rows: LabelledRows,
    *,
    l2_per_row: float,
    start: Tensor,
    loss: Loss = "cross_entropy",
    tolerance: float = 1e-6,
    max_iterations: int = 500,
) -> Solution:
    """Minimise mean loss + l2_per_row / 2 * ||W||^2 from `start` (c, d + 1); the bias is free.

    A solution is good enough once no entry of the gradient exceeds `tolerance`. With `gce` the
    objective is not convex, and the solution is the minimum that descent from `start` reaches.
    """
    coefficients = start.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [coefficients],
        max_iter=max_iterations,
        max_eval=2 * max_iterations,
        tolerance_grad=tolerance,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def objective() -> float:
        with torch.no_grad():
            mean_loss, gradient = _mean_loss(coefficients, rows, loss)
            gradient[:, :-1] += l2_per_row * coefficients[:, :-1]
            coefficients.grad = gradient
            return mean_loss + _penalty(coefficients, l2_per_row)

    optimiser.step(objective)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    solved = coefficients.detach()
    mean_loss, _ = _mean_loss(solved, rows, loss)
    penalty = _penalty(solved, l2_per_row)
    losses = {"total": mean_loss + penalty, "cross_entropy": mean_loss, "l2_penalty": penalty}
    return Solution(coefficients=solved, losses=losses)


def _penalty(coefficients: Tensor, l2_per_row: float) -> float:
    return l2_per_row / 2 * coefficients[:, :-1].double().square().sum().item()


def _mean_loss(coefficients: Tensor, rows: LabelledRows, loss: Loss) -> tuple[float, Tensor]:
    """Mean loss and its gradient, a block of rows at a time.

    The gradient is written out, (p - e_y) per row and p_y^q times that with `gce`; autograd took
    three times as long. Losses are in float64, since the line search compares values that differ in
    the eighth digit.
    """
    block = max(1, _LOGITS_AT_A_TIME // len(coefficients))
    weight = coefficients[:, :-1].T.contiguous()
    total = torch.zeros((), dtype=torch.float64, device=rows.y.device)
    gradient = torch.zeros_like(coefficients)
    for start in range(0, len(rows), block):
        x, y = rows.x[start : start + block], rows.y[start : start + block]
        logs = torch.addmm(coefficients[:, -1], x, weight).log_softmax(dim=1)
        losses = row_losses(logs, y, loss)
        by_row = logs.exp()
        by_row[torch.arange(len(y), device=y.device), y] -= 1
        share = torch.full_like(losses, 1 / len(rows))
        if rows.weight is not None:
            share *= rows.weight[start : start + block]
        total += (losses * share).sum()
        if loss == "gce":
            share *= 1 - GCE_POWER * losses  # p_y^q
        by_row *= share[:, None].to(by_row.dtype)
        gradient[:, :-1].addmm_(by_row.T, x)
        gradient[:, -1] += by_row.sum(0)
    return total.item(), gradient
