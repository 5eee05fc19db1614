"""The three terms against direct float64 formulas: values, gradients and edges."""

import math
import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.losses.objective import (
    consistency_loss,
    covariance_loss,
    dominant_singular_value_loss,
    nmtune_loss,
)
from tests.nmtune.losses.loss_gradient import value_and_gradient

Array = NDArray[np.float64]
SHAPES = [(2, 5), (2, 300), (8, 8), (64, 100), (40, 16), (65, 7), (2, 2), (5, 1)]


def reference_consistency(z: Array, f: Array) -> tuple[float, Array]:
    rows = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    frozen = torch.tensor(f, dtype=torch.float64)
    unit = rows / rows.norm(dim=1, keepdim=True)
    loss = (frozen / frozen.norm(dim=1, keepdim=True) - unit).square().sum(1).mean()
    loss.backward()
    return loss.item(), rows.grad.numpy()


def reference_covariance(z: Array) -> tuple[float, Array]:
    rows = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    centred = rows - rows.mean(0)
    covariance = centred.T @ centred / (len(z) - 1)
    off_diagonal = covariance * (1 - torch.eye(z.shape[1], dtype=torch.float64))
    loss = off_diagonal.square().sum() / z.shape[1]
    loss.backward()
    return loss.item(), rows.grad.numpy()


def reference_dominant(z: Array, k: int) -> tuple[float, Array]:
    left, values, right = np.linalg.svd(z, full_matrices=False)
    top, total = values[:k].sum(), values.sum()
    weights = np.full_like(values, top / (k * total**2))
    weights[:k] -= 1 / (k * total)
    return -top / (k * total), (left * weights) @ right


def assert_agrees(measured: tuple[float, Array], expected: tuple[float, Array]) -> None:
    assert measured[0] == pytest.approx(expected[0], rel=1e-5, abs=1e-300)
    distance = np.linalg.norm(measured[1] - expected[1])
    assert distance <= 1e-5 * np.linalg.norm(expected[1])


def embeddings(shape: tuple[int, int], *, seed: int = 0, mean: float = 0.5) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    return (generator.standard_normal(shape) + mean).astype(np.float32)


def with_singular_values(
    shape: tuple[int, int], values: list[float] | Array, *, seed: int = 0
) -> Array:
    generator = np.random.default_rng(seed)
    n = len(values)
    left, _ = np.linalg.qr(generator.standard_normal((shape[0], n)))
    right, _ = np.linalg.qr(generator.standard_normal((shape[1], n)))
    return (left * np.asarray(values)) @ right.T


@pytest.mark.parametrize("shape", SHAPES)
def test_consistency_agrees_with_the_direct_formula(shape: tuple[int, int]) -> None:
    z, f = embeddings(shape), embeddings(shape, seed=1)
    if shape[1] == 1:  # one dimension has no direction to change: the gradient is zero
        value, gradient = value_and_gradient(
            lambda rows: consistency_loss(rows, torch.tensor(f)), z
        )
        assert value == pytest.approx(reference_consistency(z, f)[0])
        assert np.abs(gradient).max() < 1e-12
        return
    measured = value_and_gradient(lambda rows: consistency_loss(rows, torch.tensor(f)), z)
    assert_agrees(measured, reference_consistency(z, f))


def test_consistency_stays_exact_where_z_hardly_moved() -> None:
    f = embeddings((16, 64))
    z = f + np.float32(1e-5) * embeddings((16, 64), seed=1)
    measured = value_and_gradient(lambda rows: consistency_loss(rows, torch.tensor(f)), z)
    assert_agrees(measured, reference_consistency(z, f))


def test_consistency_mean_over_dimensions_divides_by_the_width() -> None:
    z, f = torch.tensor(embeddings((6, 10))), torch.tensor(embeddings((6, 10), seed=1))
    plain = consistency_loss(z, f)
    assert consistency_loss(z, f, mean_over_dimensions=True).item() == pytest.approx(
        plain.item() / 10
    )


def test_consistency_sends_no_gradient_to_the_frozen_embeddings() -> None:
    z = torch.tensor(embeddings((4, 3)), requires_grad=True)
    f = torch.tensor(embeddings((4, 3), seed=1), requires_grad=True)
    consistency_loss(z, f).backward()
    assert f.grad is None


def test_a_zero_row_normalises_to_zero_and_has_no_gradient() -> None:
    z, f = embeddings((3, 4)), embeddings((3, 4), seed=1)
    z[1] = 0
    f[2] = 0
    value, gradient = value_and_gradient(lambda rows: consistency_loss(rows, torch.tensor(f)), z)
    first = np.square(z[0] / np.linalg.norm(z[0]) - f[0] / np.linalg.norm(f[0])).sum()
    assert value == pytest.approx((first + 1 + 1) / 3, rel=1e-6)
    assert (gradient[1] == 0).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("mean", [0.0, 0.5, 300.0])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[1] > 1])
