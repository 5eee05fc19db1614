"""Rows to label: the unsure ones, far apart, some unlike the training rows, none twice."""

import numpy as np
import pytest

from nmtune.study.row_selection import SHORTLIST, choose, margins_of, shortlist


def pool(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings (n, 8) around 20 centres, margins, and the last tenth of the rows is OOD."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(20, 8))
    x = (centres[np.arange(n) % 20] + 0.1 * random.normal(size=(n, 8))).astype(np.float32)
    margins = random.random(n).astype(np.float32)
    return x, margins, np.arange(n) >= n - n // 10


def chosen(
    x: np.ndarray, margins: np.ndarray, is_ood: np.ndarray, k: int, share: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    found = shortlist(margins, is_ood, k, ood_share=share, seed=seed)
    return choose(found, x[found.uncertain], x[found.ood], k, seed=seed)


def test_a_margin_is_the_lead_of_the_best_class() -> None:
    probabilities = np.array([[0.2, 0.7, 0.1], [0.4, 0.2, 0.4], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(margins_of(probabilities), [0.5, 0.0, 1.0], atol=1e-7)
    np.testing.assert_allclose(margins_of(probabilities[:, :2]), [0.5, 0.2, 0.0], atol=1e-7)


def test_rows_are_unsure_spread_out_and_each_chosen_once() -> None:
    x, margins, is_ood = pool()
    uncertain, ood = chosen(x, margins, is_ood, 20, 0.0)
    assert len(ood) == 0
    assert len(set(uncertain.tolist())) == 20
    assert margins[uncertain].max() <= np.sort(margins)[SHORTLIST * 20 - 1]
    n_centres = len(set((uncertain % 20).tolist()))
    least_sure = np.argsort(margins)[:20]
    assert n_centres >= 18 > len(set((least_sure % 20).tolist()))


def test_a_share_goes_to_rows_unlike_the_training_rows() -> None:
    x, margins, is_ood = pool()
    margins[is_ood] = 0  # they would be chosen as uncertain too
    uncertain, ood = chosen(x, margins, is_ood, 20, 0.2)
    assert (len(uncertain), len(ood)) == (16, 4)
    assert is_ood[ood].all()
    found = shortlist(margins, is_ood, 20, ood_share=0.2)
    assert not set(found.uncertain.tolist()) & set(found.ood.tolist())
    assert not set(uncertain.tolist()) & set(ood.tolist())
    uncertain, ood = chosen(x, margins, np.zeros_like(is_ood), 20, 0.2)
    assert (len(uncertain), len(ood)) == (20, 0)


@pytest.mark.parametrize("power", [-60, 80, 124])
def test_the_scale_of_the_embeddings_changes_nothing(power: int) -> None:
    """Though float32 has no squares of the largest."""
    x, margins, is_ood = pool()
    expected = chosen(x, margins, is_ood, 20, 0.2)
    found = chosen(np.ldexp(x, power), margins, is_ood, 20, 0.2)
    assert [one.tolist() for one in found] == [one.tolist() for one in expected]


def test_near_duplicates_come_last_and_repeated_rows_not_at_all() -> None:
    x = 1000 + np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32)
    is_ood = np.arange(80) % 40 >= 30
    near = np.concatenate([x, x + np.float32(0.05)])
    uncertain, ood = chosen(near, np.zeros(80, np.float32), is_ood, 50, 0.2)
    assert (len(uncertain), len(ood)) == (40, 10)
    assert set((ood % 40).tolist()) == set(range(30, 40))
    assert set((uncertain[:30] % 40).tolist()) == set(range(30))
    repeated = np.concatenate([x, x])
    uncertain, ood = chosen(repeated, np.zeros(80, np.float32), is_ood, 80, 0.2)
    assert sorted((np.concatenate([uncertain, ood]) % 40).tolist()) == list(range(40))


def test_the_same_seed_gives_the_same_rows_and_another_others() -> None:
    x, margins, is_ood = pool()
    first, again, other = (
        np.concatenate(chosen(x, margins, is_ood, 20, 0.2, seed)) for seed in (1, 1, 2)
    )
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_rows_that_are_all_alike_give_one(value: float) -> None:
    x = np.full((5, 3), value, np.float32)
    uncertain, ood = chosen(x, np.zeros(5, np.float32), np.zeros(5, bool), 3, 0.2)
    assert len(uncertain) == 1
    assert len(ood) == 0
