"""Metrics against scikit-learn and small independent loops; what cannot be evaluated is refused."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from nmtune.errors import DataError
from nmtune.study.evaluation import evaluate

CLASSES = ("ant", "bee", "cat", "dog")


def sample(
    n_rows: int, n_classes: int, *, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, n_classes, n_rows)
    logits = generator.standard_normal((n_rows, n_classes)) * 2
    logits[np.arange(n_rows), y] += 1.5
    exponentials = np.exp(logits)
    return (exponentials / exponentials.sum(1, keepdims=True)).astype(np.float32), y


def loop_ece(probabilities: NDArray[np.floating], y: NDArray[np.int64]) -> float:
    edges = np.linspace(0, 1, 16)
    bins: list[list[tuple[float, float]]] = [[] for _ in range(15)]
    for row, truth in zip(probabilities, y, strict=True):
        predicted = int(row.argmax())
        confidence = float(row[predicted])
        for index in range(15):
            if edges[index] < confidence <= edges[index + 1]:
                bins[index].append((confidence, float(predicted == truth)))
    total = 0.0
    for members in bins:
        if members:
            gap = np.mean([hit for _, hit in members]) - np.mean([sure for sure, _ in members])
            total += len(members) / len(y) * abs(gap)
    return total


@pytest.mark.parametrize(("n_rows", "n_classes"), [(1, 2), (7, 4), (500, 4), (400, 30)])
def test_metrics_agree_with_scikit_learn(n_rows: int, n_classes: int) -> None:
    probabilities, y = sample(n_rows, n_classes)
    result = evaluate(probabilities, y, [f"c{index}" for index in range(n_classes)])
    predicted, labels = probabilities.argmax(1), range(n_classes)
    present = np.unique(y)
    assert result.n_rows == n_rows
    assert result.n_classes_present == len(present)
    assert result.accuracy == pytest.approx(metrics.accuracy_score(y, predicted))
    assert result.macro_f1 == pytest.approx(
        metrics.f1_score(y, predicted, labels=present, average="macro", zero_division=0)
    )
    assert result.confusion_matrix is not None
    assert (result.confusion_matrix == metrics.confusion_matrix(y, predicted, labels=labels)).all()
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        y, predicted, labels=labels, zero_division=0
    )
    assert [each.name for each in result.per_class] == [f"c{index}" for index in labels]
    assert [each.precision for each in result.per_class] == pytest.approx(precision.tolist())
    assert [each.recall for each in result.per_class] == pytest.approx(recall.tolist())
    assert [each.f1 for each in result.per_class] == pytest.approx(f1.tolist())
    assert [each.support for each in result.per_class] == support.tolist()
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(1, keepdims=True)
    assert result.log_loss == pytest.approx(metrics.log_loss(y, exact, labels=labels), rel=1e-5)
    assert result.ece == pytest.approx(loop_ece(probabilities, y), abs=1e-9)


def test_macro_f1_leaves_out_classes_that_the_split_lacks() -> None:
    y = np.array([0, 0, 1, 1])
    probabilities = np.eye(4)[[0, 0, 1, 2]]
    result = evaluate(probabilities, y, CLASSES)
    assert result.n_classes_present == 2
    assert result.macro_f1 == pytest.approx((1 + 2 / 3) / 2)
    absent = result.per_class[3]
    assert (absent.support, absent.precision, absent.recall, absent.f1) == (0, 0, 0, 0)


def test_log_loss_of_a_certain_mistake_is_clipped() -> None:
    result = evaluate(np.array([[1.0, 0.0]], dtype=np.float32), np.array([1]), ["a", "b"])
    assert result.log_loss == pytest.approx(-math.log(2**-23))
    right = evaluate(np.array([[1.0, 0.0]]), np.array([0]), ["a", "b"])
    assert (right.log_loss, right.ece, right.accuracy) == (0, 0, 1)
    assert math.copysign(1, right.log_loss) == 1


def test_calibration_error_by_hand() -> None:
    # Two rows at 0.9, one right: gap 0.4. Two at 0.6, both right: gap 0.4.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert evaluate(probabilities, np.array([0, 1, 0, 0]), ["a", "b"]).ece == pytest.approx(0.4)


def test_confidences_on_an_edge_of_a_bin_agree_with_the_loop() -> None:
    top = np.linspace(0, 1, 16)[8:]
    probabilities = np.stack([top, 1 - top], axis=1)
    y = np.arange(len(top)) % 2
    expected = loop_ece(probabilities, y)
    assert evaluate(probabilities, y, ["a", "b"]).ece == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n_rows", "n_classes"), [(1, 2), (400, 4), (400, 30)])
def test_reliability_holds_what_the_calibration_error_is_made_of(
    n_rows: int, n_classes: int
) -> None:
    probabilities, y = sample(n_rows, n_classes)
    result = evaluate(probabilities, y, [f"c{index}" for index in range(n_classes)])
    assert len(result.reliability) == 15
    assert sum(one.n_rows for one in result.reliability) == n_rows
    confidence = probabilities.max(1).astype(np.float64)
    is_right = probabilities.argmax(1) == y
    gaps = 0.0
    for one in result.reliability:
        inside = (confidence > one.low) & (confidence <= one.high)
        assert one.n_rows == inside.sum()
        if one.n_rows == 0:
            assert (one.mean_confidence, one.accuracy) == (None, None)
            continue
        assert one.mean_confidence == pytest.approx(confidence[inside].mean())
        assert one.accuracy == pytest.approx(is_right[inside].mean())
        gaps += one.n_rows / n_rows * abs(one.accuracy - one.mean_confidence)
    assert result.ece == pytest.approx(gaps)


def test_confusions_are_the_matrix_off_its_diagonal_the_most_frequent_first() -> None:
    truth_and_prediction = [(0, 1)] * 3 + [(2, 0)] * 5 + [(1, 0)] * 3 + [(1, 1)] * 7 + [(3, 2)]
    y, predicted = np.array(truth_and_prediction).T
    result = evaluate(np.eye(4)[predicted], y, CLASSES)
    found = [(one.true, one.predicted, one.n_rows) for one in result.confusions]
    assert found == [("cat", "ant", 5), ("ant", "bee", 3), ("bee", "ant", 3), ("dog", "cat", 1)]


def test_a_hundred_classes_have_a_matrix_and_more_have_the_largest_confusions() -> None:
    probabilities, y = sample(3000, 100)
    assert evaluate(probabilities, y, [str(one) for one in range(100)]).confusion_matrix is not None
    probabilities, y = sample(3000, 101)
    result = evaluate(probabilities, y, [str(one) for one in range(101)])
    assert result.confusion_matrix is None
    assert result.to_dict()["confusion_matrix"] is None
    wrong = metrics.confusion_matrix(y, probabilities.argmax(1), labels=range(101))
    np.fill_diagonal(wrong, 0)
    assert [one.n_rows for one in result.confusions] == np.sort(wrong.ravel())[::-1][:100].tolist()
    assert all(one.n_rows == wrong[int(one.true), int(one.predicted)] for one in result.confusions)


def test_thousands_of_classes_take_no_memory_for_their_square() -> None:
    """20,000 classes: 64 kB for each count, but 3.2 GB for a matrix of them."""
    n_classes, y = 20_000, np.array([0, 7, 19_999])
    probabilities = np.zeros((3, n_classes), np.float32)
    probabilities[np.arange(3), [0, 8, 19_999]] = 1
    tracemalloc.start()
    result = evaluate(probabilities, y, [str(one) for one in range(n_classes)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2**20
    assert result.n_classes_present == 3
    assert result.macro_f1 == pytest.approx(2 / 3)
    assert [(one.true, one.predicted, one.n_rows) for one in result.confusions] == [("7", "8", 1)]


def test_the_dictionary_is_plain_json() -> None:
    probabilities, y = sample(20, 4)
    result = evaluate(probabilities, y, CLASSES)
    back = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert back["accuracy"] == result.accuracy
    assert result.confusion_matrix is not None
    assert back["confusion_matrix"] == result.confusion_matrix.tolist()
    assert [one["n_rows"] for one in back["confusions"]] == [
        one.n_rows for one in result.confusions
    ]
    assert len(back["reliability"]) == 15
    assert back["per_class"][1] == {
        "name": "bee",
        "support": result.per_class[1].support,
        "precision": result.per_class[1].precision,
        "recall": result.per_class[1].recall,
        "f1": result.per_class[1].f1,
    }
    assert set(back) == {
        "n_rows", "accuracy", "macro_f1", "n_classes_present", "log_loss", "ece",
        "reliability", "per_class", "confusion_matrix", "confusions",
    }  # fmt: skip


def test_unsigned_labels_and_half_precision_are_read() -> None:
    probabilities, y = sample(50, 4)
    expected = evaluate(probabilities, y, CLASSES)
    result = evaluate(probabilities.astype(np.float16), y.astype(np.uint8), CLASSES)
    assert result.accuracy == expected.accuracy
    assert result.log_loss == pytest.approx(expected.log_loss, rel=1e-2)


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        evaluate(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), CLASSES)


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 4, 1)])
def test_probabilities_of_the_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"must be \(rows, 4\)") as raised:
        evaluate(np.zeros(shape), np.zeros(3, dtype=np.int64), CLASSES)
    assert raised.value.field == "probabilities"


@pytest.mark.parametrize(
    "row", [[0.5, 0.5, 0.5, 0.5], [1.2, -0.2, 0, 0], [math.nan, 0, 0, 1], [math.inf, 0, 0, 0]]
)
def test_a_row_that_is_no_distribution_is_named(row: list[float]) -> None:
    probabilities, y = sample(5, 4)
    probabilities[3] = row
    with pytest.raises(DataError, match="row 3 of probabilities") as raised:
        evaluate(probabilities, y, CLASSES)
    assert raised.value.row == 3


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_out_of_range_is_named(label: int) -> None:
    probabilities, y = sample(5, 4)
    y[2] = label
    with pytest.raises(DataError, match=f"from 0 to 3, got {label} in row 2") as raised:
        evaluate(probabilities, y, CLASSES)
    assert (raised.value.field, raised.value.row) == ("y", 2)


@pytest.mark.parametrize(
    "y", [np.zeros(4, dtype=np.int64), np.zeros(5), np.zeros((5, 1), dtype=int)]
)
def test_labels_that_are_not_one_index_per_row_are_refused(y: NDArray[np.generic]) -> None:
    with pytest.raises(DataError, match="y must be 5 class indices"):
        evaluate(sample(5, 4)[0], y, CLASSES)


def test_its_repr_holds_the_figures_alone() -> None:
    shown = repr(evaluate(*sample(5, 4), CLASSES))
    assert len(shown) < 200
    assert "accuracy=" in shown
    assert "log_loss=" in shown
