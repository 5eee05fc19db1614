"""NMTuneClassifier keeps scikit-learn's contract to the letter."""

import io
import subprocess
import sys
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import nmtune
from nmtune import NMTuneClassifier

EQUIVALENCE = (
    "rows are dealt out to folds and batches, so a row of weight 2 is not trained on like two rows"
)
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": EQUIVALENCE,
    "check_sample_weight_equivalence_on_sparse_data": EQUIVALENCE,
}
CHECKED = [
    NMTuneClassifier(max_steps=20, n_folds=2),
    NMTuneClassifier("nmtune", epochs=20, learning_rate=0.01, scaling="standardise"),
    NMTuneClassifier("linear_probe", n_folds=3),
]


def expected_failures(estimator: NMTuneClassifier) -> dict[str, str]:
    return EXPECTED


@pytest.mark.slow
@parametrize_with_checks(CHECKED, expected_failed_checks=expected_failures)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[NDArray[Any], NDArray[Any]]:
    x, y = load_digits(return_X_y=True)
    at = np.random.default_rng(0).permutation(len(y))[:600]
    return x[at], np.array([f"digit {label}" for label in y[at]])


def test_auto_chooses_and_says_why(digits: Any) -> None:
    x, y = digits
    model = NMTuneClassifier(random_state=0).fit(x[:400], y[:400])
    assert model.score(x[400:], y[400:]) > 0.9
    assert set(model.choice_.weights) <= set(model.fits_)
    assert model.choice_.reason.endswith(".")
    assert model.n_iter_ == sum(len(fit.history) for fit in model.fits_.values())
    assert model.transform(x[:3]).shape == (3, model.head_.n_tuned_columns)
    assert len(model.get_feature_names_out()) == model.head_.n_tuned_columns


def test_it_works_in_pipelines_searches_and_cross_validation(digits: Any) -> None:
    x, y = digits
    model = make_pipeline(StandardScaler(), NMTuneClassifier("linear_probe", random_state=0))
    assert cross_val_score(model, x, y, cv=3).min() > 0.85
    search = GridSearchCV(model, {"nmtuneclassifier__l2": [1.0, 1e5]}, cv=3).fit(x, y)
    assert search.best_params_ == {"nmtuneclassifier__l2": 1.0}


def test_groups_are_held_out_whole_when_it_chooses(digits: Any) -> None:
    x, y = digits
    groups = np.arange(len(y)) % 4
    model = NMTuneClassifier("linear_probe", random_state=0).fit(x, y, groups=groups)
    assert "(4 folds)" in model.fits_["linear_probe"].notes[0]
    scores = cross_val_score(
        NMTuneClassifier("linear_probe", l2=1.0), x, y, groups=groups, cv=GroupKFold(4)
    )
    assert scores.min() > 0.85
    with pytest.raises(ValueError, match="one per row"):
        model.fit(x, y, groups=groups[:5])


@pytest.mark.parametrize("method", ["auto", "nmtune", "mlp_ensemble"])
def test_joblib_brings_it_back_bit_for_bit(method: str, digits: Any) -> None:
    x, y = digits
    model = NMTuneClassifier(method, max_steps=40, random_state=1).fit(x[:200], y[:200])
    stream = io.BytesIO()
    joblib.dump(model, stream)
    stream.seek(0)
    again = joblib.load(stream)
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    np.testing.assert_array_equal(again.transform(x), model.transform(x))
    assert b"torch" not in stream.getvalue()


def test_same_seed_same_model_and_torchs_random_numbers_are_left_alone(digits: Any) -> None:
    x, y = digits
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = NMTuneClassifier("nmtune", epochs=1, random_state=4).fit(x, y)
    second = clone(first).fit(x, y)
    np.testing.assert_array_equal(first.predict_proba(x), second.predict_proba(x))
    assert torch.equal(torch.get_rng_state(), state)
    other = NMTuneClassifier("nmtune", epochs=1, random_state=np.random.RandomState(4)).fit(x, y)
    assert (other.predict_proba(x) != first.predict_proba(x)).any()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"method": "nmtun"}, "method must be one of auto"),
        ({"method": "nmtune", "epochs": 0}, "epochs must be a whole number"),
        ({"method": "linear_probe", "epochs": 3}, "has no effect"),
        ({"method": "whitened_probe", "preset": "paper"}, "preset has no effect"),
        ({"l2": 1.0}, "chosen by cross-validation"),
    ],
)
def test_parameters_are_checked_when_it_is_fitted(
    parameters: dict[str, Any], words: str, digits: Any
) -> None:
    model = NMTuneClassifier(**parameters)
    with pytest.raises(ValueError, match=words):
        model.fit(*digits)


def test_one_class_and_values_beyond_float32_are_refused(digits: Any) -> None:
    x, y = digits
    with pytest.raises(ValueError, match="at least two classes"):
        NMTuneClassifier().fit(x[:5], ["a"] * 5)
    with pytest.raises(ValueError, match="float32's range"):
        NMTuneClassifier("linear_probe").fit(x * 1e300, y)


