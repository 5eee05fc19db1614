"""The home of the report: what a finished job says, as one JSON document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import nmtune
from nmtune import Evaluation, Head, Spectrum
from nmtune.runtime import Runtime
from workers.comparison import Score, compare
from workers.verdict import SpectrumMove, judge
from workers.workdir import Plan

VERSION = 1
ID_SPLIT = "test"  # held out from the domain that was trained on
CENTERING = "none"
SIGNIFICANT_DIGITS = 6  # of a singular value; a plot shows fewer, and there are d of them per split

Spectra: TypeAlias = dict[str, Spectrum]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished candidate, its training's history, and by split what it was found to be."""

    head: Head
    train_seconds: float
    history: list[dict[str, Any]]
    notes: list[str]
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    spectra: Spectra = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "config": self.head.config.to_dict(),
            "n_parameters": self.head.n_parameters,
            "train_seconds": round(self.train_seconds, 3),
            "metrics": {split: one.to_dict() for split, one in self.evaluations.items()},
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
) -> dict[str, Any]:
    """The report of a job whose published head is `trained[method]`.

    `scores` is candidate -> split -> score, `raw` the spectra of the embeddings as they came.
    """
    published = trained[method]
    id_split = ID_SPLIT if ID_SPLIT in raw else None
    comparisons = compare(scores, id_split=id_split)
    verdict = judge(
        scores,
        comparisons,
        method=method,
        id_split=id_split,
        spectra=[_move(id_split, raw, published.spectra)] if id_split else [],
    )
    return {
        "version": VERSION,
        "job_id": plan.job_id,
        "name": plan.job_name,
        "method": method,
        "dataset": {
            "id": plan.dataset_id,
            "name": plan.dataset_name,
            "n_columns": published.head.n_columns,
            "classes": list(classes),
            "splits": [
                {"name": split, "n_rows": one.n_rows, "n_classes_present": one.n_classes_present}
                for split, one in published.evaluations.items()
            ],
        },
        "candidates": {name: one.to_dict() for name, one in trained.items()},
        "spectra": {
            "centering": CENTERING,
            "raw": _full(raw),
            "tuned": _full(published.spectra),
        },
        "comparison": [row.to_dict() for row in comparisons],
        "verdict": verdict.to_dict(),
        "warnings": plan.dataset_warnings,
        "environment": {
            "nmtune_version": nmtune.__version__,
            "torch_version": machine.torch_version,
            "device": machine.device,
            "device_name": machine.device_name,
            "n_threads": machine.n_threads,
            "seed": published.head.config.seed,
            "seconds": round(seconds, 3),
        },
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
