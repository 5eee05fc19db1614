"""Adaptation: exact against a general optimiser, and honest in what it claims."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from nmtune import DataError, Head, Trainer, TuneConfig
from nmtune.heads import adaptation, layer_change
from nmtune.heads.adaptation import _Rows, adapt
from nmtune.heads.adapted_head import adapted_head
from nmtune.heads.layer_change import Basis
from nmtune.heads.score_change import Change, fit
from nmtune.serving.folded import fold

Scores = NDArray[np.float64]


def drawn(
    n: int, *, scale: float = 1.0, bias: tuple[float, ...] = (0.0, 0.0, 0.0), seed: int = 0
) -> tuple[Scores, NDArray[np.int64]]:
    """Scores of a head, and labels drawn from softmax(scale * scores + bias)."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(n, len(bias))) * 3
    true = softmax(scale * scores + np.array(bias), axis=1)
    y = (true.cumsum(1) > generator.random((n, 1))).argmax(1)
    return scores, y.astype(np.int64)


@pytest.mark.parametrize("strength", adaptation.STRENGTHS)
def test_it_is_the_minimum_that_a_general_optimiser_finds(strength: float) -> None:
    scores, y = drawn(60, scale=0.4, bias=(1.0, 0.0, -1.0))

    def objective(point: Scores) -> float:
        logs = log_softmax(point[0] * scores + point[1:], axis=1)
        ridge = (point[0] - 1) ** 2 + (point[1:] ** 2).sum()
        return float(-logs[np.arange(60), y].sum() + strength / 2 * ridge)

    theirs = minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
    ours = fit(scores, y, strength)
    np.testing.assert_allclose([ours.scale, *ours.bias], theirs, atol=1e-5)
    again = fit(scores, y, strength, start=Change(scale=2.0, bias=np.ones(3)))
    np.testing.assert_allclose([again.scale, *again.bias], theirs, atol=1e-5)


def test_a_head_that_is_wrong_throughout_is_not_turned_round() -> None:
    scores, y = drawn(200, scale=-1.0)
    assert fit(scores, y, 1.0).scale == pytest.approx(0.05)


def test_what_it_says_of_held_out_rows_is_what_other_rows_show() -> None:
    """Over many draws; a cross-validation that saw its own rows would promise more."""
    promised, kept = [], []
    for seed in range(24):
        scores, y = drawn(1020, scale=0.5, bias=(1.5, 0.0, -1.5), seed=seed)
        found = adapt(scores[:20], y[:20])
        promised.append(found.held_out.gain)
        logs = log_softmax(scores[20:], axis=1)[np.arange(1000), y[20:]]
        after = logs
        if found.change is not None:
            adapted = log_softmax(found.change.scores(scores[20:]), axis=1)
            after = adapted[np.arange(1000), y[20:]]
        kept.append(float((after - logs).mean()))
    error = np.std(promised, ddof=1) / np.sqrt(24)
    assert np.mean(promised) < np.mean(kept) + 2 * error
    assert np.mean(kept) > 0.2


def test_each_rows_held_out_scores_do_not_depend_on_its_own_label() -> None:
    scores, y = drawn(30, scale=0.5, bias=(2.0, 0.0, -2.0))
    found = adapt(scores, y)
    assert found.change is not None
    for row in range(5):
        other = y.copy()
        # Of the same fold deal, so that only this label differs for the fits.
        other[row] = (y[row] + 1) % 3
        folds = adaptation.assign_folds(y, n_folds=10, seed=0)
        learnt = np.flatnonzero(folds != folds[row])
        some = _Rows(scores=scores[learnt], y=other[learnt])
        strengths = adaptation._choose(some, n_folds=6, seed=1)
        expected = scores[row]
        if strengths.of_biases is not None:
            change = fit(scores[learnt], other[learnt], strengths.of_biases)
            expected = change.scores(scores[row])
        np.testing.assert_allclose(found.held_out_scores[row], expected, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(n=st.integers(10, 60), value=st.floats(-5, 5), n_classes=st.integers(2, 6))
def test_rows_without_information_change_nothing(n: int, value: float, n_classes: int) -> None:
    """The head gives every class the same, and every class is as common as the others."""
    y = np.arange(n - n % n_classes if n >= 10 + n_classes else n) % n_classes
    found = adapt(np.full((len(y), n_classes), value), y)
    assert found.change is None
    assert found.strength is None
    assert found.held_out.after == pytest.approx(found.held_out.before)
    assert "Nothing was won" in found.reason


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(10, 40))
def test_it_is_never_worse_on_held_out_rows(seed: int, n: int) -> None:
    scores, y = drawn(n, seed=seed)
    assume(len(set(y.tolist())) > 1)
    found = adapt(scores, y)
    if found.change is not None:
        assert found.held_out.gain > 0
        assert found.held_out.after < found.held_out.before


