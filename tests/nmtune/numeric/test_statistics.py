"""Intervals and tests against independent oracles: rows really resampled, and scipy."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from nmtune.errors import DataError
from nmtune.numeric.statistics import (
    PairedCounts,
    bootstrap_interval,
    mcnemar_p_value,
    rank_correlation,
)


def pair(n_both: int, n_gained: int, n_lost: int, n_neither: int) -> NDArray[np.bool_]:
    """(2, n): which rows the candidate and the baseline got right."""
    candidate = [True] * (n_both + n_gained) + [False] * (n_lost + n_neither)
    baseline = [True] * n_both + [False] * n_gained + [True] * n_lost + [False] * n_neither
    return np.array([candidate, baseline])


def counts(n_both: int, n_gained: int, n_lost: int, n_neither: int) -> PairedCounts:
    return PairedCounts.of(*pair(n_both, n_gained, n_lost, n_neither))


def resampled(correct: NDArray[np.bool_], *, n_draws: int, seed: int) -> NDArray[np.float64]:
    """The naive bootstrap: draw rows, for both classifiers the same, and take the difference."""
    generator = np.random.default_rng(seed)
    n_rows = correct.shape[1]
    difference = correct[0].astype(float) - correct[1]
    rows = generator.integers(0, n_rows, (n_draws, n_rows))
    return np.asarray(difference[rows].mean(axis=1))


def test_counts_come_from_the_rows_where_they_disagree() -> None:
    found = counts(60, 12, 5, 23)
    assert (found.n_rows, found.n_gained, found.n_lost) == (100, 12, 5)
    assert found.n_disagreements == 17
    assert found.difference == pytest.approx(0.07)


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 2))])
def test_rows_that_do_not_pair_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(DataError, match="same rows"):
        PairedCounts.of(*(np.zeros(shape, bool) for shape in shapes))


@pytest.mark.parametrize("cells", [(60, 12, 5, 23), (700, 90, 40, 170), (150, 3, 25, 22)])
def test_interval_agrees_with_resampling_the_rows(cells: tuple[int, int, int, int]) -> None:
    draws = resampled(pair(*cells), n_draws=10_000, seed=1)
    expected = np.quantile(draws, [0.025, 0.975])
    # The ends move from seed to seed by a few hundredths of a standard error, and by whole rows.
    tolerance = 0.1 * draws.std() + 1 / sum(cells)
    assert bootstrap_interval([counts(*cells)]) == pytest.approx(expected, abs=tolerance)


def test_interval_of_a_mean_resamples_each_domain_and_weighs_them_alike() -> None:
    small, large = (20, 8, 2, 10), (500, 40, 60, 400)
    draws = [resampled(pair(*cells), n_draws=10_000, seed=2) for cells in (small, large)]
    mean = (draws[0] + draws[1]) / 2
    low, high = bootstrap_interval([counts(*small), counts(*large)])
    assert (low, high) == pytest.approx(np.quantile(mean, [0.025, 0.975]), abs=0.15 * mean.std())
    assert (low + high) / 2 == pytest.approx(mean.mean(), abs=0.1 * mean.std())


def test_interval_of_several_thousand_rows_is_the_normal_one() -> None:
    large = counts(7000, 600, 400, 2000)
    error = (1000 - 200**2 / 10_000) ** 0.5 / 10_000
    expected = (0.02 - 1.96 * error, 0.02 + 1.96 * error)
    assert bootstrap_interval([large]) == pytest.approx(expected, abs=0.1 * error)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    n_covered = 0
    for _ in range(400):
        gained, lost, _rest = generator.multinomial(400, [0.10, 0.06, 0.84])
        found = PairedCounts(n_rows=400, n_gained=int(gained), n_lost=int(lost))
        low, high = bootstrap_interval([found], n_draws=1000)
        n_covered += low <= 0.04 <= high
    assert 0.91 <= n_covered / 400 <= 0.98


def test_interval_is_the_same_every_time_and_mirrored_for_the_other_side() -> None:
    ours = bootstrap_interval([counts(60, 12, 5, 23)])
    assert ours == bootstrap_interval([counts(60, 12, 5, 23)])
    assert ours != bootstrap_interval([counts(60, 12, 5, 23)], seed=1, n_draws=500)
    low, high = bootstrap_interval([counts(60, 5, 12, 23)])
    assert (-high, -low) == pytest.approx(ours, abs=0.01)


def test_narrower_level_gives_a_narrower_interval() -> None:
    wide, narrow = (bootstrap_interval([counts(60, 12, 5, 23)], level=at) for at in (0.95, 0.5))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_classifiers_that_never_disagree_have_an_interval_of_nothing() -> None:
    assert bootstrap_interval([counts(80, 0, 0, 20)]) == (0, 0)
    assert mcnemar_p_value(0, 0) == 1


def test_interval_needs_a_split() -> None:
    with pytest.raises(DataError, match="at least one split"):
        bootstrap_interval([])


@pytest.mark.parametrize(
    ("n_gained", "n_lost"),
    [(1, 0), (0, 5), (6, 0), (3, 1), (7, 7), (8, 7), (15, 30), (510, 430), (20_500, 20_000)],
)
def test_mcnemar_agrees_with_scipys_binomial_test(n_gained: int, n_lost: int) -> None:
    expected = stats.binomtest(n_gained, n_gained + n_lost, 0.5).pvalue
    assert mcnemar_p_value(n_gained, n_lost) == pytest.approx(expected, rel=1e-8)
    assert mcnemar_p_value(n_lost, n_gained) == mcnemar_p_value(n_gained, n_lost)


def test_mcnemar_of_a_landslide_is_nothing_and_not_an_error() -> None:
    assert mcnemar_p_value(5000, 0) == 0
    assert 0 < mcnemar_p_value(600, 100) < 1e-80


@pytest.mark.parametrize("n_values", [4, 5, 6])
def test_rank_correlation_agrees_with_scipy_and_its_exact_permutation_test(n_values: int) -> None:
    generator = np.random.default_rng(n_values)
    x, y = generator.standard_normal((2, n_values)).tolist()
    found = rank_correlation(x, y)
    assert found is not None
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    exact = stats.permutation_test(
        (x,),
        lambda shuffled: stats.spearmanr(shuffled, y).statistic,
        permutation_type="pairings",
        n_resamples=np.inf,
        vectorized=False,
    )
    assert found.p_value == pytest.approx(exact.pvalue)
    assert found.n_values == n_values


def test_rank_correlation_of_many_values_agrees_with_scipys_approximation() -> None:
    generator = np.random.default_rng(3)
    x = generator.standard_normal(60)
    y = x + 2.5 * generator.standard_normal(60)
    found, expected = rank_correlation(x.tolist(), y.tolist()), stats.spearmanr(x, y)
    assert found is not None
    assert found.rho == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.01)


def test_equal_values_share_their_ranks() -> None:
    x, y = [1.0, 2.0, 2.0, 3.0, 2.0], [0.1, 0.4, 0.2, 0.4, 0.3]
    found = rank_correlation(x, y)
    assert found is not None
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)


def test_order_is_all_that_counts() -> None:
    found = rank_correlation([1, 2, 3, 4], [0.1, 10, 11, 1000])
    assert found is not None
    assert found.rho == pytest.approx(1)
    assert found.p_value == pytest.approx(2 / 24)


def test_what_does_not_vary_has_no_correlation() -> None:
    assert rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) is None
    assert rank_correlation([], []) is None


@pytest.mark.parametrize("y", [[1.0], [1.0, float("nan")]])
def test_correlation_of_unequal_lengths_or_missing_values_is_refused(y: list[float]) -> None:
    with pytest.raises(DataError, match="finite values"):
        rank_correlation([1.0, 2.0], y)