def test_covariance_agrees_with_the_direct_formula(shape: tuple[int, int], mean: float) -> None:
    z = embeddings(shape, mean=mean)
    assert_agrees(value_and_gradient(covariance_loss, z), reference_covariance(z))


def test_covariance_of_duplicated_rows_and_constant_columns_agrees() -> None:
    z = embeddings((12, 30))
    z[6:] = z[:6]
    z[:, 3:9] = 0.1
    assert_agrees(value_and_gradient(covariance_loss, z), reference_covariance(z))


@pytest.mark.parametrize("shape", [(1, 5), (1, 1), (7, 1)])
def test_covariance_of_one_row_or_one_column_is_zero(shape: tuple[int, int]) -> None:
    value, gradient = value_and_gradient(covariance_loss, embeddings(shape))
    assert value == pytest.approx(0, abs=1e-25)
    assert np.abs(gradient).max() < 1e-12


def test_covariance_of_uncorrelated_columns_is_zero_and_never_negative() -> None:
    hadamard = np.array([[1, 1], [1, -1]])
    for _ in range(4):
        hadamard = np.kron(hadamard, [[1, 1], [1, -1]])
    z = np.zeros((32, 64), dtype=np.float32)
    z[:, :31] = hadamard[:, 1:] * np.linspace(0.1, 3, 31)
    value, gradient = value_and_gradient(covariance_loss, z)
    assert 0 <= value < 1e-12
    assert np.abs(gradient).max() < 1e-12


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_dominant_agrees_with_an_svd(shape: tuple[int, int], k: int) -> None:
    z = embeddings(shape)
    value, gradient = value_and_gradient(lambda rows: dominant_singular_value_loss(rows, k), z)
    expected_value, expected_gradient = reference_dominant(z.astype(np.float64), k)
    assert value == pytest.approx(expected_value, rel=1e-5)
    if k >= min(shape):  # every singular value is counted: the loss is the constant -1 / k
        assert value == pytest.approx(-1 / k, rel=1e-6)
        assert (gradient == 0).all()
    else:
        assert_agrees((value, gradient), (expected_value, expected_gradient))


@pytest.mark.parametrize("shape", [(24, 60), (30, 30), (60, 24)])
@pytest.mark.parametrize("condition", [1e2, 1e4, 1e6, 1e9])
def test_dominant_agrees_on_ill_conditioned_batches(
    shape: tuple[int, int], condition: float
) -> None:
    z = with_singular_values(shape, np.geomspace(1, 1 / condition, min(shape)))
    measured = value_and_gradient(lambda rows: dominant_singular_value_loss(rows, 3), z)
    assert_agrees(measured, reference_dominant(z, 3))
    # Rounded to float32 its smallest singular values change, and with them the reference.
    rounded = z.astype(np.float32)
    measured = value_and_gradient(lambda rows: dominant_singular_value_loss(rows, 3), rounded)
    assert_agrees(measured, reference_dominant(rounded.astype(np.float64), 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (6, 6)])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_dominant_agrees_where_singular_values_repeat(
    shape: tuple[int, int], k: int, dtype: type[np.floating]
) -> None:
    z = with_singular_values(shape, [4, 2, 2, 1, 1, 0.5]).astype(dtype)
    measured = value_and_gradient(lambda rows: dominant_singular_value_loss(rows, k), z)
    assert_agrees(measured, reference_dominant(z.astype(np.float64), k))


@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (8, 8)])
@pytest.mark.parametrize("values", [[3, 2, 1], [5], [3, 2, 1, 1, 0.5, 1e-6]])
def test_dominant_on_rank_deficient_batches(shape: tuple[int, int], values: list[float]) -> None:
    z = with_singular_values(shape, values)
    value, gradient = value_and_gradient(dominant_singular_value_loss, z)
    assert value == pytest.approx(-values[0] / sum(values), rel=1e-9)
    # Within the row and column space the gradient is unique: the singular vectors of the rank.
    left, _, right = np.linalg.svd(z, full_matrices=False)
    left, right = left[:, : len(values)], right[: len(values)]
    total = sum(values)
    weights = np.full(len(values), values[0] / total**2)
    weights[0] -= 1 / total
    expected = (left * weights) @ right
    assert np.abs(gradient - expected).max() < 1e-8
    # Any other direction leaves the rank: a valid choice lies between the one-sided derivatives.
    for seed in range(5):
        direction = np.random.default_rng(seed).standard_normal(shape)
        ahead = (dominant_value(z + 1e-7 * direction) - value) / 1e-7
        behind = (value - dominant_value(z - 1e-7 * direction)) / 1e-7
        assert behind - 1e-4 <= (gradient * direction).sum() <= ahead + 1e-4