def test_extreme_scores_give_a_number() -> None:
    for scores in (np.full((20, 3), 1e4), np.eye(3)[np.arange(20) % 3] * 1e4, np.zeros((20, 3))):
        for y in ((np.arange(20) == 7).astype(np.int64), np.arange(20) % 3):
            found = adapt(scores, y)
            assert np.isfinite([found.held_out.before, found.held_out.after]).all()
            if found.change is not None:
                assert np.isfinite([found.change.scale, *found.change.bias]).all()


@pytest.mark.parametrize("n", [9, 10_001])
def test_too_few_and_too_many_rows_are_refused(n: int) -> None:
    with pytest.raises(DataError, match="takes 10 to 10,000 labelled rows") as refused:
        adapt(np.zeros((n, 2)), np.zeros(n, np.int64))
    assert refused.value.field == "labels"


def test_rows_of_one_class_are_refused() -> None:
    """They would teach that it is the only one; a head of one class cannot learn otherwise."""
    scores, _ = drawn(40)
    for work in (adapt, adaptation.change_for):
        with pytest.raises(DataError, match="all labels are of one class") as refused:
            work(scores, np.full(40, 2))
        assert refused.value.field == "labels"
    assert adapt(np.zeros((20, 1)), np.zeros(20, np.int64)).change is None


def test_a_change_without_its_measure_is_the_one_that_is_published() -> None:
    """And is found without the nested folds, which are nearly all of the work."""
    scores, y = drawn(120, scale=0.5, bias=(1.5, 0.0, -1.5))
    x = np.random.default_rng(1).normal(size=(120, 5)) + np.eye(3, 5)[y]
    found, change = adapt(scores, y, x=x).change, adaptation.change_for(scores, y, x=x)
    assert found is not None
    assert change is not None
    assert (found.scale, found.bias.tolist()) == (change.scale, change.bias.tolist())
    np.testing.assert_array_equal(found.weights, change.weights)


@pytest.mark.parametrize("scale", [0.4, -1.0])
def test_fewer_rows_than_classes_are_solved_as_more_are(scale: float) -> None:
    """Through the matrix of the rows; copies of the rows with less weight say the same."""
    scores, y = drawn(30, scale=scale, bias=(1.0, *[0.0] * 39))
    few = fit(scores, y, 2.0)
    many = fit(np.tile(scores, (2, 1)), np.tile(y, 2), 4.0)
    assert len(scores) < scores.shape[1] < 2 * len(scores)
    np.testing.assert_allclose([few.scale, *few.bias], [many.scale, *many.bias], atol=1e-7)


@pytest.mark.parametrize("shape", [(60, 200), (200, 60), (60, 60)])
def test_a_basis_is_that_of_the_singular_vectors(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=shape) * np.geomspace(1, 1e-3, shape[1]) + 3
    basis = Basis.of(x)
    centred = x - x.mean(axis=0)
    size = np.sqrt(np.square(centred).sum(axis=1).mean())
    singular = np.linalg.svd(centred / size, compute_uv=False)
    rank = int((singular**2 > 1e-10 * singular[0] ** 2).sum())
    order = np.argsort(-basis.curvature)[:rank]
    np.testing.assert_allclose(basis.curvature[order], singular[:rank] ** 2, rtol=1e-5)
    z, expected = basis.coordinates(x), centred / size
    np.testing.assert_allclose(z @ basis.directions.T * size, expected, atol=1e-9)
    directions = basis.directions * size
    np.testing.assert_allclose(directions.T @ directions, np.eye(directions.shape[1]), atol=1e-9)


