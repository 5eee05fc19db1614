"""The home of the penalised logistic regression on all rows at once, solved with L-BFGS."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nmtune.config import Loss
from nmtune.procedure import LabelledRows

GCE_POWER = 0.7
"""q of the generalised cross-entropy; Zhang & Sabuncu's own (arXiv 1805.07836)."""

_LOGITS_AT_A_TIME = 1 << 23


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """Weights and bias (c, d + 1), the bias last, and the objective's parts at them, per row."""

    coefficients: Tensor
    losses: dict[str, float]

    def logits(self, x: Tensor) -> Tensor:
        """(n, c) of x (n, d)."""
        return linear(self.coefficients, x)


def linear(coefficients: Tensor, x: Tensor) -> Tensor:
    """Logits (n, c) of x (n, d) under coefficients (c, d + 1)."""
    return torch.addmm(coefficients[:, -1], x, coefficients[:, :-1].T)


def row_losses(logits: Tensor, y: Tensor, loss: Loss) -> Tensor:
    """The loss of each row, float64 (n,), of logits (n, c) and classes y (n,).

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

    `tolerance` is the largest entry of the gradient at which a solution is good enough. With
    `gce` the objective is not convex: the solution is the minimum below `start`.
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
        optimiser.zero_grad()
        penalty = l2_per_row / 2 * coefficients[:, :-1].double().square().sum()
        torch.autograd.backward(penalty)
        return _mean_loss(coefficients, rows, loss, backward=True) + penalty.item()

    optimiser.step(objective)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    solved = coefficients.detach()
    mean_loss = _mean_loss(solved, rows, loss, backward=False)
    penalty = l2_per_row / 2 * solved[:, :-1].double().square().sum().item()
    losses = {"total": mean_loss + penalty, "cross_entropy": mean_loss, "l2_penalty": penalty}
    return Solution(coefficients=solved, losses=losses)


def _mean_loss(coefficients: Tensor, rows: LabelledRows, loss: Loss, *, backward: bool) -> float:
    """Mean loss, its gradient added to the coefficients', a block of rows at a time."""
    block = max(1, _LOGITS_AT_A_TIME // len(coefficients))
    total = torch.zeros((), dtype=torch.float64, device=rows.y.device)
    with torch.set_grad_enabled(backward):
        for start in range(0, len(rows), block):
            stop = start + block
            # In float64: the line search compares values that differ in the eighth digit.
            part = row_losses(linear(coefficients, rows.x[start:stop]), rows.y[start:stop], loss)
            if rows.weight is not None:
                part = part * rows.weight[start:stop]
            mean = part.sum() / len(rows)
            if backward:
                torch.autograd.backward(mean)
            total += mean.detach()
    return total.item()
