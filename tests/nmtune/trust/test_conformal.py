"""Conformal sets: the true class is in them as often as stated, on real rows too."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from nmtune.errors import DataError
from nmtune.trust.conformal import LEVELS, Conformal
from tests.nmtune.trust.real_sets import PATHS, real_set

Z = 3.0  # standard errors: one such miss in 700


def test_thresholds_are_the_order_statistics_that_the_finite_sample_asks_for() -> None:
    of_truth = np.random.default_rng(0).permutation(np.arange(1, 100) / 100)
    conformal = Conformal.fit(of_truth)
    assert conformal is not None
    for at, level in enumerate(LEVELS[: len(conformal.least)]):
        k = math.ceil(round(100 * int(level) / 1000, 9))
        assert conformal.least[at] == pytest.approx(sorted(of_truth, reverse=True)[k - 1])
    assert conformal.highest_level == 0.99
    assert (conformal.least.astype(np.float64) <= np.sort(of_truth)[::-1][49]).all()


@pytest.mark.parametrize(("n_rows", "highest"), [(1, 0.5), (9, 0.9), (99, 0.99), (199, 0.995)])
def test_rows_allow_levels_up_to_n_over_n_plus_one(n_rows: int, highest: float) -> None:
    conformal = Conformal.fit(np.full(n_rows, 0.5))
    assert conformal is not None
    assert conformal.highest_level == highest
    assert Conformal.fit(np.zeros(0)) is None


@pytest.mark.parametrize(("asked", "kept"), [(0.5, 0.5), (0.9, 0.9), (0.901, 0.905), (0.7, 0.7)])
def test_a_level_between_two_counts_as_the_higher(asked: float, kept: float) -> None:
    conformal = Conformal.fit(np.full(500, 0.5))
    assert conformal is not None
    assert conformal.level(asked) == kept


@pytest.mark.parametrize(
    ("n_rows", "asked", "words"),
    [
        (500, 0.49, "must be from 0.5 to 0.995, got 0.49"),
        (500, 0.999, "must be from 0.5 to 0.995"),
        (500, math.nan, "must be from 0.5"),
        (30, 0.99, "needs 99 held-out rows, and this head had 30: ask for at most 0.965"),
        (9, 0.95, "needs 19 held-out rows, and this head had 9: ask for at most 0.9"),
    ],
)
def test_level_that_cannot_be_kept_is_refused(n_rows: int, asked: float, words: str) -> None:
    conformal = Conformal.fit(np.full(n_rows, 0.5))
    assert conformal is not None
    with pytest.raises(DataError) as caught:
        conformal.sets(np.ones((1, 2)) / 2, asked)
    assert words in caught.value.message
    assert caught.value.field == "conformal_level"


def test_coverage_over_draws_is_the_level_and_little_more() -> None:
    """Fresh calibration rows each time: the guarantee is on average over those too."""
    random = np.random.default_rng(3)
    for level in (0.6, 0.9):
        covered = []
        for _ in range(400):
            logits = random.normal(size=(150, 5)) * 2
            odds = np.exp(logits)
            p = odds / odds.sum(axis=1, keepdims=True)
            y = np.array([random.choice(5, p=row) for row in p])
            conformal = Conformal.fit(p[np.arange(100), y[:100]])
            assert conformal is not None
            # Without the rule that no set is empty: that only adds.
            least = conformal.least[round(level * 1000 - 500) // 5]
            covered.append(float((p[np.arange(100, 150), y[100:]] >= least).mean()))
        error = np.std(covered) / 20
        assert level - Z * error <= np.mean(covered) <= level + 1 / 101 + Z * error


def test_no_set_is_empty_and_sets_grow_with_the_level() -> None:
    random = np.random.default_rng(1)
    p = random.dirichlet(np.ones(6), size=200).astype(np.float32)
    conformal = Conformal.fit(random.random(300))
    assert conformal is not None
    sizes = [conformal.sets(p, level).sum(axis=1) for level in (0.5, 0.8, 0.95)]
    assert all((size >= 1).all() for size in sizes)
    assert (sizes[0] <= sizes[1]).all()
    assert (sizes[1] <= sizes[2]).all()
    np.testing.assert_array_equal(conformal.sets(p, 0.5)[range(200), p.argmax(axis=1)], True)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_real_test_rows_are_covered_as_stated(path: Path) -> None:
    """Within a binomial interval that allows for the calibration rows' own chance too.

    Not beyond 0.95: out-of-fold models are not quite the head, which shows in the last per cent.
    """
    data = real_set(path)
    held_out, head = data.fit.held_out, data.fit.head
    assert held_out is not None
    conformal = Conformal.fit(held_out.of_truth(head.temperature))
    assert conformal is not None
    x, y = data.splits["test"]
    probabilities = head.predict_proba(x)
    for level in (0.8, 0.9, 0.95):
        covered = conformal.sets(probabilities, level)[np.arange(len(y)), y].mean()
        error = math.sqrt(level * (1 - level) * (1 / len(y) + 1 / conformal.n_rows))
        assert covered >= level - Z * error, level


def test_comes_back_from_its_tensors_and_refuses_what_does_not_fit() -> None:
    conformal = Conformal.fit(np.random.default_rng(0).random(50))
    assert conformal is not None
    tensors = conformal.tensors()
    again = Conformal.from_tensors(tensors)
    assert again.n_rows == 50
    np.testing.assert_array_equal(again.least, conformal.least)
    like = torch.from_numpy(conformal.least)
    for change in (
        {"least": like.flip(0)},
        {"least": like + 1},
        {"least": like * torch.nan},
        {"least": like[:0]},
        {"least": torch.tensor(0.5)},
        {"least": like.double()},
        {"least": torch.zeros(101)},
        {"n_rows": torch.tensor([0])},
        {"n_rows": torch.tensor([1.5])},
        {"more": like},
    ):
        with pytest.raises(ValueError, match=r"conformal|tensor"):
            Conformal.from_tensors(tensors | change)
