"""The home of the comparison: which candidate beats which, where, and by more than chance."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["id", "ood", "ood_mean"]

# Candidate and its baseline; the matched MLP is NMTune's own transform without the regularisers.
PAIRS = (("nmtune", "linear_probe"), ("nmtune", "mlp"), ("mlp", "linear_probe"))
OOD_PREFIX = "ood/"
OOD_MEAN = "ood"


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one candidate reached on one split; `correct` (n,) says which rows it got right."""

    correct: NDArray[np.bool_]
    macro_f1: float

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A candidate against a baseline on the same rows; all values are fractions, not percent.

    `standard_error` is that of the accuracy difference as far as the rows of the split decide it.
    A mean over domains has `split` "ood", and `n_rows` is the sum of theirs.
    """

    split: str
    kind: Kind
    candidate: str
    baseline: str
    n_rows: int
    candidate_accuracy: float
    baseline_accuracy: float
    macro_f1_difference: float
    standard_error: float

    @property
    def accuracy_difference(self) -> float:
        return self.candidate_accuracy - self.baseline_accuracy

    @property
    def strength(self) -> float:
        """The accuracy difference in standard errors, with its sign."""
        return self.accuracy_difference / self.standard_error

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "accuracy_difference": self.accuracy_difference}


def compare(
    scores: Mapping[str, Mapping[str, Score]], *, id_split: str | None
) -> tuple[Comparison, ...]:
    """Every pair of candidates in `scores` (candidate -> split -> score), split by split.

    `id_split` is the held-out split from the training domain, None if there is none. Splits named
    `ood/<domain>` follow, and the mean over the domains, each domain with the same weight.
    """
    rows: list[Comparison] = []
    for candidate, baseline in PAIRS:
        if candidate not in scores or baseline not in scores:
            continue
        ours, theirs = scores[candidate], scores[baseline]
        names = {"candidate": candidate, "baseline": baseline}
        if id_split is not None:
            rows.append(_on_split(id_split, "id", ours[id_split], theirs[id_split], **names))
        domains = [split for split in ours if split.startswith(OOD_PREFIX)]
        by_domain = [
            _on_split(split, "ood", ours[split], theirs[split], **names) for split in domains
        ]
        rows += by_domain
        if by_domain:
            rows.append(_mean(by_domain, **names))
    return tuple(rows)


def mean_ood_accuracy(scores: Mapping[str, Score]) -> float | None:
    """The accuracy of one candidate, averaged over the `ood/<domain>` splits; None without any."""
    values = [score.accuracy for split, score in scores.items() if split.startswith(OOD_PREFIX)]
    return sum(values) / len(values) if values else None


def _on_split(
    split: str, kind: Kind, ours: Score, theirs: Score, *, candidate: str, baseline: str
) -> Comparison:
    n_rows = len(ours.correct)
    # Both judged the same rows, so only those where they disagree matter (McNemar's variance);
    # the one row added keeps a single disagreement from looking like a finding.
    n_disagreements = int(np.count_nonzero(ours.correct != theirs.correct))
    return Comparison(
        split=split,
        kind=kind,
        candidate=candidate,
        baseline=baseline,
        n_rows=n_rows,
        candidate_accuracy=ours.accuracy,
        baseline_accuracy=theirs.accuracy,
        macro_f1_difference=ours.macro_f1 - theirs.macro_f1,
        standard_error=(n_disagreements + 1) ** 0.5 / n_rows,
    )


def _mean(by_domain: list[Comparison], *, candidate: str, baseline: str) -> Comparison:
    n_domains = len(by_domain)
    return Comparison(
        split=OOD_MEAN,
        kind="ood_mean",
        candidate=candidate,
        baseline=baseline,
        n_rows=sum(row.n_rows for row in by_domain),
        candidate_accuracy=sum(row.candidate_accuracy for row in by_domain) / n_domains,
        baseline_accuracy=sum(row.baseline_accuracy for row in by_domain) / n_domains,
        macro_f1_difference=sum(row.macro_f1_difference for row in by_domain) / n_domains,
        standard_error=sum(row.standard_error**2 for row in by_domain) ** 0.5 / n_domains,
    )
