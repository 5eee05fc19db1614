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

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from nmtune.version import __version__

if TYPE_CHECKING:
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
    from nmtune.heads.head import Head
    from nmtune.losses.objective import (
        NMTuneLoss,
        consistency_loss,
        covariance_loss,
        dominant_singular_value_loss,
        nmtune_loss,
    )
    from nmtune.report.comparison import Comparison
    from nmtune.report.judgement import compare, judge
    from nmtune.report.verdict import Verdict
    from nmtune.rows.held_out import HeldOut
    from nmtune.rows.split import stratified_split
    from nmtune.study.class_spectra import ClassSpectra, ClassSpectrum, class_spectra
    from nmtune.study.evaluation import ClassMetrics, Evaluation, evaluate
    from nmtune.study.label_errors import LabelErrors, find_label_errors
    from nmtune.study.learning_curve import LearningPoint, learning_curve
    from nmtune.study.more_labels import LabelOutlook, would_more_labels_help
    from nmtune.study.near_duplicates import NearDuplicates, find_near_duplicates
    from nmtune.study.spectrum import Spectrum, spectrum
    from nmtune.training.auto import AutoFit, fit_auto
    from nmtune.training.candidates import ANALYSES, Candidates, resolve
    from nmtune.training.choose import Choice
    from nmtune.training.many_heads import TogetherTrainer
    from nmtune.training.procedure import EpochReport
    from nmtune.training.trainer import Fit, Trainer
    from nmtune.vocabulary import METHODS

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
    "Comparison",
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
    "Verdict",
    "__version__",
    "class_spectra",
    "compare",
    "consistency_loss",
    "covariance_loss",
    "dominant_singular_value_loss",
    "evaluate",
    "find_label_errors",
    "find_near_duplicates",
    "fit_auto",
    "judge",
    "learning_curve",
    "nmtune_loss",
    "resolve",
    "spectrum",
    "stratified_split",
    "would_more_labels_help",
]

_NAMES_IN: Final[dict[str, tuple[str, ...]]] = {
    "training.choose": ("Choice",),
    "training.auto": ("AutoFit", "fit_auto"),
    "training.candidates": ("ANALYSES", "Candidates", "resolve"),
    "study.class_spectra": ("ClassSpectra", "ClassSpectrum", "class_spectra"),
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
    "study.evaluation": ("ClassMetrics", "Evaluation", "evaluate"),
    "heads.head": ("Head",),
    "report.comparison": ("Comparison",),
    "report.judgement": ("compare", "judge"),
    "report.verdict": ("Verdict",),
    "rows.held_out": ("HeldOut",),
    "study.label_errors": ("LabelErrors", "find_label_errors"),
    "study.learning_curve": ("LearningPoint", "learning_curve"),
    "losses.objective": (
        "NMTuneLoss",
        "consistency_loss",
        "covariance_loss",
        "dominant_singular_value_loss",
        "nmtune_loss",
    ),
    "vocabulary": ("METHODS",),
    "study.more_labels": ("LabelOutlook", "would_more_labels_help"),
    "study.near_duplicates": ("NearDuplicates", "find_near_duplicates"),
    "training.procedure": ("EpochReport",),
    "study.spectrum": ("Spectrum", "spectrum"),
    "rows.split": ("stratified_split",),
    "training.many_heads": ("TogetherTrainer",),
    "training.trainer": ("Fit", "Trainer"),
}
_HOMES: Final = {name: home for home, names in _NAMES_IN.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name, from the module that it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
