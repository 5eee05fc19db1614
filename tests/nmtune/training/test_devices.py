"""Every head can be trained on every device, and is then the same to rounding."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

from nmtune import PRESETS, Fit, Trainer, fit_auto
from nmtune.config import TuneConfig

_QUICK = {"epochs": 3, "batch_size": 30}


def config_of(preset: str) -> TuneConfig:
    has_epochs = not preset.endswith("probe")
    return TuneConfig.from_preset(preset, **(_QUICK if has_epochs else {}))


def trained(rows: Any, config: TuneConfig, device: str, checkpoint: bytes | None = None) -> Fit:
    trainer = Trainer(
        rows.x,
        rows.y,
        classes=rows.classes,
        config=config,
        validation=(rows.x[::3], rows.y[::3]),
        device=device,
        checkpoint=checkpoint,
    )
    for _ in trainer:
        pass
    return trainer.result()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_head_is_the_same_on_each_device(preset: str, rows: Any, device: str) -> None:
    expected = trained(rows, config_of(preset), "cpu").head
    head = trained(rows, config_of(preset), device).head
    assert head.config == expected.config
    np.testing.assert_allclose(
        head.predict_proba(rows.x), expected.predict_proba(rows.x), rtol=0, atol=1e-2
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_a_checkpoint_goes_on_where_it_was(preset: str, rows: Any, device: str) -> None:
    trainer = Trainer(
        rows.x, rows.y, classes=rows.classes, config=config_of(preset), device=device,
        validation=(rows.x[::3], rows.y[::3]),
    )  # fmt: skip
    list(islice(trainer, 2))
    resumed = trained(rows, config_of(preset), device, checkpoint=trainer.checkpoint()).head
    whole = trained(rows, config_of(preset), device).head
    np.testing.assert_allclose(
        resumed.predict_proba(rows.x), whole.predict_proba(rows.x), rtol=0, atol=1e-3
    )


def test_auto_chooses_the_same_on_each_device(rows: Any, device: str) -> None:
    found = fit_auto(rows.x, rows.y, classes=rows.classes, device=device)
    expected = fit_auto(rows.x, rows.y, classes=rows.classes)
    assert found.choice.weights == expected.choice.weights
    np.testing.assert_allclose(
        found.head.predict_proba(rows.x), expected.head.predict_proba(rows.x), rtol=0, atol=2e-2
    )
