"""Tell a difference from chance: intervals and tests for figures that rest on a few rows.

Two classifiers judged on the same rows differ only in the rows that one got right and the other
wrong, so their comparison is paired and needs no more than those two counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import NormalDist
from typing import Any, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nmtune.errors import DataError

N_DRAWS = 20_000  # moves an end of the interval by about 2 % of a standard error from seed to seed
_EXACT_UP_TO = 8  # values; their 40 320 orders are gone through one by one
_SAME = 1e-9  # rank correlations closer than this are equal but for rounding
_Z: Final = 1.959963984540054  # of a two-sided 95 % interval

_Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PairedCounts:
    """How two classifiers did on the same n_rows rows.

    n_gained: rows that only the candidate got right; n_lost: rows that only the baseline got right.
    On all the others both were right or both were wrong.
    """

    n_rows: int
    n_gained: int
    n_lost: int

    @classmethod
    def of(cls, candidate: NDArray[np.bool_], baseline: NDArray[np.bool_]) -> Self:
        """Count them from two arrays (n,) that say which rows each got right.

        Raises DataError if there is no row or the lengths differ.
        """
        candidate, baseline = np.asarray(candidate, bool), np.asarray(baseline, bool)
        if candidate.ndim != 1 or candidate.shape != baseline.shape or len(candidate) == 0:
            raise DataError(
                "a paired comparison needs the same rows, at least one, of both: got shapes "
                f"{candidate.shape} and {baseline.shape}"
            )
        return cls(
            n_rows=len(candidate),
            n_gained=int(np.count_nonzero(candidate & ~baseline)),
            n_lost=int(np.count_nonzero(baseline & ~candidate)),
        )

    @property
    def n_disagreements(self) -> int:
        """Rows that only one of the two got right."""
        return self.n_gained + self.n_lost

    @property
    def difference(self) -> float:
        """Accuracy of the candidate minus that of the baseline, -1..1."""
        return (self.n_gained - self.n_lost) / self.n_rows


def bootstrap_interval(
    splits: Sequence[PairedCounts], *, level: float = 0.95, seed: int = 0, n_draws: int = N_DRAWS
) -> tuple[float, float]:
    """The (low, high) percentile interval of the accuracy difference, averaged over `splits`.

    The nonparametric bootstrap of the rows (Efron & Tibshirani 1993, An Introduction to the
    Bootstrap, chapters 6 and 13): each draw takes as many rows as the split has, with replacement,
    for both classifiers the same. The counts of such a draw are multinomial, so they are drawn
    instead of the rows. With several splits each is resampled on its own and the mean over them is
    unweighted: the interval speaks of other rows of these splits, not of other splits. The same
    arguments give the same interval.

    With fewer than about ten disagreements a percentile interval is too narrow; `mcnemar_p_value`
    is exact there. Raises DataError if there is no split.
    """
    if not splits:
        raise DataError("an interval needs at least one split")
    generator = np.random.default_rng(seed)
    total = np.zeros(n_draws)
    for counts in splits:
        n, gained, lost = counts.n_rows, counts.n_gained, counts.n_lost
        drawn = generator.multinomial(n, [gained / n, lost / n, (n - gained - lost) / n], n_draws)
        total += (drawn[:, 0] - drawn[:, 1]) / n
    low, high = np.quantile(total / len(splits), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mcnemar_p_value(n_gained: int, n_lost: int) -> float:
    """How often two equally good classifiers would disagree at least as unevenly as this, 0..1.

    McNemar's test (McNemar 1947, Psychometrika 12; recommended for classifiers judged on one test
    set by Dietterich 1998, Neural Computation 10), two-sided and exact whatever the counts: under
    the null hypothesis each disagreement falls to either side like a fair coin, so the probability
    is binomial and no approximation is needed. Takes time and memory in proportion to the smaller
    count. 1 where they never disagree.
    """
    n, fewer = n_gained + n_lost, min(n_gained, n_lost)
    # log of C(n, i) for i = 0..fewer, each from the one before it: C(n, i) = C(n, i-1) (n-i+1) / i
    i = np.arange(1, fewer + 1, dtype=np.float64)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((n - i + 1) / i))])
    tail = np.exp(log_choose - n * math.log(2)).sum()
    return min(1.0, 2 * float(tail))


def wilson_interval(share: float, n_rows: int) -> tuple[float, float]:
    """The 95 % interval (low, high) of a share of n_rows rows.

    Wilson's score interval (Wilson 1927, Journal of the American Statistical Association 22), which
    holds for few rows and for shares near 0 or 1, and never leaves 0..1.
    """
    scale = 1 + _Z**2 / n_rows
    centre = (share + _Z**2 / (2 * n_rows)) / scale
    half = _Z * math.sqrt(share * (1 - share) / n_rows + _Z**2 / (4 * n_rows**2)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def newcombe_interval(
    before: float, n_before: int, after: float, n_after: int
) -> tuple[float, float]:
    """The 95 % interval (low, high) of after - before, two shares of independent rows.

    Newcombe's hybrid of two Wilson intervals (Newcombe 1998, Statistics in Medicine 17, method 10),
    which holds for few rows and for shares near 1.
    """
    low_before, high_before = wilson_interval(before, n_before)
    low_after, high_after = wilson_interval(after, n_after)
    difference = after - before
    return (
        difference - math.sqrt((after - low_after) ** 2 + (high_before - before) ** 2),
        difference + math.sqrt((high_after - after) ** 2 + (before - low_before) ** 2),
    )


def mean_interval(values: _Numbers, *, level: float = 0.95) -> tuple[float, float]:
    """The interval (low, high) of the mean of values (n,), n at least 2; of 95 % by default.

    Student's; its quantile by the expansion of Cornish and Fisher in 1 / (n - 1) (Abramowitz &
    Stegun 26.7.5), which is right to 1 in 1000 from 10 values on.
    """
    n, z = len(values), NormalDist().inv_cdf((1 + level) / 2)
    free = n - 1
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    mean, half = float(values.mean()), t * float(values.std(ddof=1)) / math.sqrt(n)
    return mean - half, mean + half


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Spearman's rank correlation of n_values pairs.

    rho: -1 (opposite order) to 1 (same order). p_value: how often a random order would give a rho
    at least as far from 0.
    """

    rho: float
    p_value: float
    n_values: int


