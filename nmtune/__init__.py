"""The public door of the science: tune a head on frozen embeddings, evaluate it, look at spectra.

::

    trainer = Trainer(x, y, classes=classes, config=TuneConfig.from_preset("paper"))
    for report in trainer:
        ...                          # leave the loop to stop
    head = trainer.result().head
    evaluation = evaluate(head.predict_proba(test_x), test_y, classes)

Each name is imported when it is first asked for (PEP 562). torch takes seconds and 200 MB, and who
asks only for a version, a config or an error does without it.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from nmtune.version import __version__

if TYPE_CHECKING:
    from nmtune.auto import Choice
    from nmtune.auto_fit import AutoFit, fit_auto
    from nmtune.candidates import ANALYSES, Candidates, resolve
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
    from nmtune.estimator import NMTuneClassifier
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
    from nmtune.methods import METHODS
    from nmtune.more_labels import LabelOutlook, would_more_labels_help
    from nmtune.near_duplicates import NearDuplicates, find_near_duplicates
    from nmtune.procedure import EpochReport
    from nmtune.spectrum import Spectrum, spectrum
    from nmtune.split import stratified_split
    from nmtune.together import TogetherTrainer
    from nmtune.trainer import Fit, Trainer

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

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "auto": ("Choice",),
    "auto_fit": ("AutoFit", "fit_auto"),
    "candidates": ("ANALYSES", "Candidates", "resolve"),
    "class_spectra": ("ClassSpectra", "ClassSpectrum", "class_spectra"),
    "config": ("PRESETS", "TuneConfig"),
    "errors": (
        "CheckpointError",
        "ConfigError",
        "DataError",
        "DivergenceError",
        "HeadFormatError",
        "NMTuneError",
    ),
    "estimator": ("NMTuneClassifier",),
    "evaluation": ("ClassMetrics", "Evaluation", "evaluate"),
    "head": ("Head",),
    "held_out": ("HeldOut",),
    "label_errors": ("LabelErrors", "find_label_errors"),
    "learning_curve": ("LearningPoint", "learning_curve"),
    "losses": (
        "NMTuneLoss",
        "consistency_loss",
        "covariance_loss",
        "dominant_singular_value_loss",
        "nmtune_loss",
    ),
    "methods": ("METHODS",),
    "more_labels": ("LabelOutlook", "would_more_labels_help"),
    "near_duplicates": ("NearDuplicates", "find_near_duplicates"),
    "procedure": ("EpochReport",),
    "spectrum": ("Spectrum", "spectrum"),
    "split": ("stratified_split",),
    "together": ("TogetherTrainer",),
    "trainer": ("Fit", "Trainer"),
}
_HOMES: Final = {name: home for home, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name, from the module that it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """A package in which a public function wins over the module of the same name.

    An import of `nmtune.spectrum` binds that module to the package's name `spectrum`, where the
    function belongs.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
