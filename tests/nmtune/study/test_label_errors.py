"""Suspected labels against the paper's own loops, and on real rows some labels of which are wrong.

The oracle below was compared with cleanlab 2.9 (which needs pandas, so it is no dependency here).
"""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from nmtune.errors import ConfigError, DataError
from nmtune.study.label_errors import LabelErrors, find_label_errors
from tests.support.places import ROOT

INTENTS = ROOT / "examples" / "data" / "intents.npz"


def sample(
    n_rows: int, n_classes: int, *, seed: int = 0, sharpness: float = 2.0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, n_classes, n_rows)
    logits = sharpness * generator.standard_normal((n_rows, n_classes))
    logits[np.arange(n_rows), y] += sharpness
    exponentials = np.exp(logits)
    return (exponentials / exponentials.sum(1, keepdims=True)).astype(np.float32), y


def joint_by_loops(
    probabilities: NDArray[np.floating], y: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[tuple[float, int, int, int]]]:
    """The paper's confident joint, and (margin, row, given, suggested) of the suspected rows."""
    n_rows, n_classes = probabilities.shape
    thresholds = {
        j: float(np.mean([probabilities[i, j] for i in range(n_rows) if y[i] == j]))
        for j in set(y.tolist())
    }
    joint = np.zeros((n_classes, n_classes), np.int64)
    suspected = []
    for i in range(n_rows):
        given = int(y[i])
        reached = [j for j, low in thresholds.items() if probabilities[i, j] >= low - 1e-6]
        if reached:
            likely = max(reached, key=lambda j: (probabilities[i, j], -j))
            joint[given, likely] += 1
            margin = float(probabilities[i, given]) - float(probabilities[i, likely])
            if margin < 0:
                suspected.append((margin, i, given, likely))
    return joint, sorted(suspected)