def rank_correlation(
    x: Sequence[float], y: Sequence[float], *, seed: int = 0, n_draws: int = N_DRAWS
) -> RankCorrelation | None:
    """Spearman's correlation of x (n,) and y (n,) with a permutation test; None if one is constant.

    Source: Spearman 1904, The American Journal of Psychology 15. Equal values share the mean of
    their ranks. The test goes through every order of up to eight values, and through `n_draws`
    seeded random ones of more (Efron & Tibshirani 1993, chapter 15). Raises DataError where x and y
    differ in length or hold a value that is not finite.
    """
    values = np.asarray([x, y], np.float64) if len(x) == len(y) else None
    if values is None or not np.isfinite(values).all():
        raise DataError("a rank correlation needs finite values, as many of x as of y")
    if any(len(np.unique(each)) < 2 for each in values):
        return None
    first, second = (_standardised(_ranks(each)) for each in values)
    rho = float(first @ second)
    n_values = len(first)
    is_exact = n_values <= _EXACT_UP_TO
    if is_exact:
        shuffled = second[np.array(list(permutations(range(n_values))))]
    else:
        generator = np.random.default_rng(seed)
        shuffled = generator.permuted(np.tile(second, (n_draws, 1)), axis=1)
    n_as_far = int(np.count_nonzero(np.abs(shuffled @ first) >= abs(rho) - _SAME))
    # The order at hand is one of all the exact orders; among random ones it has to be counted too.
    n_extra = 0 if is_exact else 1
    return RankCorrelation(
        rho=max(-1.0, min(1.0, rho)),
        p_value=(n_as_far + n_extra) / (len(shuffled) + n_extra),
        n_values=n_values,
    )


def _ranks(values: _Numbers) -> NDArray[Any]:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[index]


def _standardised(ranks: NDArray[Any]) -> _Numbers:
    centred = ranks - ranks.mean()
    return np.asarray(centred / np.sqrt((centred**2).sum()), np.float64)
