"""L-BFGS for smooth functions whose variables are already well scaled, several side by side."""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from torch import Tensor

Objective: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Values (a,) in float64 and gradients (a, m) in float32 of the functions `which` (a,) of all, at
the points (a, m)."""

MEMORY: Final = 10
"""Steps whose curvature is remembered, by two vectors each."""

_ARMIJO: Final = 1e-4
_LEAST_STEP: Final = 2.0**-20
_ROUNDING: Final = 1e-7
"""A value this much larger, relatively, may be equal: losses are sums of float32 logits."""

_Pair: TypeAlias = tuple[Tensor, Tensor, Tensor]


def minimise(
    objective: Objective, start: Tensor, *, tolerance: float, max_iterations: int
) -> Tensor:
    """Descend k functions from `start` (k, m) until each is about `tolerance` above its minimum.

    That is until half the squared norm of its gradient is below it, in variables in which the
    curvature is about 1, as the caller has to choose them. The first step is the plain gradient,
    and steps are halved until the value falls (Armijo), so one evaluation a step is the rule
    (Nocedal & Wright 2006, algorithms 7.4 and 7.5). All functions are evaluated together, and each
    goes its own way: one that has arrived is left out.
    """
    found, point = start.double().clone(), start.double()
    live = torch.arange(len(start), device=start.device)
    step = torch.ones(len(start), device=start.device)
    scale = torch.ones_like(step)
    value, gradient = objective(point, live)
    pairs: deque[_Pair] = deque(maxlen=MEMORY)
    for _ in range(max_iterations):
        going = (gradient.square().sum(1) / 2 >= tolerance) & (step >= _LEAST_STEP)
        if not bool(going.all()):
            found[live] = point
            live, point, value, gradient = live[going], point[going], value[going], gradient[going]
            step, scale = step[going], scale[going]
            pairs = deque(
                ((moved[going], change[going], inverse[going]) for moved, change, inverse in pairs),
                maxlen=MEMORY,
            )
            if not len(live):
                return found
        direction = _direction(gradient, pairs, scale)
        slope = _dot(gradient, direction)
        moved = step[:, None] * direction
        new_point = point + moved
        new_value, new_gradient = objective(new_point, live)
        falls = new_value <= value + _ARMIJO * (step * slope) + _ROUNDING * value.abs()
        change = new_gradient - gradient
        curvature, norm = _dot(moved, change), _dot(change, change)
        # One that was refused adds nothing, and so tries the same direction again.
        is_told = falls & (curvature > 1e-10 * norm)
        scale = torch.where(is_told, curvature / norm, scale)
        pairs.append((moved, change, torch.where(is_told, 1 / curvature, 0.0)))
        point = torch.where(falls[:, None], new_point, point)
        value = torch.where(falls, new_value, value)
        gradient = torch.where(falls[:, None], new_gradient, gradient)
        step = torch.where(falls, 1.0, step / 2)
    found[live] = point
    return found


def _direction(gradient: Tensor, pairs: deque[_Pair], scale: Tensor) -> Tensor:
    """Minus the inverse Hessians, as the last steps showed them, times the gradients."""
    direction, shares = -gradient, []
    for moved, change, inverse in reversed(pairs):
        share = _dot(moved, direction) * inverse
        shares.append(share)
        direction = torch.addcmul(direction, share[:, None], change, value=-1)
    direction = direction * scale[:, None]
    for (moved, change, inverse), share in zip(pairs, reversed(shares), strict=True):
        share = share - _dot(change, direction) * inverse
        direction = torch.addcmul(direction, share[:, None], moved)
    return direction


def _dot(one: Tensor, other: Tensor) -> Tensor:
    product: Tensor = torch.linalg.vecdot(one, other)
    return product