@pytest.mark.parametrize("shape", [(5, 9), (9, 5)])
def test_dominant_cuts_a_tie_across_the_kth_place_validly(shape: tuple[int, int]) -> None:
    z = with_singular_values(shape, [3, 2, 2, 2, 1])
    value, gradient = value_and_gradient(lambda rows: dominant_singular_value_loss(rows, 2), z)
    assert value == pytest.approx(-(3 + 2) / 2 / 10, rel=1e-12)
    for seed in range(5):
        direction = np.random.default_rng(seed).standard_normal(shape)
        ahead = (dominant_value(z + 1e-6 * direction, 2) - value) / 1e-6
        behind = (value - dominant_value(z - 1e-6 * direction, 2)) / 1e-6
        assert ahead - 1e-5 <= (gradient * direction).sum() <= behind + 1e-5


def dominant_value(z: Array, k: int = 1) -> float:
    values = np.linalg.svd(z, compute_uv=False)
    return float(-values[:k].sum() / k / values.sum())


def test_dominant_with_duplicated_rows_agrees_in_value_and_is_finite() -> None:
    z = embeddings((64, 100))
    z[32:] = z[:32]
    value, gradient = value_and_gradient(dominant_singular_value_loss, z)
    assert value == pytest.approx(dominant_value(z.astype(np.float64)), rel=1e-6)
    # A step that keeps the duplicates equal is differentiable.
    direction = embeddings((64, 100), seed=1).astype(np.float64)
    direction[32:] = direction[:32]
    ahead = dominant_value(z + 1e-5 * direction)
    behind = dominant_value(z - 1e-5 * direction)
    slope = (ahead - behind) / 2e-5
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (4, 6), (6, 4)])
def test_an_all_zero_batch_gives_zeros(shape: tuple[int, int]) -> None:
    zeros = np.zeros(shape, dtype=np.float32)
    for loss in (covariance_loss, dominant_singular_value_loss):
        value, gradient = value_and_gradient(loss, zeros)
        assert value == 0
        assert (gradient == 0).all()
    frozen = torch.zeros(shape)
    assert value_and_gradient(lambda rows: consistency_loss(rows, frozen), zeros)[0] == 0


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e100, 1e200])
def test_values_far_from_one_stay_in_range(scale: float) -> None:
    z = embeddings((5, 8)).astype(np.float64)
    f = torch.tensor(embeddings((5, 8), seed=1))
    for loss in (dominant_singular_value_loss, lambda rows: consistency_loss(rows, f)):
        expected_value, expected_gradient = value_and_gradient(loss, z)
        value, gradient = value_and_gradient(loss, z * scale)
        assert value == pytest.approx(expected_value, rel=1e-9)
        assert gradient * scale == pytest.approx(expected_gradient, rel=1e-9)
    assert not np.isnan(value_and_gradient(covariance_loss, z * scale)[0])
    assert value_and_gradient(covariance_loss, z[:1] * scale)[0] == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_non_finite_batch_gives_a_nan_loss_instead_of_an_exception(bad: float) -> None:
    z = torch.tensor(embeddings((4, 6)))
    z[1, 2] = bad
    losses = nmtune_loss(
        torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]), z, torch.ones(4, 6),
        w_consistency=1.0, w_covariance=1.0, w_dominant=1.0,
    )  # fmt: skip
    assert losses.total.isnan()
    assert losses.dominant.isnan()
    assert losses.covariance.isnan()


