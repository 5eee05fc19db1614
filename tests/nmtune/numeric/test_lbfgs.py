"""L-BFGS against solutions that are known; several side by side, each as if it were alone."""

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

    def objective(x: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        gradient = x @ matrix - target
        return (x * (gradient - target) / 2).sum(1), gradient

    found = minimise(objective, torch.zeros(1, 12), tolerance=1e-18, max_iterations=100)
    torch.testing.assert_close(found[0], torch.linalg.solve(matrix, target), atol=1e-7, rtol=0)


def rosenbrock(x: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    point = x[0].numpy()
    gradient = torch.from_numpy(np.asarray(optimize.rosen_der(point)))
    return torch.tensor([float(optimize.rosen(point))], dtype=torch.float64), gradient[None]


def test_steps_that_go_up_are_halved() -> None:
    found = minimise(rosenbrock, torch.full((1, 4), -1.0), tolerance=1e-14, max_iterations=500)
    np.testing.assert_allclose(found.numpy(), 1, atol=1e-4)


@pytest.mark.parametrize("n_most", [0, 3])
def test_no_more_iterations_than_asked_for(n_most: int) -> None:
    asked = 0

    def counted(x: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal asked
        asked += 1
        return x.square().sum(1) / 2, x

    found = minimise(counted, torch.full((1, 2), 3.0), tolerance=0, max_iterations=n_most)
    assert asked <= 1 + max(n_most, 1)
    assert bool((found == (3 if n_most == 0 else 0)).all())


# Of very unlike curvatures, so that they take unlike numbers of steps.
CURVATURES = torch.stack([torch.ones(6), torch.linspace(0.1, 3.0, 6), torch.logspace(-2, 1, 6)])
MINIMA = torch.arange(18.0).view(3, 6) / 7


def bowls(points: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Quartic bowls at MINIMA, convex and not quadratic."""
    away = points.float() - MINIMA[which]
    squares = CURVATURES[which] * away.square()
    values = (squares / 2 + squares.square()).sum(1)
    return values.double(), CURVATURES[which] * away * (1 + 4 * squares)


def test_each_finds_its_minimum() -> None:
    found = minimise(bowls, torch.zeros(3, 6), tolerance=1e-12, max_iterations=200)
    torch.testing.assert_close(found.float(), MINIMA, atol=1e-3, rtol=0)


def test_one_beside_others_goes_the_way_that_it_goes_alone() -> None:
    together = minimise(bowls, torch.zeros(3, 6), tolerance=1e-6, max_iterations=200)
    for index in range(3):

        def alone(points: Tensor, which: Tensor, index: int = index) -> tuple[Tensor, Tensor]:
            return bowls(points, which + index)

        found = minimise(alone, torch.zeros(1, 6), tolerance=1e-6, max_iterations=200)
        torch.testing.assert_close(together[index : index + 1], found, atol=1e-5, rtol=0)


def test_one_that_has_arrived_is_not_evaluated_again() -> None:
    seen: list[list[int]] = []

    def watched(points: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(which.tolist())
        return bowls(points, which)

    start = torch.stack([MINIMA[0], torch.zeros(6), torch.zeros(6)])
    minimise(watched, start, tolerance=1e-8, max_iterations=200)
    assert seen[0] == [0, 1, 2]
    assert all(0 not in which for which in seen[1:])
    assert len(seen) > 2