def test_rows_that_do_not_differ_span_nothing() -> None:
    scores, y = drawn(60)
    found = adapt(scores, y, x=np.ones((60, 80)))
    assert found.layer_strength is None


@pytest.mark.parametrize("preset", ["linear_probe", "paper", "reference"])
def test_an_adapted_head_computes_what_the_change_says(preset: str) -> None:
    generator = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (generator.normal(size=(60, 5)) + y[:, None]).astype(np.float32)
    config = TuneConfig.from_preset(preset)
    trainer = Trainer(x, y, classes=["a", "b", "c"], config=config)
    for _ in trainer:
        pass
    one = trainer.result().head.calibrated(1.7)
    other = Head.from_bytes(one.calibrated(0.6).to_bytes())
    blend = Head.blend([one, other], [0.3, 0.7]).with_self_test(x[:5])
    change = Change(scale=0.4, bias=np.array([0.5, -1.0, 0.25]))
    for head in (one, blend):
        adapted = adapted_head(head, change)
        expected = softmax(change.scores(head.logits(x) / head.temperature), axis=1)
        np.testing.assert_allclose(adapted.predict_proba(x), expected, atol=1e-5)
        np.testing.assert_allclose(fold(adapted).predict_proba(x), expected, atol=1e-5)
        again = Head.from_bytes(adapted.to_bytes())
        assert (again.predict_proba(x) == adapted.predict_proba(x)).all()
        np.testing.assert_array_equal(adapted.transform(x), head.transform(x))
    layered = Change(scale=0.4, bias=change.bias, weights=generator.normal(size=(5, 3)))
    adapted = adapted_head(blend, layered)
    scores = layered.scores(blend.logits(x) / blend.temperature, x)
    np.testing.assert_allclose(adapted.predict_proba(x), softmax(scores, axis=1), atol=1e-5)
    np.testing.assert_allclose(fold(adapted).predict_proba(x), softmax(scores, axis=1), atol=1e-5)
    again = Head.from_bytes(adapted.to_bytes())
    assert (again.predict_proba(x) == adapted.predict_proba(x)).all()
    assert adapted_head(blend, change).self_test is not None
    before = Head.from_bytes(blend.to_bytes()).predict_proba(x)
    assert (before == blend.predict_proba(x)).all()  # the parent keeps its own bias


def test_the_layer_is_the_minimum_that_a_general_optimiser_finds() -> None:
    generator = np.random.default_rng(0)
    x, (scores, y) = generator.normal(size=(50, 6)) + 3, drawn(50)
    basis = Basis.of(x)
    z = basis.coordinates(x)
    assert np.square(z).sum(axis=1).mean() == pytest.approx(1)
    few = np.arange(40)  # of the rows that the basis is of, as in a fold

    def objective(weights: Scores) -> float:
        added = z[few] @ weights.reshape(-1, 3)
        logs = log_softmax(scores[few] + added, axis=1)[few, y[few]]
        return float(-logs.sum() + 0.3 / 2 * (weights**2).sum())

    theirs = minimize(objective, np.zeros(z.shape[1] * 3), options={"gtol": 1e-7}).x
    ours = layer_change.fit(scores[few], z[few], y[few], 0.3, curvature=basis.curvature)
    np.testing.assert_allclose(ours.ravel(), theirs, atol=1e-4)


def test_a_layer_comes_where_biases_cannot_do_it_and_not_where_they_can() -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(1200, 8))
    scores = np.concatenate([2 * x[:, :1], -2 * x[:, :1]], axis=1)
    other = (x[:, 1] > 0).astype(np.int64)  # the head looks at the wrong column
    found = adapt(scores[:200], other[:200], x=x[:200])
    assert found.layer_strength is not None
    assert found.change is not None
    adapted = found.change.scores(scores[200:], x[200:])
    assert (adapted.argmax(axis=1) == other[200:]).mean() > 0.85
    without = adapt(scores[:200], other[:200])
    assert without.layer_strength is None
    shifted = (x[:, 0] < 1).astype(np.int64)
    biased = adapt(scores[:200], shifted[:200], x=x[:200])
    assert biased.layer_strength is None
    assert biased.change is not None
