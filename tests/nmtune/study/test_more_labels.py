"""What more labels would bring: true gains of known power laws, and honest doubt where there is."""

import json

import numpy as np
import pytest

from nmtune.errors import DataError
from nmtune.study.learning_curve import LearningPoint
from nmtune.study.more_labels import would_more_labels_help

FRACTIONS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)


def points(
    a: float, b: float, exponent: float, *, noise: float = 0, seed: int = 0, n_seeds: int = 3
) -> list[LearningPoint]:
    """Accuracy a - b f^-exponent at the fraction f of 2000 rows, each seed a little off."""
    generator = np.random.default_rng(seed)
    return [
        LearningPoint(
            fraction=fraction,
            n_rows=round(2000 * fraction),
            accuracies={
                "test": tuple(
                    a - b * fraction**-exponent + noise * generator.standard_normal(n_seeds)
                )
            },
        )
        for fraction in FRACTIONS
    ]


@pytest.mark.parametrize(
    ("a", "b", "exponent"), [(0.95, 0.1, 0.8), (0.9, 0.08, 0.5), (0.9, 0.15, 0.2), (1.3, 0.6, 0.05)]
)
def test_the_gain_of_a_clean_power_law_is_found(a: float, b: float, exponent: float) -> None:
    outlook = would_more_labels_help(points(a, b, exponent), split="test")
    true_gain = b * (1 - 2**-exponent)
    assert outlook.gain == pytest.approx(true_gain, rel=0.15)
    assert outlook.low is not None
    assert outlook.high is not None
    assert 0 < outlook.low < true_gain < outlook.high
    assert outlook.verdict == "rising"
    assert (outlook.n_rows, outlook.accuracy) == (2000, pytest.approx(a - b))
    assert "More labels would help on test" in outlook.sentence
    assert "2,000 training rows to 4,000" in outlook.sentence
    assert f"{100 * outlook.gain:+.1f} points" in outlook.sentence


@pytest.mark.parametrize("noise", [0.003, 0.01])
@pytest.mark.parametrize(("a", "b", "exponent"), [(0.9, 0.05, 0.5), (0.85, 0.1, 0.2), (0.7, 0, 1)])
def test_the_interval_holds_the_true_gain_about_as_often_as_it_says(
    a: float, b: float, exponent: float, noise: float
) -> None:
    true_gain = b * (1 - 2**-exponent)
    n_held = 0
    for seed in range(200):
        outlook = would_more_labels_help(
            points(a, b, exponent, noise=noise, seed=seed), split="test"
        )
        assert outlook.low is not None
        assert outlook.high is not None
        n_held += outlook.low <= true_gain <= outlook.high
    assert n_held >= 0.88 * 200


def test_a_flat_curve_is_called_flat() -> None:
    outlook = would_more_labels_help(points(0.8, 0, 1, noise=0.003), split="test")
    assert outlook.verdict == "flat"
    assert "More labels would hardly help on test" in outlook.sentence
    assert would_more_labels_help(points(1, 0, 1), split="test").gain == pytest.approx(0, abs=1e-9)
    assert "-0.0" not in would_more_labels_help(points(0.5, 1e-9, 1), split="test").sentence


def test_a_curve_that_falls_is_not_called_flat() -> None:
    outlook = would_more_labels_help(points(0.4, -0.05, 0.5), split="test")
    assert outlook.verdict == "falling"
    assert "would hurt on test" in outlook.sentence


def test_where_seeds_scatter_nothing_is_promised() -> None:
    outlook = would_more_labels_help(points(0.8, 0.01, 0.5, noise=0.06), split="test")
    assert outlook.verdict == "unclear"
    assert "is unclear" in outlook.sentence


def test_one_seed_scattered_about_the_curve_is_not_surer_than_three() -> None:
    one = points(0.9, 0.05, 0.5, noise=0.02, n_seeds=1)
    outlook = would_more_labels_help(one, split="test")
    assert outlook.low is not None
    assert outlook.high is not None
    assert outlook.high - outlook.low > 0.02


def test_no_accuracy_above_one_is_promised() -> None:
    outlook = would_more_labels_help(points(1.3, 0.302, 0.3), split="test")
    assert outlook.gain == pytest.approx(0.002)
    assert outlook.high == pytest.approx(0.002)


def test_the_order_of_the_points_does_not_matter() -> None:
    some = points(0.9, 0.08, 0.5, noise=0.01)
    assert would_more_labels_help(some[::-1], split="test") == would_more_labels_help(
        some, split="test"
    )


def test_two_sizes_are_too_few() -> None:
    outlook = would_more_labels_help(points(0.9, 0.08, 0.5)[:2], split="test")
    assert (outlook.verdict, outlook.gain, outlook.low, outlook.high) == ("unknown", *[None] * 3)
    assert "Too few sizes" in outlook.sentence
    assert json.loads(json.dumps(outlook.to_dict()))["n_rows"] == 400


def test_a_split_that_was_not_measured_is_refused() -> None:
    for some in ([], points(0.9, 0.08, 0.5)):
        with pytest.raises(DataError, match="'ood/art'") as raised:
            would_more_labels_help(some, split="ood/art")
        assert raised.value.field == "split"
