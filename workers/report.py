"""The report: what a finished job says, as one JSON document."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import nmtune
from nmtune import Evaluation, Head, Spectrum
from nmtune.runtime import Runtime
from workers.comparison import Score, best_rival, compare
from workers.correlation import correlate
from workers.verdict import judge
from workers.wording import SpectrumMove
from workers.workdir import Plan

VERSION = 2
ID_SPLIT = "test"  # held out from the domain that was trained on
CENTERING = "none"
SIGNIFICANT_DIGITS = 6  # of a singular value; a plot shows fewer, and there are d of them per split

CALIBRATION = (
    "Logits are divided by one temperature, the one with the least log loss on training rows that "
    "the scored head had not seen; the predicted classes do not change."
)

Spectra: TypeAlias = dict[str, Spectrum]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished candidate, its training's history, and by split what it was found to be.

    `uncalibrated` is what it was found to be without its temperature, empty if that is 1.
    """

    head: Head
    train_seconds: float
    history: list[dict[str, Any]]
    notes: list[str]
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    spectra: Spectra = field(default_factory=dict)
    uncalibrated: dict[str, Evaluation] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        """The config of its only member, or of a blend each member's."""
        configs = [config.to_dict() for config in self.head.configs]
        return configs[0] if len(configs) == 1 else {"members": configs}

    def to_dict(self) -> dict[str, Any]:
        return {
            "config": self.config,
            "n_parameters": self.head.n_parameters,
            "train_seconds": round(self.train_seconds, 3),
            "temperature": self.head.temperature,
            "metrics": {
                split: {"split": split, **one.to_dict()} for split, one in self.evaluations.items()
            },
            "history": self.history,
            "spectra": {split: _measures(one) for split, one in self.spectra.items()},
            "notes": self.notes,
        }


def compose(
    plan: Plan,
    *,
    method: str,
    machine: Runtime,
    classes: Sequence[str],
    trained: Mapping[str, Trained],
    scores: Mapping[str, Mapping[str, Score]],
    raw: Spectra,
    seconds: float,
    choice: Mapping[str, Any] | None = None,
    findings: Mapping[str, Any] | None = None,
    abstention: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The report of a job whose published head is `trained[method]`.

    `scores` is candidate -> split -> score, `raw` the spectra of the embeddings as they came.
    `choice` is what auto chose, its "reason" a full sentence; `findings`, by name, what else was
    found about the data; `abstention` what is advised for abstain_below. All are ready for JSON.
    """
    published = trained[method]
    id_split = ID_SPLIT if ID_SPLIT in raw else None
    weights = (choice or {}).get("weights") or {}
    same = tuple(weights) if len(weights) == 1 else ()
    rival = best_rival(scores, method=method, id_split=id_split, same=same)
    comparisons = compare(scores, method=method, id_split=id_split, rival=rival)
    verdict = judge(
        scores,
        comparisons,
        method=method,
        id_split=id_split,
        spectra=[_move(id_split, raw, published.spectra)] if id_split in published.spectra else [],
        choice=choice,
        rival=rival,
    )
    return {
        "version": VERSION,
        "job_id": plan.job_id,
        "name": plan.job_name,
        "method": method,
        "dataset": {
            "id": plan.dataset_id,
            "sha256": plan.dataset_sha256,
            "name": plan.dataset_name,
            "n_columns": published.head.n_columns,
            "classes": list(classes),
            "splits": [
                {"name": split, "n_rows": one.n_rows, "n_classes_present": one.n_classes_present}
                for split, one in published.evaluations.items()
            ],
        },
        "choice": dict(choice) if choice else None,
        "candidates": {name: one.to_dict() for name, one in trained.items()},
        "spectra": {
            "centering": CENTERING,
            "raw": _full(raw),
            "tuned": _full(published.spectra),
            "correlation": correlate({name: _found(one) for name, one in trained.items()}),
        },
        "calibration": _calibration(method, published),
        "abstention": dict(abstention) if abstention else None,
        "comparison": [row.to_dict() for row in comparisons],
        "verdict": verdict.to_dict(),
        "findings": dict(findings or {}),
        "warnings": plan.dataset_warnings,
        "environment": {
            "nmtune_version": nmtune.__version__,
            "torch_version": machine.torch_version,
            "device": machine.device,
            "device_name": machine.device_name,
            "n_threads": machine.n_threads,
            "seed": published.head.configs[0].seed,
            "seconds": round(seconds, 3),
        },
    }


def _calibration(name: str, published: Trained) -> dict[str, Any] | None:
    """The calibration error before and after, by split; None if the head was not calibrated."""
    if not published.uncalibrated:
        return None
    return {
        "candidate": name,
        "temperature": published.head.temperature,
        "method": CALIBRATION,
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


def _found(one: Trained) -> dict[str, tuple[Evaluation, Spectrum]]:
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
