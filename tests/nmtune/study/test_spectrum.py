"""The streamed spectrum against a full float64 SVD, in bounded memory and at every edge."""

import math
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nmtune.errors import ConfigError, DataError
from nmtune.study.spectrum import Centring, Spectrum, _Rows, spectrum

Array = NDArray[np.float64]


def centred(x: Array, centering: Centring) -> Array:
    if centering == "columns":
        return x - x.mean(0)
    if centering == "reference":
        rows = x / np.linalg.norm(x, axis=1, keepdims=True)
        return rows - rows.mean(1, keepdims=True)
    return x


def assert_agrees(result: Spectrum, matrix: Array) -> None:
    values = np.linalg.svd(matrix, compute_uv=False)
    shares = values / values.sum()
    shares = shares[shares > 0]
    entropy = -(shares * np.log(shares)).sum()
    assert result.singular_values.shape == values.shape
    assert result.singular_values.dtype == np.float64
    assert np.abs(result.singular_values - values).max() <= 1e-6 * values[0]
    assert result.entropy == pytest.approx(entropy, abs=1e-6)
    assert result.largest_ratio == pytest.approx(-math.log(shares[0]), abs=1e-6)
    assert result.effective_rank == pytest.approx(math.exp(entropy), rel=1e-5)


def with_singular_values(n_rows: int, n_columns: int, values: Array) -> Array:
    generator = np.random.default_rng(1)
    left, _ = np.linalg.qr(generator.standard_normal((n_rows, len(values))))
    right, _ = np.linalg.qr(generator.standard_normal((n_columns, len(values))))
    return (left * values) @ right.T


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", np.int8])
@pytest.mark.parametrize("shape", [(500, 20), (30, 30), (12, 50), (1, 6), (40, 1)])
def test_agrees_with_a_full_svd(shape: tuple[int, int], dtype: str | type) -> None:
    x = (3 * np.random.default_rng(0).standard_normal(shape) + 1).astype(dtype)
    result = spectrum(x)
    assert_agrees(result, x.astype(np.float64))
    assert (result.n_rows, result.n_columns, result.centering) == (*shape, "none")


@pytest.mark.parametrize("centering", ["none", "columns", "reference"])
@pytest.mark.parametrize("shape", [(400, 24), (10, 24), (24, 24)])
def test_each_centering_agrees_with_its_definition(
    shape: tuple[int, int], centering: Centring
) -> None:
    x = np.random.default_rng(2).standard_normal(shape) + 5
    result = spectrum(x, centering=centering, chunk_rows=50)
    assert result.centering == centering
    assert_agrees(result, centred(x, centering))


SPECTRA = {
    "condition 1e5": np.geomspace(1, 1e-5, 24),
    "condition 1e8": np.geomspace(1, 1e-8, 24),
    "condition 1e15": np.geomspace(1, 1e-15, 24),
    "half the rank": np.r_[np.ones(12), np.zeros(12)],
    "one zero": np.r_[10, np.ones(22), 0],
    "one direction": np.r_[1, np.zeros(23)],
    "a spike": np.r_[1, np.full(23, 1e-7)],
    "all equal": np.ones(24),
}


@pytest.mark.parametrize("shape", [(2000, 24), (24, 70), (24, 24)])
@pytest.mark.parametrize("name", SPECTRA)
def test_ill_conditioned_and_rank_deficient_matrices_agree_too(
    name: str, shape: tuple[int, int]
) -> None:
    x = with_singular_values(*shape, SPECTRA[name])
    assert_agrees(spectrum(x, chunk_rows=100), x)
    rounded = x.astype(np.float32)
    assert_agrees(spectrum(rounded), rounded.astype(np.float64))


def test_a_mean_far_larger_than_the_spread_is_centred_without_loss() -> None:
    spread = np.random.default_rng(0).standard_normal((3000, 8))
    result = spectrum(spread + 2.0**30, centering="columns", chunk_rows=200)
    assert_agrees(result, centred(spread, "columns"))


