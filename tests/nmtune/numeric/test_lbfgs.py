"""L-BFGS against solutions that are known."""

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from nmtune.numeric.lbfgs import minimise


def test_quadratic_is_solved_exactly() -> None:
    generator = np.random.default_rng(0)
    root = torch.from_numpy(np.eye(12) + 0.3 * generator.normal(size=(12, 12)))
    matrix, target = root @ root.T, torch.from_numpy(generator.normal(size=12))

    def objective(x: Tensor) -> tuple[float, Tensor]:
        gradient = matrix @ x - target
        return (x @ (matrix @ x) / 2 - target @ x).item(), gradient

    found = minimise(objective, torch.zeros(12), tolerance=1e-18, max_iterations=100)
    torch.testing.assert_close(found, torch.linalg.solve(matrix, target), atol=1e-7, rtol=0)


def rosenbrock(x: Tensor) -> tuple[float, Tensor]:
    point = x.numpy()
    gradient = torch.from_numpy(np.asarray(optimize.rosen_der(point)))
    return float(optimize.rosen(point)), gradient


def test_steps_that_go_up_are_halved() -> None:
    found = minimise(rosenbrock, torch.full((4,), -1.0), tolerance=1e-14, max_iterations=500)
    np.testing.assert_allclose(found.numpy(), 1, atol=1e-4)


@pytest.mark.parametrize("n_most", [0, 3])
def test_no_more_iterations_than_asked_for(n_most: int) -> None:
    asked = 0

    def counted(x: Tensor) -> tuple[float, Tensor]:
        nonlocal asked
        asked += 1
        return float((x**2).sum()) / 2, x

    found = minimise(counted, torch.full((2,), 3.0), tolerance=0, max_iterations=n_most)
    assert asked <= 1 + max(n_most, 1)
    assert bool((found == (3 if n_most == 0 else 0)).all())