def noise_rate_of(joint: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    scaled = joint.astype(np.float64)
    np.fill_diagonal(scaled, np.maximum(scaled.diagonal(), 1))
    scaled *= (np.bincount(y, minlength=len(joint)) / scaled.sum(1))[:, None]
    return 1 - float(np.trace(scaled)) / len(y)


@pytest.mark.parametrize(
    ("n_rows", "n_classes"), [(1, 2), (9, 2), (300, 2), (400, 5), (500, 60), (300, 1200)]
)
def test_everything_agrees_with_the_loops_of_the_paper(n_rows: int, n_classes: int) -> None:
    probabilities, y = sample(n_rows, n_classes)
    joint, suspected = joint_by_loops(probabilities, y)
    result = find_label_errors(probabilities, y)
    rebuilt = np.zeros_like(joint)
    rebuilt[result.joint_given, result.joint_suggested] = result.joint_counts
    assert (rebuilt == joint - np.diag(joint.diagonal())).all()
    assert (np.diff(result.joint_counts) <= 0).all()
    assert result.noise_rate == pytest.approx(noise_rate_of(joint, y))
    found = zip(result.rows, result.given, result.suggested, strict=True)
    assert list(found) == [(i, given, likely) for _, i, given, likely in suspected]
    margins = result.given_probability - result.suggested_probability
    assert margins == pytest.approx([margin for margin, *_ in suspected])
    assert result.suspected_share == len(suspected) / n_rows
    present = np.unique(y)
    assert result.n_rows_of_class.tolist() == np.bincount(y, minlength=n_classes).tolist()
    assert result.thresholds[present] == pytest.approx(
        [probabilities[y == index, index].mean() for index in present]
    )


@pytest.mark.parametrize(("n_rows", "n_classes"), [(400, 5), (300, 90)])
def test_the_disagreement_is_that_of_the_surest_fifth_of_each_prediction(
    n_rows: int, n_classes: int
) -> None:
    probabilities, y = sample(n_rows, n_classes)
    wrong = []
    for index in range(n_classes):
        members = [i for i in range(n_rows) if probabilities[i].argmax() == index]
        members.sort(key=lambda i: float(-probabilities[i].max()))
        wrong += [y[i] != index for i in members[: -(-len(members) // 5)]]
    result = find_label_errors(probabilities, y)
    share = np.mean(wrong)
    assert result.n_confident_rows == len(wrong)
    assert result.confident_disagreement == pytest.approx(share)
    assert result.disagreement_error == pytest.approx(np.sqrt(share * (1 - share) / len(wrong)))


def test_a_class_without_a_row_is_never_suggested() -> None:
    probabilities = np.array([[0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0], [0.7, 0.2, 0.1]])
    result = find_label_errors(probabilities, np.array([0, 1, 0, 0]))
    assert 2 not in result.joint_suggested
    assert 2 not in result.suggested
    assert result.thresholds[2] == 1
    assert result.n_rows_of_class.tolist() == [3, 1, 0]


def test_labels_all_of_one_class_are_not_suspected() -> None:
    probabilities, _ = sample(50, 3)
    result = find_label_errors(probabilities, np.zeros(50, dtype=np.int64))
    assert (len(result.rows), result.noise_rate, result.confident_disagreement) == (0, 0, 0)


def test_a_suggestion_less_probable_than_the_label_is_no_suspicion() -> None:
    # Class 1 is rare and never predicted: its threshold, 0.05, is reached by two rows that are
    # at least four times as probably what their label says.
    probabilities = np.array([[0.9, 0.1], [0.95, 0.05], [0.99, 0.01], [0.8, 0.2], [0.95, 0.05]])
    result = find_label_errors(probabilities, np.array([0, 0, 0, 0, 1]))
    assert (result.joint_given.tolist(), result.joint_suggested.tolist()) == ([0, 1], [1, 0])
    assert result.joint_counts.tolist() == [2, 1]
    assert (result.rows.tolist(), result.suggested.tolist()) == ([4], [0])


def test_equal_probabilities_reach_their_own_mean() -> None:
    probabilities = np.full((7, 3), 1 / 3, dtype=np.float32)
    result = find_label_errors(probabilities, np.array([0, 0, 0, 1, 1, 2, 2]))
    assert len(result.rows) == 0
    assert result.joint_counts.sum() == 4


def intents_with_flips(rate: float) -> tuple[LabelErrors, NDArray[np.bool_]]:
    """The intents with that share of labels moved to a random other class, and which they are."""
    with np.load(INTENTS) as file:
        x, y = file["train_x"].astype(np.float32), file["train_y"]
    n_classes = int(y.max()) + 1
    generator = np.random.default_rng(0)
    is_flipped = generator.random(len(y)) < rate
    shift = generator.integers(1, n_classes, len(y))
    given = np.where(is_flipped, (y + shift) % n_classes, y)
    probabilities = cross_val_predict(
        LogisticRegression(C=3, max_iter=300),
        x,
        given,
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
        method="predict_proba",
    )
    return find_label_errors(probabilities, given), is_flipped


def test_wrong_labels_of_real_rows_are_found() -> None:
    result, is_flipped = intents_with_flips(0.2)
    hits = is_flipped[result.rows]
    assert hits.mean() > 0.85
    assert hits.sum() > 0.6 * is_flipped.sum()
    assert hits[:50].mean() > 0.95
    assert 0.15 < result.noise_rate < 0.3
    assert 0.15 < result.confident_disagreement < 0.3


def test_right_labels_of_real_rows_are_left_alone() -> None:
    result, _ = intents_with_flips(0)
    assert result.suspected_share < 0.05
    assert result.noise_rate < 0.05
    assert result.confident_disagreement < 0.03


def test_the_disagreement_tells_hard_rows_from_wrong_labels() -> None:
    generator = np.random.default_rng(0)
    n_rows = 4000
    # Hard: the classes overlap, the labels follow the true probabilities.
    sure = 1 / (1 + np.exp(-3 * generator.standard_normal(n_rows)))
    hard = (generator.random(n_rows) < sure).astype(np.int64)
    # Noisy: the classes are apart, one label in five is wrong.
    truth = generator.integers(0, 2, n_rows)
    noisy = np.where(generator.random(n_rows) < 0.2, 1 - truth, truth)
    known = np.where(truth == 1, 0.8, 0.2) + 0.01 * generator.standard_normal(n_rows)
    of_hard = find_label_errors(np.stack([1 - sure, sure], axis=1), hard)
    of_noisy = find_label_errors(np.stack([1 - known, known], axis=1), noisy)
    assert abs(of_hard.suspected_share - of_noisy.suspected_share) < 0.15
    assert of_hard.confident_disagreement < 0.02
    assert abs(of_noisy.confident_disagreement - 0.2) < 0.05


def test_the_dictionary_names_classes_and_lists_no_more_than_the_limit() -> None:
    probabilities, y = sample(300, 4)
    result = find_label_errors(probabilities, y)
    classes = ("ant", "bee", "cat", "dog")
    back = json.loads(json.dumps(result.to_dict(classes, limit=3), allow_nan=False))
    assert back["n_suspected"] == len(result.rows) > 3
    assert back["noise_rate"] == result.noise_rate
    assert back["suspected"] == [
        {
            "row": result.rows[place],
            "given": classes[result.given[place]],
            "suggested": classes[result.suggested[place]],
            "given_probability": result.given_probability[place],
            "suggested_probability": result.suggested_probability[place],
        }
        for place in range(3)
    ]
    assert back["n_pairs"] == len(result.joint_counts)
    assert back["pairs"][0] == {
        "given": classes[result.joint_given[0]],
        "suggested": classes[result.joint_suggested[0]],
        "n_rows": result.joint_counts[0],
    }
    assert len(back["pairs"]) == 3
    assert result.to_dict(classes, limit=0)["suspected"] == []


def test_a_wrong_number_of_names_or_a_negative_limit_is_refused() -> None:
    result = find_label_errors(*sample(20, 4))
    with pytest.raises(DataError, match="4 names, got 3") as raised:
        result.to_dict(("a", "b", "c"))
    assert raised.value.field == "classes"
    with pytest.raises(ConfigError, match="limit"):
        result.to_dict(("a", "b", "c", "d"), limit=-1)


@pytest.mark.parametrize("shape", [(0, 3), (5,), (5, 1), (5, 3, 1)])
def test_probabilities_of_the_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"\(rows, classes\)") as raised:
        find_label_errors(np.ones(shape), np.zeros(5, dtype=np.int64))
    assert raised.value.field == "probabilities"


@pytest.mark.parametrize("row", [[0.5, 0.5, 0.5], [1.2, -0.2, 0], [np.nan, 0, 1], [np.inf, 0, 0]])
def test_a_row_that_is_no_distribution_is_named(row: list[float]) -> None:
    probabilities, y = sample(5, 3)
    probabilities[3] = row
    with pytest.raises(DataError, match="row 3 of probabilities") as raised:
        find_label_errors(probabilities, y)
    assert raised.value.row == 3


def test_a_label_without_a_column_is_named() -> None:
    probabilities, y = sample(5, 3)
    y[2] = 3
    with pytest.raises(DataError) as raised:
        find_label_errors(probabilities, y)
    assert (raised.value.field, raised.value.row) == ("y", 2)
