"""Folded heads answer as the heads they were made from."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nmtune.config import TuneConfig
from nmtune.heads.head import Head
from nmtune.serving.folded import FoldedHead, fold
from nmtune.training.trainer import Trainer

CONFIGS = {
    f"{transform}, {scaling}": TuneConfig.from_preset(preset, scaling=scaling, **more)
    for transform, preset, more in [
        ("none", "linear_probe", {"l2": 1.0}),
        ("whiten", "whitened_probe", {"l2": 1.0}),
        ("hidden", "mlp_ensemble", {"epochs": 2, "hidden_width": 4}),
        ("bottlenecks", "folded_nmtune", {"epochs": 2, "hidden_width": 4}),
        ("mlp", "paper", {"epochs": 2}),
        ("residual_mlp", "reference", {"epochs": 2}),
    ]
    for scaling in ("none", "rms", "standardise")
    if (transform, scaling) != ("none", "none")  # refused by the config
}


def trained(config: TuneConfig, x: NDArray[np.float32], rows: Any) -> Head:
    trainer = Trainer(x, rows.y, classes=rows.classes, config=config)
    assert list(trainer)
    return trainer.result().head


@pytest.fixture(scope="module", params=CONFIGS)
def head(request: pytest.FixtureRequest, rows: Any) -> Head:
    return trained(CONFIGS[request.param], rows.x, rows)


@pytest.fixture(scope="module")
def heads(rows: Any) -> list[Head]:
    """One head of each kind, calibrated differently."""
    names = ["none, standardise", "whiten, rms", "hidden, standardise", "residual_mlp, none"]
    return [
        trained(CONFIGS[name], rows.x, rows).calibrated(temperature)
        for name, temperature in zip(names, (0.5, 1.0, 1.5, 2.0), strict=True)
    ]


def check(folded: FoldedHead, head: Head, x: NDArray[np.float32]) -> None:
    expected = head.predict_proba(x)
    found = folded.predict_proba(x)
    assert found.dtype == np.float32
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(folded.logits(x), head.logits(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(folded.transform(x), head.transform(x), rtol=1e-4, atol=1e-4)


def test_every_transform_and_scaling_agrees(head: Head, rows: Any) -> None:
    check(fold(head), head, rows.x)
    check(fold(head.calibrated(0.4)), head.calibrated(0.4), rows.x)


def test_a_blend_agrees(heads: list[Head], rows: Any) -> None:
    blend = Head.blend(heads, [0.4, 0.3, 0.2, 0.1])
    folded = fold(blend)
    check(folded, blend, rows.x)
    assert folded.classes == blend.classes
    assert folded.transform(rows.x).shape == (90, blend.n_tuned_columns)


def test_a_blend_of_probes_is_one_affine_map(heads: list[Head], rows: Any) -> None:
    folded = fold(Head.blend(heads[:2], [0.5, 0.5]))
    assert folded.into is None
    assert folded.affine is not None
    assert folded.affine.shape == (6, 3)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.endswith("standardise")])
def test_a_mean_far_from_zero_is_subtracted_first(name: str, rows: Any) -> None:
    x = rows.x + np.float32(300)
    head = trained(CONFIGS[name], x, rows)
    folded = fold(head)
    assert folded.shift is not None
    check(folded, head, x)


def test_one_shift_serves_members_without_a_mean(rows: Any) -> None:
    x = rows.x + np.float32(50)
    heads = [
        trained(CONFIGS[name], x, rows)
        for name in ("none, rms", "hidden, standardise", "residual_mlp, rms")
    ]
    blend = Head.blend(heads, [0.5, 0.25, 0.25])
    folded = fold(blend)
    assert folded.shift is not None
    check(folded, blend, x)


def test_many_rows_are_answered_in_blocks(heads: list[Head], rows: Any) -> None:
    x = np.tile(rows.x, (30, 1))
    folded = fold(heads[2])
    np.testing.assert_allclose(
        folded.predict_proba(x)[-90:], folded.predict_proba(rows.x), atol=1e-6
    )
    assert folded.transform(x).shape == (2700, heads[2].n_tuned_columns)
