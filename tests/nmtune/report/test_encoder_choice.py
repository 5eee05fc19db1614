"""Which encoder is chosen: the best, or of those that tie the cheapest, then the narrowest."""

import numpy as np
import pytest

from nmtune.errors import DataError
from nmtune.report.encoder_choice import ComparedEncoder, choose_encoder

RANDOM = np.random.default_rng(0)
LOSSES = RANDOM.gamma(1.0, 0.3, 400)


def one(
    name: str, worse_by: float = 0.0, *, noise: float = 0.3, **further: object
) -> ComparedEncoder:
    """An encoder whose losses are a little worse, and scattered from row to row."""
    scatter = RANDOM.normal(0, noise, len(LOSSES))
    losses = LOSSES + worse_by + scatter - scatter.mean()
    values = {"n_columns": 100, "cost": 1.0} | further
    return ComparedEncoder(name=name, losses=losses, **values)  # type: ignore[arg-type]


def test_one_that_is_clearly_best_is_chosen_whatever_it_costs() -> None:
    choice = choose_encoder([one("cheap", 0.2, cost=0.0, n_columns=1), one("best", cost=9.0)])
    assert choice.chosen == "best"
    assert [(place.name, place.ties) for place in choice.ranking] == [
        ("best", True),
        ("cheap", False),
    ]
    low, high = choice.ranking[1].interval or (0, 0)
    assert 0 < low < choice.ranking[1].difference < high
    assert choice.ranking[1].difference == pytest.approx(0.2)
    assert "clearly lower than the next, cheap" in choice.reason


@pytest.mark.parametrize(
    ("others", "chosen", "why"),
    [
        ([{"cost": 0.5}, {"cost": 0.9}], "tie0", "The cheapest of them was chosen"),
        ([{"n_columns": 60}, {"n_columns": 50}], "tie1", "They cost the same"),
        ([{"cost": None}, {"n_columns": 50, "cost": 7.0}], "tie1", "of some is not known"),
        ([{"cost": 0.5}, {"cost": 0.5, "n_columns": 50}], "tie1", "narrowest of the cheapest"),
    ],
)
def test_of_those_that_tie_the_cheapest_then_the_narrowest(
    others: list[dict[str, float | None]], chosen: str, why: str
) -> None:
    tied = [one(f"tie{place}", 0.01, **values) for place, values in enumerate(others)]
    far = one("far", 1.0, cost=0.0, n_columns=1)
    choice = choose_encoder([one("best"), *tied, far])
    assert choice.chosen == chosen
    assert why in choice.reason


def test_intervals_are_widened_to_the_number_of_comparisons() -> None:
    compared = [one("best"), one("second", 0.03)]
    few = choose_encoder(compared).ranking[1].interval
    many = choose_encoder([*compared, *(one(f"bad{at}", 2.0) for at in range(6))]).ranking[1]
    assert few is not None
    assert many.name == "second"
    assert many.interval is not None
    assert many.interval[1] - many.interval[0] > 1.3 * (few[1] - few[0])


def test_identical_encoders_tie() -> None:
    same = [
        ComparedEncoder(name=name, losses=LOSSES, n_columns=width, cost=cost)
        for name, width, cost in (("wide", 8, 0.1), ("narrow", 4, 0.2))
    ]
    assert choose_encoder(same).chosen == "wide", "which is cheaper"


@pytest.mark.parametrize("lengths", [[400], [400, 399], [1, 1]])
def test_what_cannot_be_compared(lengths: list[int]) -> None:
    compared = [
        ComparedEncoder(name=str(place), losses=LOSSES[:n], n_columns=1)
        for place, n in enumerate(lengths)
    ]
    with pytest.raises(DataError):
        choose_encoder(compared)
