"""Labels are wrong as often as asked, where asked, and for one seed the same at every level."""

import numpy as np
import pytest

from benchmarks.study.noise import Confusions, confusions_of, noisy
from benchmarks.study.sizes import KINDS

N, C = 20_000, 5


@pytest.fixture(scope="module")
def y() -> np.ndarray:
    return np.arange(N) % C


@pytest.fixture(scope="module")
def found(y: np.ndarray) -> Confusions:
    random = np.random.default_rng(1)
    return Confusions(
        other=(y + 1 + random.integers(0, 3, N)) % C,
        ambiguity=random.permutation(N) / (N - 1),
        of_class=np.array([1, 2, 3, 4, 0]),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.05, 0.3])
def test_the_share_of_wrong_labels_is_the_level(
    kind: str, level: float, y: np.ndarray, found: Confusions
) -> None:
    wrong = noisy(y, kind=kind, level=level, seed=0, n_classes=C, found=found) != y
    assert wrong.mean() == pytest.approx(level, abs=4 * np.sqrt(level / N))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_wrong_at_a_level_is_as_wrong_at_the_next(
    kind: str, y: np.ndarray, found: Confusions
) -> None:
    few, many = (
        noisy(y, kind=kind, level=level, seed=3, n_classes=C, found=found) for level in (0.1, 0.2)
    )
    assert (many[few != y] == few[few != y]).all()
    other = noisy(y, kind=kind, level=0.1, seed=4, n_classes=C, found=found)
    assert (other != few).any()


def test_uniform_noise_reaches_every_other_class_alike(y: np.ndarray, found: Confusions) -> None:
    labels = noisy(y, kind="uniform", level=0.5, seed=0, n_classes=C, found=found)
    counts = np.bincount(((labels - y) % C)[labels != y], minlength=C)
    assert counts[0] == 0
    assert counts[1:] == pytest.approx(np.full(C - 1, counts.sum() / (C - 1)), rel=0.1)


def test_class_noise_has_one_wrong_class_for_each(y: np.ndarray, found: Confusions) -> None:
    labels = noisy(y, kind="class", level=0.3, seed=0, n_classes=C, found=found)
    wrong = labels != y
    assert (labels[wrong] == found.of_class[y[wrong]]).all()


def test_instance_noise_spares_the_clearest_rows(y: np.ndarray, found: Confusions) -> None:
    labels = noisy(y, kind="instance", level=0.3, seed=0, n_classes=C, found=found)
    wrong = labels != y
    assert (labels[wrong] == found.other[wrong]).all()
    clear, vague = found.ambiguity < 0.1, found.ambiguity > 0.9
    assert wrong[clear].mean() < 0.06
    assert wrong[vague].mean() > 0.5


def test_clean_labels_stay(y: np.ndarray, found: Confusions) -> None:
    assert (noisy(y, kind="clean", level=0.0, seed=0, n_classes=C, found=found) == y).all()


def test_confusions_are_read_from_held_out_probabilities() -> None:
    probabilities = np.array(
        [[0.9, 0.06, 0.04], [0.5, 0.4, 0.1], [0.2, 0.1, 0.7], [0.3, 0.1, 0.6], [0.1, 0.8, 0.1]]
    )
    found = confusions_of(np.log(probabilities), np.array([0, 0, 2, 2, 1]))
    assert found.other.tolist()[:4] == [1, 1, 0, 0]
    assert found.of_class.tolist()[::2] == [1, 0]
    # leads: 2.7, 0.2, 1.25, 0.7, 2.1
    assert (found.ambiguity * 4).tolist() == [0, 4, 2, 3, 1]


def test_a_row_that_is_taken_for_another_class_is_the_most_ambiguous() -> None:
    scores = np.log([[0.2, 0.8], [0.6, 0.4]])
    assert confusions_of(scores, np.array([0, 0])).ambiguity.tolist() == [1, 0]
