"""The public door of the science: tune a head on frozen embeddings, evaluate it, look at spectra.

trainer = Trainer(x, y, classes=classes, config=TuneConfig.from_preset("paper"))
for report in trainer:
    ...                          # leave the loop to stop
head = trainer.result().head
evaluation = evaluate(head.predict_proba(test_x), test_y, classes)
"""

from typing import TYPE_CHECKING, Any

from nmtune.auto import Choice
from nmtune.auto_fit import AutoFit, fit_auto
from nmtune.candidates import ANALYSES, METHODS, Candidates, resolve
from nmtune.class_spectra import ClassSpectra, ClassSpectrum, class_spectra
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
from nmtune.held_out import HeldOut
from nmtune.label_errors import LabelErrors, find_label_errors
from nmtune.learning_curve import LearningPoint, learning_curve
from nmtune.losses import (
    NMTuneLoss,
    consistency_loss,
    covariance_loss,
    dominant_singular_value_loss,
    nmtune_loss,
)
from nmtune.more_labels import LabelOutlook, would_more_labels_help
from nmtune.near_duplicates import NearDuplicates, find_near_duplicates
from nmtune.procedure import EpochReport
from nmtune.spectrum import Spectrum, spectrum
from nmtune.split import stratified_split
from nmtune.together import TogetherTrainer
from nmtune.trainer import Fit, Trainer
from nmtune.version import __version__

if TYPE_CHECKING:
    from nmtune.estimator import NMTuneClassifier

__all__ = [
    "ANALYSES",
    "METHODS",
    "PRESETS",
    "AutoFit",
    "Candidates",
    "CheckpointError",
    "Choice",
    "ClassMetrics",
    "ClassSpectra",
    "ClassSpectrum",
    "ConfigError",
    "DataError",
    "DivergenceError",
    "EpochReport",
    "Evaluation",
    "Fit",
    "Head",
    "HeadFormatError",
    "HeldOut",
    "LabelErrors",
    "LabelOutlook",
    "LearningPoint",
    "NMTuneClassifier",
    "NMTuneError",
    "NMTuneLoss",
    "NearDuplicates",
    "Spectrum",
    "TogetherTrainer",
    "Trainer",
    "TuneConfig",
    "__version__",
    "class_spectra",
    "consistency_loss",
    "covariance_loss",
    "dominant_singular_value_loss",
    "evaluate",
    "find_label_errors",
    "find_near_duplicates",
    "fit_auto",
    "learning_curve",
    "nmtune_loss",
    "resolve",
    "spectrum",
    "stratified_split",
    "would_more_labels_help",
]


def __getattr__(name: str) -> Any:
    """NMTuneClassifier when it is asked for: scikit-learn takes half a second to import."""
    if name == "NMTuneClassifier":
        from nmtune.estimator import NMTuneClassifier

        return NMTuneClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