@pytest.mark.parametrize("centering", ["none", "columns", "reference"])
@pytest.mark.parametrize("deficient", [False, True])
def test_the_size_of_the_chunks_does_not_matter(centering: Centring, deficient: bool) -> None:
    x = np.random.default_rng(3).standard_normal((301, 16)).astype(np.float32)
    if deficient:
        x[:, 8:] = x[:, :8]
    whole = spectrum(x, centering=centering)
    for chunk_rows in (1, 7, 16, 300, 301, 1000):
        chunked = spectrum(x, centering=centering, chunk_rows=chunk_rows)
        assert chunked.singular_values == pytest.approx(whole.singular_values, rel=1e-6, abs=1e-7)
        assert chunked.entropy == pytest.approx(whole.entropy, abs=1e-7)
        assert chunked.largest_ratio == pytest.approx(whole.largest_ratio, abs=1e-7)


@pytest.mark.parametrize("deficient", [False, True])
@pytest.mark.parametrize("centering", ["none", "columns", "reference"])
def test_memory_does_not_grow_with_a_memory_mapped_file(
    tmp_path: Path, centering: Centring, deficient: bool
) -> None:
    n_rows, n_columns, chunk_rows = 20_000, 48, 200
    x = np.random.default_rng(0).standard_normal((n_rows, n_columns)).astype(np.float32)
    if deficient:
        x[:, 0] = 0
    np.save(tmp_path / "x.npy", x)
    expected = centred(x.astype(np.float64), centering)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    tracemalloc.start()
    result = spectrum(mapped, centering=centering, chunk_rows=chunk_rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_agrees(result, expected)
    assert peak < 6 * 8 * (n_columns**2 + chunk_rows * n_columns)  # 0.6 MB; x in float64 is 7.7 MB


def _many_rows() -> dict[str, Array]:
    """Matrices tall enough for float32 products; some are fit for them and some are not."""
    generator = np.random.default_rng(0)
    n, d = 4800, 48

    def normal(n_rows: int = n) -> Array:
        return generator.standard_normal((n_rows, d))

    geometric = {
        f"condition {condition:.0e}": with_singular_values(n, d, np.geomspace(1, 1 / condition, d))
        for condition in (1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7)
    }
    twin_column = normal()
    twin_column[:, 1] = twin_column[:, 0]
    one_zero = normal()
    one_zero[:, 7] = 0
    return geometric | {
        "ordinary": normal() + 0.5,
        "a large mean": normal() + 50,
        "half the rank": with_singular_values(n, d, np.r_[np.ones(24), np.zeros(24)]),
        "a spike": with_singular_values(n, d, np.r_[1e3, np.ones(47)]),
        "rows twice": np.tile(normal(n // 2), (2, 1)),
        "rows in runs": np.repeat(normal(n // 10), 10, axis=0),
        "few distinct rows": np.repeat(normal(d // 2), n // (d // 2), axis=0),
        "a column twice": twin_column,
        "a zero column": one_zero,
        "unlike columns": normal() * np.geomspace(1, 1e-3, d),
        "heavy tails": generator.standard_t(2, (n, d)),
        "sorted by length": normal() * np.geomspace(1e-3, 1, n)[:, None],
        "beyond float32 when squared": normal() * 1e25,
        "below float32 when squared": normal() * 1e-25,
        "integers": generator.integers(-3, 4, (n, d)).astype(np.float64),
    }


MANY_ROWS = _many_rows()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MANY_ROWS)
def test_many_rows_agree_whichever_precision_is_chosen(name: str, dtype: type) -> None:
    x = MANY_ROWS[name].astype(dtype)
    result = spectrum(x, chunk_rows=400)
    scale = np.abs(x).max()
    assert_agrees(
        replace(result, singular_values=result.singular_values / scale),
        x.astype(np.float64) / scale,
    )


@pytest.mark.parametrize(
    ("name", "quick"),
    [("ordinary", True), ("condition 1e+01", True), ("condition 1e+04", False)]
    + [(name, False) for name in ("half the rank", "few distinct rows", "a large mean")],
)
def test_float32_is_enough_where_the_spectrum_allows_it(
    monkeypatch: pytest.MonkeyPatch, name: str, quick: bool
) -> None:
    read: list[int] = []
    chunks = _Rows.chunks

    def counted(self: _Rows, chunk_rows: int) -> Iterator[Array]:
        read.append(chunk_rows)
        return chunks(self, chunk_rows)

    monkeypatch.setattr(_Rows, "chunks", counted)
    spectrum(MANY_ROWS[name].astype(np.float32), chunk_rows=400)
    assert (read == []) is quick


def test_float64_products_are_enough_up_to_a_condition_of_1e5(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_rows: _Rows) -> Array:
        raise AssertionError("by QR")

    # By its full name the module is hidden behind the function.
    monkeypatch.setattr(sys.modules["nmtune.study.spectrum"], "_triangle", refused)
    for condition in ("1e+04", "1e+05"):
        spectrum(MANY_ROWS[f"condition {condition}"], chunk_rows=400)
    with pytest.raises(AssertionError, match="by QR"):
        spectrum(MANY_ROWS["condition 1e+07"], chunk_rows=400)


@pytest.mark.parametrize("centering", ["none", "columns", "reference"])
def test_a_zero_matrix_has_no_direction(centering: Centring) -> None:
    for shape in ((5, 3), (3, 5), (1, 1)):
        result = spectrum(np.zeros(shape), centering=centering)
        assert (result.singular_values == 0).all()
        assert len(result.singular_values) == min(shape)
        assert (result.entropy, result.largest_ratio, result.effective_rank) == (0, 0, 0)


def test_what_centring_takes_away_whole_is_zero_and_not_rounding_noise() -> None:
    same_rows = np.tile(np.random.default_rng(0).standard_normal(6), (50, 1))
    assert spectrum(same_rows, centering="columns").singular_values.max() == 0
    same_columns = np.tile(np.random.default_rng(0).standard_normal((50, 1)), (1, 6))
    assert spectrum(same_columns, centering="reference").singular_values.max() == 0


def test_zero_rows_are_left_zero_by_the_reference_centring() -> None:
    x = np.random.default_rng(0).standard_normal((20, 5))
    padded = np.concatenate([x, np.zeros((3, 5))])
    expected = spectrum(x, centering="reference")
    result = spectrum(padded, centering="reference")
    assert result.singular_values == pytest.approx(expected.singular_values, abs=1e-12)


def test_one_direction_has_entropy_zero_and_rank_one() -> None:
    result = spectrum(np.ones((7, 1)))
    assert result.singular_values == pytest.approx([math.sqrt(7)])
    assert (result.entropy, result.largest_ratio, result.effective_rank) == (0, 0, 1)
    assert math.copysign(1, result.entropy) == math.copysign(1, result.largest_ratio) == 1


def test_equal_directions_have_the_largest_entropy() -> None:
    result = spectrum(np.eye(8))
    assert result.entropy == pytest.approx(math.log(8))
    assert result.largest_ratio == pytest.approx(math.log(8))
    assert result.effective_rank == pytest.approx(8)


@pytest.mark.parametrize("factor", [1e-300, 1e-200, 1e200, 1e300])
@pytest.mark.parametrize("centering", ["none", "columns", "reference"])
def test_magnitudes_far_from_one_stay_in_range(centering: Centring, factor: float) -> None:
    x = np.round(np.random.default_rng(0).standard_normal((40, 6)) * 1000)
    expected, result = spectrum(x, centering=centering), spectrum(x * factor, centering=centering)
    assert result.entropy == pytest.approx(expected.entropy, abs=1e-6)
    assert result.largest_ratio == pytest.approx(expected.largest_ratio, abs=1e-6)
    scale = 1 if centering == "reference" else factor
    assert result.singular_values / scale == pytest.approx(expected.singular_values, abs=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_value_that_is_not_finite_is_named(bad: float, dtype: type[np.floating]) -> None:
    x = np.ones((50, 4), dtype=dtype)
    x[33, 2] = bad
    with pytest.raises(DataError, match="in row 33, column 2") as raised:
        spectrum(x, chunk_rows=10)
    assert (raised.value.field, raised.value.row, raised.value.column) == ("x", 33, 2)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (4,), (2, 2, 2), ()])
def test_what_is_not_a_matrix_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="got shape"):
        spectrum(np.zeros(shape))


@pytest.mark.parametrize("x", [np.ones((2, 2), dtype=complex), np.array([["a", "b"]])])
def test_what_is_not_real_is_refused(x: NDArray[np.generic]) -> None:
    with pytest.raises(DataError, match="real numbers"):
        spectrum(x)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="none, columns, reference") as raised:
        spectrum(np.ones((2, 2)), centering="rows")  # type: ignore[arg-type]  # wrong on purpose
    assert raised.value.field == "centering"
    with pytest.raises(ConfigError, match="at least 1") as raised:
        spectrum(np.ones((2, 2)), chunk_rows=0)
    assert raised.value.field == "chunk_rows"


def test_its_repr_is_short() -> None:
    found = spectrum(np.eye(300))
    assert len(repr(found)) < 200
    assert "entropy=5.7" in repr(found)
