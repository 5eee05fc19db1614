"""Compose the report of a finished job as one JSON document."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import nmtune
from nmtune import Evaluation, Head, Spectrum
from nmtune.numeric.runtime import Runtime
from nmtune.report.comparison import Score, best_rival, compare_candidates
from nmtune.report.correlation import correlate
from nmtune.report.verdict import judge_job, pending
from nmtune.report.wording import SpectrumMove
from nmtune.vocabulary import ID_SPLIT
from store.files.job_rows import Predictions
from workers.folder import TrainingInstructions

VERSION = 2
CENTERING = "none"
SIGNIFICANT_DIGITS = 6  # of a singular value; a plot shows fewer, and there are d of them per split

CALIBRATION = (
    "Logits are divided by one temperature, fitted for the least log loss on rows held out from "
    "training; the predicted classes do not change."
)

CALIBRATION_UNDER_NOISE = (
    f"{CALIBRATION} Many training labels look wrong, so the temperature is fitted to the right "
    "ones, as far as they can be estimated: test labels that are wrong count as mistakes."
)

Spectra: TypeAlias = dict[str, Spectrum]


@dataclass(frozen=True, kw_only=True)
class CandidateResult:
    """A trained candidate, its training's history, and its evaluations and spectra by split.

    uncalibrated: its evaluations without the temperature, empty if that is 1. predictions: what it
    says of each row, by split.
    """

    head: Head
    train_seconds: float
    history: list[dict[str, Any]]
    notes: list[str]
    adapted: Mapping[str, Any] | None = None
    """Of a candidate that adapts the encoder: its config, strength, size and encoder."""
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    spectra: Spectra = field(default_factory=dict)
    uncalibrated: dict[str, Evaluation] = field(default_factory=dict)
    predictions: dict[str, Predictions] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        """The config of its only member, of each member of a blend, or of its adapter."""
        if self.adapted is not None:
            return dict(self.adapted["config"])
        configs = [config.to_dict() for config in self.head.configs]
        return configs[0] if len(configs) == 1 else {"members": configs}

    @property
    def n_parameters(self) -> int:
        """How many numbers were fitted, those of an adapter included."""
        more = 0 if self.adapted is None else int(self.adapted["n_parameters"])
        return self.head.n_parameters + more

    def to_dict(self) -> dict[str, Any]:
        about: dict[str, Any] = {} if self.adapted is None else {"adapted": dict(self.adapted)}
        return {
            "config": self.config,
            "n_parameters": self.n_parameters,
            "train_seconds": round(self.train_seconds, 3),
            "temperature": self.head.temperature,
            "metrics": {
                split: {"split": split, **one.to_dict()} for split, one in self.evaluations.items()
            },
            "history": self.history,
            "spectra": {split: _measures(one) for split, one in self.spectra.items()},
            "notes": self.notes,
            **about,
        }


def compose(
    plan: TrainingInstructions,
    *,
    method: str,
    machine: Runtime,
    classes: Sequence[str],
    trained: Mapping[str, CandidateResult],
    scores: Mapping[str, Mapping[str, Score]],
    raw: Spectra,
    seconds: float,
    class_shares: Mapping[str, float],
    choice: Mapping[str, Any] | None = None,
    findings: Mapping[str, Any] | None = None,
    abstention: Mapping[str, Any] | None = None,
    missing: Sequence[str] = (),
) -> dict[str, Any]:
    """The report of a job whose published head is `trained[method]`.

    scores: candidate -> split -> score. raw: the spectra of the raw embeddings. class_shares: of
    the training rows. choice: what auto chose, with its "reason". findings: what else was found
    about the data, by name. abstention: the advice for abstain_below. These three are ready for
    JSON. missing: what the job has still to find out; the verdict then waits too.
    """
    published = trained[method]
    id_split = ID_SPLIT if ID_SPLIT in raw else None
    weights = (choice or {}).get("weights") or {}
    same = tuple(weights) if len(weights) == 1 else ()
    rival = best_rival(scores, method=method, id_split=id_split, same=same)
    comparisons = compare_candidates(scores, method=method, id_split=id_split, rival=rival)
    verdict = (
        pending(choice)
        if missing
        else judge_job(
            scores,
            comparisons,
            method=method,
            id_split=id_split,
            spectra=[_move(id_split, raw, published.spectra)]
            if id_split in published.spectra
            else [],
            choice=choice,
            rival=rival,
            job_id=plan.job_id,
        )
    )
    return {
        "version": VERSION,
        "job_id": plan.job_id,
        "name": plan.job_name,
        "method": method,
        "missing": list(missing),
        "dataset": {
            "id": plan.dataset_id,
            "sha256": plan.dataset_sha256,
            "name": plan.dataset_name,
            "n_columns": published.head.n_columns,
            "classes": list(classes),
            "class_shares": dict(class_shares),
            "splits": [
                {"name": split, "n_rows": one.n_rows, "n_classes_present": one.n_classes_present}
                for split, one in published.evaluations.items()
            ],
        },
        "encoders": plan.encoders,
        "choice": dict(choice) if choice else None,
        "candidates": {name: one.to_dict() for name, one in trained.items()},
        "spectra": {
            "centering": CENTERING,
            "raw": _full(raw),
            "tuned": _full(published.spectra),
            "correlation": correlate({name: _found(one) for name, one in trained.items()}),
        },
        "calibration": _calibration(
            method, published, noisy=bool(choice and choice.get("labels_look_noisy"))
        ),
        "abstention": dict(abstention) if abstention else None,
        "comparison": [row.to_dict() for row in comparisons],
        "verdict": verdict.to_dict(),
        "findings": dict(findings or {}),
        "warnings": plan.dataset_warnings,
        "environment": {
            "nmtune_version": nmtune.__version__,
            "platform": platform.platform(),
            "python_version": platform.python_version(),
            "torch_version": machine.torch_version,
            "device": machine.device,
            "device_name": machine.device_name,
            "n_threads": machine.n_threads,
            "seed": published.head.configs[0].seed,
            "seconds": round(seconds, 3),
        },
    }


def _calibration(name: str, published: CandidateResult, *, noisy: bool) -> dict[str, Any] | None:
    """The calibration error before and after, by split; None for an uncalibrated head."""
    if not published.uncalibrated:
        return None
    return {
        "candidate": name,
        "temperature": published.head.temperature,
        "method": CALIBRATION_UNDER_NOISE if noisy else CALIBRATION,
        "splits": {
            split: {
                "n_rows": after.n_rows,
                "ece_before": before.ece,
                "ece_after": after.ece,
                "log_loss_before": before.log_loss,
                "log_loss_after": after.log_loss,
                "reliability_before": [asdict(one) for one in before.reliability],
            }
            for split, after in published.evaluations.items()
            if (before := published.uncalibrated.get(split)) is not None
        },
    }


def _found(one: CandidateResult) -> dict[str, tuple[Evaluation, Spectrum]]:
    return {
        split: (evaluation, one.spectra[split])
        for split, evaluation in one.evaluations.items()
        if split in one.spectra
    }


def _measures(spectrum: Spectrum) -> dict[str, Any]:
    return {
        "entropy": spectrum.entropy,
        "largest_ratio": spectrum.largest_ratio,
        "effective_rank": spectrum.effective_rank,
    }


def _full(spectra: Spectra) -> dict[str, Any]:
    return {
        split: {
            **_measures(one),
            "singular_values": [
                float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in one.singular_values
            ],
        }
        for split, one in spectra.items()
    }


def _move(split: str, raw: Spectra, tuned: Spectra) -> SpectrumMove:
    before, after = raw[split], tuned[split]
    return SpectrumMove(
        split=split,
        entropy=(before.entropy, after.entropy),
        largest_ratio=(before.largest_ratio, after.largest_ratio),
    )
