"""The answers of a study follow from its figures, and say when there are too few."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks.study import verdict
from benchmarks.study.forecast import forecast, judge
from benchmarks.study.summary import Interval, Results

Make = Callable[..., list[dict[str, Any]]]


def wobble(seed: int, kind: str) -> float:
    """Between -1 and 1, another for each seed and kind."""
    return float(np.random.default_rng((seed, len(kind))).uniform(-1, 1))


def test_noise_that_adds_to_every_seed_helps(lines_of: Make) -> None:
    lines = lines_of(lambda kind, level, seed: (0.7 + 0.01 * seed + 0.2 * level, 0.5, 1.0))
    found = verdict.helps_in_domain(Results(lines))
    assert found.sentences == [
        f"{kind}: helps in all 8." for kind in ("uniform", "class", "instance")
    ]
    assert found.rows[0][1].startswith("+2.0 [")


def test_only_the_kind_that_hurts_is_said_to(lines_of: Make) -> None:
    def figures(kind: str, level: float, seed: int) -> tuple[float, float, float]:
        lost = 0.2 * level if kind == "class" else 0.0
        return 0.7 + 0.01 * seed - lost + 0.01 * wobble(seed, kind), 0.5, 1.0

    found = verdict.helps_in_domain(Results(lines_of(figures)))
    assert found.sentences[0] == "uniform: no clear change in all 8."
    assert found.sentences[1] == "class: hurts in all 8."


def test_differences_between_seeds_do_not_hide_those_between_levels(lines_of: Make) -> None:
    lines = lines_of(lambda kind, level, seed: (0.3 + 0.05 * seed + 0.01 * level, 0.5, 1.0))
    assert "helps in all 8" in verdict.helps_in_domain(Results(lines)).sentences[0]


def test_accuracy_that_falls_in_every_seed_falls(lines_of: Make) -> None:
    lines = lines_of(lambda kind, level, seed: (0.7, 0.5 - level, 1.0 + level))
    falls = verdict.falls_out_of_domain(Results(lines))
    assert falls.sentences[0] == "uniform: falls in all 8."
    assert falls.rows[0][1] == "-1.00 [-1.00, -1.00]"
    assert verdict.moves_spectra(Results(lines)).sentences == [
        "SVE: rises in all 9.",
        "LSVR: rises in all 9.",
    ]


def test_the_worst_kind_lies_below_both_others_in_pairs(lines_of: Make) -> None:
    cost = {"clean": 0.0, "uniform": 0.1, "class": 0.3, "instance": 0.1}
    lines = lines_of(
        lambda kind, level, seed: (
            0.7,
            0.5 - cost[kind] * level + 0.002 * wobble(seed, kind),
            1.0,
        )
    )
    assert verdict.worst(Results(lines)).sentences == ["In 8 of 8 methods: class noise."]
    cost["uniform"] = 0.3
    lines = lines_of(
        lambda kind, level, seed: (
            0.7,
            0.5 - cost[kind] * level + 0.01 * wobble(seed, kind),
            1.0,
        )
    )
    (sentence,) = verdict.worst(Results(lines)).sentences
    assert "no kind clearly below the others" in sentence


def test_equal_methods_show_no_change_by_the_terms(lines_of: Make) -> None:
    lines = lines_of(lambda kind, level, seed: (0.7 + 0.01 * seed, 0.5, 1.0))
    assert all("no clear change" in one for one in verdict.terms_help(Results(lines)).sentences)


def test_two_seeds_are_too_few(lines_of: Make) -> None:
    lines = lines_of(lambda kind, level, seed: (0.7 + level, 0.5 - level, 1.0), n_seeds=2)
    results = Results(lines)
    assert verdict.helps_in_domain(results).sentences[0] == "uniform: too few models to tell."
    assert all("too few models to tell" in one for one in forecast(results).sentences)
    assert verdict.worst(results).sentences == ["In 8 of 8 methods: too few models to tell."]


def test_a_seed_without_all_its_cells_is_left_out(lines_of: Make) -> None:
    lines = lines_of(lambda kind, level, seed: (0.7, 0.5, 1.0), n_seeds=4)
    found = Results([one for one in lines if (one["kind"], one["seed"]) != ("class", 3)])
    assert found.seeds == [0, 1, 2]
    assert found.accuracy("full", "ood").shape == (7, 3)


class TestForecast:
    def test_a_measure_that_knows_more_than_id_accuracy_forecasts(
        self, random: np.random.Generator
    ) -> None:
        measure, in_domain = random.normal(size=(2, 7, 20))
        out = in_domain + measure + 0.1 * random.normal(size=(7, 20))
        found = judge(measure, in_domain, out)
        assert found.verdict == "forecasts"
        assert found.partial is not None
        assert found.partial.mean > 0.9

    def test_a_measure_that_follows_id_accuracy_says_no_more(
        self, random: np.random.Generator
    ) -> None:
        in_domain = random.normal(size=(7, 20))
        measure = in_domain + 0.3 * random.normal(size=(7, 20))
        out = in_domain + 0.3 * random.normal(size=(7, 20))
        found = judge(measure, in_domain, out)
        assert found.verdict == "forecasts only what ID accuracy already says"

    def test_a_measure_of_the_noise_alone_does_not_forecast(
        self, random: np.random.Generator
    ) -> None:
        measure = np.arange(7.0)[:, None] + 0.1 * random.normal(size=(7, 20))
        in_domain, out = random.normal(size=(2, 7, 20))
        assert judge(measure, in_domain, out).verdict == "does not forecast"

    def test_a_condition_is_predicted_from_the_others_alone(
        self, random: np.random.Generator
    ) -> None:
        """One noise differs from all others, in the measure and in accuracy: no law follows."""
        measure, out = 0.1 * random.normal(size=(2, 7, 20))
        measure[6] += 10
        out[6] += 2
        found = judge(measure, random.normal(size=(7, 20)), out)
        assert found.alone is not None
        assert found.alone.mean < 0.8

    @pytest.mark.parametrize("shape", [(2, 20), (7, 2), (3, 3)])
    def test_few_models_or_noises_are_said(
        self, shape: tuple[int, int], random: np.random.Generator
    ) -> None:
        measure, in_domain, out = random.normal(size=(3, *shape))
        assert judge(measure, in_domain, out).verdict == "too few models to tell"


def test_an_interval_has_a_sign_only_away_from_zero() -> None:
    assert Interval(mean=1, low=0.1, high=2).sign == 1
    assert Interval(mean=-1, low=-2, high=-0.1).sign == -1
    assert Interval(mean=1, low=-0.1, high=2).sign == 0
    assert Interval(mean=1, low=None, high=None).sign is None