def test_gradcheck_in_float64() -> None:
    z = torch.tensor(embeddings((4, 5)).astype(np.float64), requires_grad=True)
    f = torch.tensor(embeddings((4, 5), seed=1).astype(np.float64))
    weight = torch.tensor(embeddings((3, 5), seed=2).astype(np.float64), requires_grad=True)
    y = torch.tensor([0, 1, 2, 1])

    def total(rows: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return nmtune_loss(
            rows @ weight.T, y, rows, f,
            w_consistency=0.3, w_covariance=0.2, w_dominant=2.0, k=2,
        ).total  # fmt: skip

    assert torch.autograd.gradcheck(total, (z, weight))
    tall = torch.tensor(embeddings((5, 3)).astype(np.float64), requires_grad=True)
    assert torch.autograd.gradcheck(covariance_loss, (tall,))
    assert torch.autograd.gradcheck(dominant_singular_value_loss, (tall,))


@pytest.mark.parametrize("mean", [0.5, 100.0])
@pytest.mark.parametrize("shape", [(16, 40), (16, 16), (40, 16), (2, 3), (1, 4)])
def test_the_objective_is_the_weighted_sum_of_its_parts(
    shape: tuple[int, int], mean: float
) -> None:
    f, y = torch.tensor(embeddings(shape, seed=1)), torch.arange(shape[0]) % 3
    logits = torch.tensor(embeddings((shape[0], 3), seed=2))
    weights = {"w_consistency": 0.7, "w_covariance": 0.03, "w_dominant": 5.0}
    z = torch.tensor(embeddings(shape, mean=mean), requires_grad=True)
    losses = nmtune_loss(logits, y, z, f, **weights, k=2, mean_over_dimensions=True)
    losses.total.backward()

    apart = z.detach().clone().requires_grad_()
    parts = (
        torch.nn.functional.cross_entropy(logits, y),
        consistency_loss(apart, f, mean_over_dimensions=True),
        covariance_loss(apart),
        dominant_singular_value_loss(apart, 2),
    )
    expected = parts[0] + 0.7 * parts[1] + 0.03 * parts[2] + 5 * parts[3]
    expected.backward()
    assert [part.item() for part in losses[1:]] == pytest.approx(
        [part.item() for part in parts], rel=1e-5
    )
    assert losses.total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.linalg.norm(z.grad - apart.grad) <= 1e-5 * torch.linalg.norm(apart.grad)
    assert not any(part.requires_grad for part in losses[1:])


def test_weights_scale_each_rows_cross_entropy_and_no_other_term() -> None:
    z, f = torch.tensor(embeddings((4, 6)), requires_grad=True), torch.tensor(embeddings((4, 6)))
    logits = torch.tensor(embeddings((4, 3), seed=2), requires_grad=True)
    y, weight = torch.tensor([0, 1, 2, 0]), torch.tensor([2.0, 0.0, 0.5, 1.5])
    terms = {"w_consistency": 0.7, "w_covariance": 0.03, "w_dominant": 5.0}
    plain = nmtune_loss(logits, y, z, f, **terms)
    weighted = nmtune_loss(logits, y, z, f, **terms, weight=weight)
    apart = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    expected = (weight * apart).sum().item() / 4
    assert weighted.cross_entropy.item() == pytest.approx(expected)
    assert weighted[2:] == plain[2:]
    weighted.total.backward()
    assert (logits.grad[1] == 0).all()


def test_a_term_of_weight_zero_is_left_out_and_reads_zero() -> None:
    z, f = torch.tensor(embeddings((6, 9)), requires_grad=True), torch.ones(6, 9)
    logits = torch.tensor(embeddings((6, 2)), requires_grad=True)
    y = torch.tensor([0, 1] * 3)
    plain = nmtune_loss(logits, y, z, f, w_consistency=0.0, w_covariance=0.0, w_dominant=0.0)
    assert torch.equal(plain.total, torch.nn.functional.cross_entropy(logits, y))
    assert [part.item() for part in plain[2:]] == [0, 0, 0]
    plain.total.backward()
    assert z.grad is None

    one = nmtune_loss(logits, y, z, f, w_consistency=0.0, w_covariance=0.0, w_dominant=0.5)
    assert one.dominant.item() == dominant_singular_value_loss(z).item()
    assert one.consistency.item() == one.covariance.item() == 0
    other = nmtune_loss(logits, y, z, f, w_consistency=0.0, w_covariance=0.5, w_dominant=0.0)
    assert other.covariance.item() == covariance_loss(z).item()
    assert other.dominant.item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_losses_come_back_in_the_precision_of_z_and_at_least_float32(dtype: torch.dtype) -> None:
    z = torch.tensor(embeddings((4, 6)), dtype=dtype, requires_grad=True)
    total = (
        covariance_loss(z) + dominant_singular_value_loss(z) + consistency_loss(z, torch.ones(4, 6))
    )
    assert total.dtype == torch.promote_types(dtype, torch.float32)
    total.backward()
    assert z.grad.dtype == dtype
    assert z.grad.isfinite().all()


def test_wrong_shapes_and_settings_are_named() -> None:
    z = torch.ones(3, 4)
    for loss in (covariance_loss, dominant_singular_value_loss):
        for wrong in (torch.ones(3), torch.ones(0, 4), torch.ones(3, 0), torch.ones(1, 3, 4)):
            with pytest.raises(DataError, match="z must be") as raised:
                loss(wrong)
            assert raised.value.field == "z"
    with pytest.raises(DataError, match=r"\(3, 4\), got \(4, 4\)") as raised:
        consistency_loss(z, torch.ones(4, 4))
    assert raised.value.field == "f"
    with pytest.raises(ConfigError, match="at least 1, got 0") as wrong_k:
        dominant_singular_value_loss(z, 0)
    assert wrong_k.value.field == "k"


def test_errors_survive_pickling() -> None:
    error = DataError("no", field="z", row=3, column=1)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (copy.code, copy.message, copy.field, copy.row, copy.column) == (
        "invalid_data", "no", "z", 3, 1,
    )  # fmt: skip
