"""Known class shares: Bayes' rule, and what is refused."""

import numpy as np
import pytest
from scipy.special import softmax

from nmtune import DataError
from nmtune.heads.class_shares import ClassSharesUnknownError, check, offsets, shares_of

CLASSES = ["ham", "spam"]


def test_the_correction_is_what_a_count_of_rows_gives() -> None:
    """Of rows that look the same, 3 in 10 are spam; then ham becomes eight times rarer."""
    scores = np.log([[0.7, 0.3]])
    trained = {"ham": 0.8, "spam": 0.2}
    wanted = {"ham": 1 / 3, "spam": 2 / 3}
    weight = np.array([0.7 * (1 / 3) / 0.8, 0.3 * (2 / 3) / 0.2])
    found = softmax(scores + offsets(wanted, trained, CLASSES), axis=1)
    np.testing.assert_allclose(found[0], weight / weight.sum(), rtol=1e-6)
    assert found[0, 1] > 0.3


def test_the_training_shares_themselves_change_nothing() -> None:
    trained = {"ham": 0.8, "spam": 0.2}
    assert (offsets(trained, trained, CLASSES) == 0).all()


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"ham": 1.0}, "lacks 'spam'"),
        ({"ham": 0.5, "spam": 0.3, "eggs": 0.2}, "names 'eggs'"),
        ({"ham": 1.0, "spam": 0.0}, "the share of 'spam'"),
        ({"ham": 1.2, "spam": -0.2}, "the share of 'ham'|the share of 'spam'"),
        ({"ham": float("nan"), "spam": 0.5}, "the share of 'ham'"),
        ({"ham": 0.5, "spam": 0.5 + 2e-6}, "add up to 1"),
    ],
)
def test_wrong_shares_name_the_class(shares: dict[str, float], said: str) -> None:
    with pytest.raises(DataError, match=said) as refused:
        check(shares, CLASSES)
    assert refused.value.field == "class_shares"


def test_shares_within_a_millionth_are_taken_as_they_are() -> None:
    assert check({"ham": 0.5, "spam": 0.5 + 5e-7}, CLASSES).tolist() == [0.5, 0.5 + 5e-7]


@pytest.mark.parametrize("trained", [None, {}, {"ham": 1.0, "spam": 0.0}])
def test_a_head_that_does_not_know_its_shares_refuses(trained: dict[str, float] | None) -> None:
    with pytest.raises(ClassSharesUnknownError):
        offsets({"ham": 0.5, "spam": 0.5}, trained, CLASSES)


def test_shares_are_counted_with_classes_that_have_no_row() -> None:
    assert shares_of(np.array([0, 0, 0, 0]), CLASSES) == {"ham": 1.0, "spam": 0.0}
