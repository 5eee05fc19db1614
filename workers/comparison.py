"""The home of the comparison: which candidate beats which, where, and by more than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmtune.statistics import PairedCounts, bootstrap_interval, mcnemar_p_value

Kind = Literal["id", "ood", "ood_mean"]
Finding = Literal["gain", "probable_gain", "unclear", "probable_loss", "loss"]

OOD_PREFIX = "ood/"
OOD_MEAN = "ood"
ABLATION_PREFIX = "nmtune_without_"
# How often equally good candidates may disagree as unevenly: for a difference to be clear, and to
# be probable (a normal variable leaves one standard error so often).
CLEAR = 0.05
PROBABLE = 0.32


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

    n_gained, n_lost: rows that only the candidate, only the baseline got right. interval: the 95 %
    bootstrap interval (low, high) of the accuracy difference over the rows. p_value: McNemar's,
    exact and two-sided. A mean over domains has `split` "ood", the sums of their rows, and no
    p_value unless it is of one domain.
    """

    split: str
    kind: Kind
    candidate: str
    baseline: str
    n_rows: int
    n_gained: int
    n_lost: int
    candidate_accuracy: float
    baseline_accuracy: float
    macro_f1_difference: float
    interval: tuple[float, float]
    p_value: float | None

    @property
    def accuracy_difference(self) -> float:
        return self.candidate_accuracy - self.baseline_accuracy

    @property
    def finding(self) -> Finding:
        """What the rows say: a gain or a loss, a probable one, or nothing clear.

        It is clear if the interval leaves out 0 and McNemar's test agrees (p < 0.05), probable if
        the difference is one standard error (a quarter of the interval) with p < 0.32. The interval
        alone is too narrow where the candidates hardly ever disagree, so a mean without a test
        needs as many disagreements as could bring the test below that bound.
        """
        low, high = self.interval
        p_value = self.p_value
        if p_value is None:
            p_value = mcnemar_p_value(self.n_gained + self.n_lost, 0)
        difference = self.accuracy_difference
        if p_value < CLEAR and (low > 0 or high < 0):
            return "gain" if difference > 0 else "loss"
        if p_value < PROBABLE and abs(difference) > (high - low) / 4:
            return "probable_gain" if difference > 0 else "probable_loss"
        return "unclear"

    @property
    def gains(self) -> bool:
        """Clearly or probably."""
        return self.finding in ("gain", "probable_gain")

    @property
    def loses(self) -> bool:
        """Clearly or probably."""
        return self.finding in ("loss", "probable_loss")

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "interval": list(self.interval),
            "accuracy_difference": self.accuracy_difference,
            "finding": self.finding,
        }


def compare(
    scores: Mapping[str, Mapping[str, Score]], *, method: str, id_split: str | None
) -> tuple[Comparison, ...]:
    """The pairs of candidates that matter to a job that publishes `method`, split by split.

    `scores` is candidate -> split -> score. `id_split` is the held-out split from the training
    domain, None if there is none. Splits named `ood/<domain>` follow, and the mean over the
    domains, each with the same weight.
    """
    rows: list[Comparison] = []
    for candidate, baseline in _pairs(scores, method):
        ours, theirs = scores[candidate], scores[baseline]
        names = {"candidate": candidate, "baseline": baseline}
        domains = [split for split in ours if split.startswith(OOD_PREFIX)]
        if id_split is not None:
            rows.append(_row(id_split, "id", ours, theirs, [id_split], **names))
        rows += [_row(split, "ood", ours, theirs, [split], **names) for split in domains]
        if domains:
            rows.append(_row(OOD_MEAN, "ood_mean", ours, theirs, domains, **names))
    return tuple(rows)


def mean_ood_accuracy(scores: Mapping[str, Score]) -> float | None:
    """The accuracy of one candidate, averaged over the `ood/<domain>` splits; None without any."""
    values = [score.accuracy for split, score in scores.items() if split.startswith(OOD_PREFIX)]
    return sum(values) / len(values) if values else None


def _pairs(scores: Mapping[str, object], method: str) -> list[tuple[str, str]]:
    """Candidate and baseline: what is published, then NMTune, then the MLP; then the ablations."""
    wanted = [
        (method, "linear_probe"),
        (method, "mlp"),
        ("nmtune", "linear_probe"),
        ("nmtune", "mlp"),  # its own transform without the regularisers
        ("mlp", "linear_probe"),
        *(("nmtune", name) for name in scores if name.startswith(ABLATION_PREFIX)),
    ]
    return [
        (candidate, baseline)
        for candidate, baseline in dict.fromkeys(wanted)
        if candidate != baseline
        and candidate in scores
        and baseline in scores
        and (candidate, baseline) != ("linear_probe", "mlp")  # the last pair, turned round
    ]


def _row(
    split: str,
    kind: Kind,
    ours: Mapping[str, Score],
    theirs: Mapping[str, Score],
    splits: Sequence[str],
    *,
    candidate: str,
    baseline: str,
) -> Comparison:
    """One comparison over one split, or over the mean of several."""
    counts = [PairedCounts.of(ours[one].correct, theirs[one].correct) for one in splits]
    n_gained = sum(one.n_gained for one in counts)
    n_lost = sum(one.n_lost for one in counts)
    return Comparison(
        split=split,
        kind=kind,
        candidate=candidate,
        baseline=baseline,
        n_rows=sum(one.n_rows for one in counts),
        n_gained=n_gained,
        n_lost=n_lost,
        candidate_accuracy=sum(ours[one].accuracy for one in splits) / len(splits),
        baseline_accuracy=sum(theirs[one].accuracy for one in splits) / len(splits),
        macro_f1_difference=sum(ours[one].macro_f1 - theirs[one].macro_f1 for one in splits)
        / len(splits),
        interval=bootstrap_interval(counts),
        p_value=mcnemar_p_value(n_gained, n_lost) if len(counts) == 1 else None,
    )
