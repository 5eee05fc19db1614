"""Terms as shares of the cross-entropy's gradient, against autograd and textbook formulas."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from nmtune import consistency_loss
from nmtune.losses.shares import SharedTerm, correlation, directions, pull

K, B, D = 3, 12, 7


def drawn(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Z (K, b, d), F (b, d) and who learns from which row."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(K, B, D, dtype=torch.float64, generator=generator) * 3 + 1
    f = torch.randn(B, D, dtype=torch.float64, generator=generator)
    return z, f, torch.rand(K, B, generator=generator) < 0.7


def plain_correlation(z: Tensor, learns: Tensor) -> Tensor:
    values = []
    for one, kept in zip(z, learns, strict=True):
        matrix = torch.corrcoef(one[kept].T)
        values.append((matrix.square().sum() - matrix.diagonal().square().sum()) / D)
    return torch.stack(values)


def plain_directions(z: Tensor, f: Tensor, learns: Tensor) -> Tensor:
    unit = torch.nn.functional.normalize
    return torch.stack(
        [
            (unit(one[kept]) - unit(f[kept])).square().sum(1).mean()
            for one, kept in zip(z, learns, strict=True)
        ]
    )


@pytest.mark.parametrize("term", ["correlation", "directions"])
def test_values_and_gradients_are_those_of_autograd(term: str) -> None:
    z, f, learns = drawn()
    z.requires_grad_(True)
    plain = (
        plain_correlation(z, learns) if term == "correlation" else plain_directions(z, f, learns)
    )
    (gradient,) = torch.autograd.grad(plain.sum(), z)
    found = _found(term)(z.detach(), f, learns)
    torch.testing.assert_close(found.value, plain.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.gradient, gradient, rtol=1e-10, atol=1e-12)
    assert bool((found.gradient[~learns] == 0).all())


def _found(term: str) -> Callable[[Tensor, Tensor, Tensor], SharedTerm]:
    if term == "directions":
        return directions
    return lambda z, _, learns: correlation(z, learns)


def test_correlation_does_not_know_a_columns_scale_or_place() -> None:
    z, _, learns = drawn()
    scale = torch.linspace(0.01, 100, D, dtype=torch.float64)
    moved = correlation(z * scale + 5, learns)
    torch.testing.assert_close(moved.value, correlation(z, learns).value)


def test_columns_and_rows_without_a_spread_or_a_direction_have_no_part() -> None:
    z, f, learns = drawn()
    z[:, :, 2] = 4.0
    z[1, 5] = 0.0
    f[6] = 0.0
    for found in (correlation(z, learns), directions(z, f, learns)):
        assert bool(found.gradient.isfinite().all())
        assert bool(found.value.isfinite().all())
    assert bool((correlation(z, learns).gradient[:, :, 2] == 0).all())
    rest = torch.cat([z[..., :2], z[..., 3:]], dim=-1)
    expected = correlation(rest, learns).value * (D - 1) / D
    torch.testing.assert_close(correlation(z, learns).value, expected)


def test_directions_are_the_published_consistency_term() -> None:
    z, f, _ = drawn()
    everyone = torch.ones(K, B, dtype=torch.bool)
    found = directions(z, f, everyone).value
    expected = torch.stack([consistency_loss(one, f) for one in z])
    torch.testing.assert_close(found, expected)


def test_a_term_pulls_with_its_share_of_the_length() -> None:
    z, f, learns = drawn()
    gradient = torch.randn(z.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    length = gradient.flatten(1).norm(dim=1)
    by_correlation = pull(gradient, correlation(z, learns), 0.3).flatten(1).norm(dim=1)
    torch.testing.assert_close(by_correlation, 0.3 * length)
    # At a right angle the consistency has its full length; where nothing turned it does not pull.
    turned = torch.zeros_like(z)
    turned[..., 0], g = 2.0, torch.zeros_like(f)
    g[:, 1] = 3.0
    by_directions = pull(gradient, directions(turned, g, learns), 0.3).flatten(1).norm(dim=1)
    torch.testing.assert_close(by_directions, 0.3 * length)
    same = pull(gradient, directions(f.expand(K, B, D), f, learns), 0.3)
    np.testing.assert_allclose(same.numpy(), 0, atol=1e-12)


def test_float32_is_good_to_six_digits() -> None:
    z, f, learns = drawn()
    for term in ("correlation", "directions"):
        exact = _found(term)(z, f, learns)
        single = _found(term)(z.float(), f.float(), learns)
        torch.testing.assert_close(single.gradient.double(), exact.gradient, rtol=1e-4, atol=1e-6)
