"""The ONNX graph and its session answer as the head does."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
import pytest

from nmtune.config import TuneConfig
from nmtune.heads.head import Head
from nmtune.serving.folded import fold
from nmtune.serving.onnx_graph import INPUT, onnx_model
from nmtune.serving.session import Session
from nmtune.training.trainer import Trainer

CONFIGS = {
    "none": TuneConfig.from_preset("linear_probe", l2=1.0),
    "whiten": TuneConfig.from_preset("whitened_probe", l2=1.0),
    "hidden": TuneConfig.from_preset("mlp_ensemble", epochs=2, hidden_width=4),
    "bottlenecks": TuneConfig.from_preset("folded_nmtune", epochs=2, hidden_width=4),
    "mlp": TuneConfig.from_preset("paper", epochs=2),
    "residual_mlp": TuneConfig.from_preset("reference", epochs=2, scaling="standardise"),
}


@pytest.fixture(scope="module")
def heads(rows: Any) -> dict[str, Head]:
    """One head of each kind, and a blend of some."""
    made = {}
    for name, config in CONFIGS.items():
        trainer = Trainer(rows.x, rows.y, classes=rows.classes, config=config)
        assert list(trainer)
        made[name] = trainer.result().head.calibrated(1.3)
    parts = [made["none"], made["whiten"], made["hidden"], made["residual_mlp"]]
    return made | {"blend": Head.blend(parts, [0.25] * 4)}


@pytest.mark.parametrize("name", [*CONFIGS, "blend"])
@pytest.mark.parametrize("shift", [0, 50])
def test_all_outputs_of_the_graph_agree(
    heads: dict[str, Head], rows: Any, name: str, shift: int
) -> None:
    x, head = rows.x + np.float32(shift), heads[name]
    model = onnx_model(fold(head), outputs=("probabilities", "scores", "logits", "tuned"))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    probabilities, scores, logits, tuned = session.run(None, {INPUT: x})
    expected = head.predict_proba(x)
    assert (probabilities.argmax(axis=1) == expected.argmax(axis=1)).all()
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(logits, head.logits(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores * head.temperature, logits, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(tuned, head.transform(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [*CONFIGS, "blend"])
def test_a_row_s_answer_does_not_depend_on_its_batch(
    heads: dict[str, Head], rows: Any, name: str
) -> None:
    engine = Session(fold(heads[name]), n_threads=2)
    together = engine.run(rows.x).probabilities
    alone = np.concatenate([engine.run(rows.x[i : i + 1]).probabilities for i in range(90)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together, heads[name].predict_proba(rows.x), atol=1e-5)


def test_threads_may_share_an_engine(heads: dict[str, Head], rows: Any) -> None:
    engine = Session(fold(heads["blend"]), n_threads=2)
    expected = engine.run(rows.x).probabilities
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: engine.run(rows.x).probabilities, range(40)):
            assert np.array_equal(found, expected)
