"""L-BFGS for a smooth function whose variables are already well scaled."""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from torch import Tensor

Objective: TypeAlias = Callable[[Tensor], tuple[float, Tensor]]
"""The value and gradient at a point; the gradient has the point's shape."""

_MEMORY: Final = 20
_ARMIJO: Final = 1e-4
_N_HALVINGS: Final = 20
_ROUNDING: Final = 1e-7
"""A value this much larger, relatively, may be equal: losses are sums of float32 logits."""


def minimise(
    objective: Objective, start: Tensor, *, tolerance: float, max_iterations: int
) -> Tensor:
    """Descend from `start` until half the squared norm of the gradient is below `tolerance`.

    In variables in which the curvature is about 1, as the caller has to choose them, that is about
    how far the value still is above the minimum. The first step is the plain gradient, and steps
    are halved until the value falls (Armijo), so one evaluation a step is the rule (Nocedal &
    Wright 2006, algorithms 7.4 and 7.5).
    """
    point = start.double()
    value, gradient = objective(point)
    pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=_MEMORY)
    for _ in range(max_iterations):
        if (gradient.square().sum() / 2).item() < tolerance:
            break
        direction = _direction(gradient, pairs)
        slope = (gradient * direction).sum().item()
        step = 1.0
        for _ in range(_N_HALVINGS):
            moved = point + step * direction
            new_value, new_gradient = objective(moved)
            if new_value <= value + _ARMIJO * step * slope + _ROUNDING * abs(value):
                break
            step /= 2
        else:
            break
        moved_by, change = moved - point, new_gradient - gradient
        curvature = (moved_by * change).sum().item()
        if curvature > 1e-10 * change.square().sum().item():
            pairs.append((moved_by, change, curvature))
        point, value, gradient = moved, new_value, new_gradient
    return point


def _direction(gradient: Tensor, pairs: deque[tuple[Tensor, Tensor, float]]) -> Tensor:
    """Minus the inverse Hessian, as the last steps showed it, times the gradient."""
    direction, shares = -gradient, []
    for moved_by, change, curvature in reversed(pairs):
        share = (moved_by * direction).sum() / curvature
        shares.append(share)
        direction = direction - share * change
    if pairs:
        _, change, curvature = pairs[-1]
        direction = direction * (curvature / change.square().sum())
    for (moved_by, change, curvature), share in zip(pairs, reversed(shares), strict=True):
        direction = direction + (share - (change * direction).sum() / curvature) * moved_by
    return torch.as_tensor(direction)