MISSING: dict[str, Any] = {
    "Int64": pd.Series([0, 1, None, 1], dtype="Int64"),
    "float": np.array([0.0, 1.0, np.nan, 1.0]),
    "strings": ["a", "b", None, "b"],
    "NaN beside strings": ["a", "b", float("nan"), "b"],
    "string dtype": pd.Series(["a", "b", None, "b"], dtype="string"),
    "category": pd.Categorical(["a", "b", None, "b"]),
    "boolean": pd.Series([True, False, None, True], dtype="boolean"),
    "times": pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02", None, "2024-01-01"])),
}


@pytest.mark.parametrize("kind", MISSING)
def test_the_row_of_a_missing_label_is_named(kind: str) -> None:
    with pytest.raises(ValueError, match="row 2 has none"):
        NMTuneClassifier("linear_probe").fit(np.ones((4, 2)), MISSING[kind])


def test_labels_keep_their_type() -> None:
    x = np.random.default_rng(0).standard_normal((20, 2))
    for labels, classes in (
        (pd.Series([0, 1] * 10, dtype="Int64"), [0, 1]),
        (pd.Series([False, True] * 10, dtype="boolean"), [False, True]),
        (np.array([0.0, 1.0] * 10), [0.0, 1.0]),
        (pd.Categorical(["b", "a"] * 10), ["a", "b"]),
    ):
        found = NMTuneClassifier("linear_probe").fit(x, labels).classes_.tolist()
        assert found == classes
        assert [type(one) for one in found] == [type(one) for one in classes]


def test_classes_that_look_the_same_are_named() -> None:
    x = np.random.default_rng(0).standard_normal((20, 2))
    with pytest.warns(UserWarning, match="'Cat' and 'cat '"):
        NMTuneClassifier("linear_probe").fit(x, ["Cat", "cat "] * 10)


@pytest.mark.parametrize("value", [2**24 + 1, 2**53 + 1, -(2**24) - 1, 2**63 - 1])
def test_integers_that_float32_does_not_hold_are_refused(value: int) -> None:
    x = np.arange(40).reshape(20, 2)
    x[3, 1] = value
    with pytest.raises(ValueError, match=f"got {value} in row 3, column 1"):
        NMTuneClassifier("linear_probe").fit(x, [0, 1] * 10)


def test_importing_nmtune_does_not_import_scikit_learn() -> None:
    code = "import nmtune, sys; assert 'sklearn' not in sys.modules; nmtune.NMTuneClassifier"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'NMTuneClassifer'"):
        _ = nmtune.NMTuneClassifer


def test_it_adapts_to_a_new_domain_and_stays_as_it_is() -> None:
    random = np.random.default_rng(0)
    y = np.where(np.arange(400) % 2, "dog", "cat")
    x = random.normal(size=(400, 4)) + 2 * (y == "dog")[:, None]
    classifier = NMTuneClassifier(method="linear_probe", random_state=0).fit(x[:200], y[:200])
    before = classifier.predict_proba(x)
    adapted = classifier.adapt(x[200:230] + 2, y[200:230])
    assert adapted is not classifier
    assert adapted.adaptation_.change is not None
    new = x[230:] + 2
    assert adapted.score(new, y[230:]) > classifier.score(new, y[230:]) + 0.1
    np.testing.assert_array_equal(classifier.predict_proba(x), before)
    assert not hasattr(classifier, "adaptation_")
    with pytest.raises(ValueError, match="in row 1 a label that the classifier was not fitted on"):
        classifier.adapt(x[:20], np.array(["cat", "cow", *y[2:20]]))
    with pytest.raises(ValueError, match="takes 10 to 10,000 labelled rows, got 5"):
        classifier.adapt(x[:5], y[:5])
    with pytest.raises(ValueError, match="20 labels, one per row"):
        classifier.adapt(x[:20], y[:19])
    assert not hasattr(adapted.fit(x, y), "adaptation_"), "it was of the head before"


def test_a_label_that_is_refused_is_shown_as_it_was_written() -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    classifier = NMTuneClassifier(method="linear_probe", random_state=0).fit(x, y)
    with pytest.raises(ValueError, match=r"that the classifier was not fitted on: 2$"):
        classifier.adapt(x, np.arange(40) % 3)
    with pytest.raises(ValueError, match="all labels are of one class"):
        classifier.adapt(x, np.zeros(40, int))


def test_without_news_an_adapted_estimator_predicts_the_same() -> None:
    random = np.random.default_rng(0)
    y = np.arange(600) % 2
    x = random.normal(size=(600, 4)) + y[:, None]
    classifier = NMTuneClassifier(method="linear_probe", random_state=0).fit(x[:500], y[:500])
    drawn = (random.random(100) < classifier.predict_proba(x[500:])[:, 1]).astype(int)
    adapted = classifier.adapt(x[500:], drawn)
    assert adapted.adaptation_.change is None
    np.testing.assert_array_equal(adapted.predict_proba(x), classifier.predict_proba(x))
