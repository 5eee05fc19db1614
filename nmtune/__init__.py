"""The public door of the science: tune a head on frozen embeddings, evaluate it, look at spectra.

trainer = Trainer(x, y, classes=classes, config=TuneConfig.from_preset("paper"))
for report in trainer:
    ...                          # leave the loop to stop
head = trainer.result().head
evaluation = evaluate(head.predict_proba(test_x), test_y, classes)
"""

from nmtune.candidates import METHODS, Candidates, resolve
from nmtune.config import PRESETS, TuneConfig
from nmtune.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergenceError,
    HeadFormatError,
    NMTuneError,
)
from nmtune.evaluation import ClassMetrics, Evaluation, evaluate
from nmtune.head import Head
from nmtune.losses import (
    NMTuneLoss,
    consistency_loss,
    covariance_loss,
    dominant_singular_value_loss,
    nmtune_loss,
)
from nmtune.procedure import EpochReport
from nmtune.spectrum import Spectrum, spectrum
from nmtune.split import stratified_split
from nmtune.trainer import Fit, Trainer
from nmtune.version import __version__

__all__ = [
    "METHODS",
    "PRESETS",
    "Candidates",
    "CheckpointError",
    "ClassMetrics",
    "ConfigError",
    "DataError",
    "DivergenceError",
    "EpochReport",
    "Evaluation",
    "Fit",
    "Head",
    "HeadFormatError",
    "NMTuneError",
    "NMTuneLoss",
    "Spectrum",
    "Trainer",
    "TuneConfig",
    "__version__",
    "consistency_loss",
    "covariance_loss",
    "dominant_singular_value_loss",
    "evaluate",
    "nmtune_loss",
    "resolve",
    "spectrum",
    "stratified_split",
]
