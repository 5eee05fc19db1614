"""Real data sets for tests of statistics, each with a probe's probabilities."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmtune.config import TuneConfig
from nmtune.training.trainer import Fit, Trainer
from tests.support.places import ROOT

PATHS = [
    ROOT / "examples/data/intents.npz",
    *sorted((ROOT.parent / "shared/data").glob("*.npz")),
]
"""The set in the checkout, and whatever else lies beside it."""


@dataclass(frozen=True)
class RealSet:
    splits: dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]]
    classes: list[str]
    fit: Fit

    @property
    def ood(self) -> list[str]:
        return [name for name in self.splits if name.startswith("ood")]


@lru_cache(maxsize=1)
def real_set(path: Path) -> RealSet:
    """The set and a linear probe on it."""
    with np.load(path, allow_pickle=False) as arrays:
        splits = {
            name.removesuffix("_x"): (
                arrays[name].astype(np.float32),
                arrays[f"{name.removesuffix('_x')}_y"].astype(np.int64),
            )
            for name in arrays.files
            if name.endswith("_x")
        }
        classes = [str(name) for name in arrays["class_names"]]
    trainer = Trainer(
        *splits["train"], classes=classes, config=TuneConfig.from_preset("linear_probe")
    )
    assert list(trainer)
    return RealSet(splits, classes, trainer.result())
