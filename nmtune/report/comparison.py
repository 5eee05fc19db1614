"""The home of the comparison: which candidate beats which, where, and by more than chance."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nmtune.numeric.statistics import PairedCounts, bootstrap_interval, mcnemar_p_value

Kind = Literal["id", "ood", "ood_mean"]
Finding = Literal["gain", "probable_gain", "unclear", "probable_loss", "loss"]

OOD_PREFIX = "ood/"
OOD_MEAN = "ood"
ABLATION_PREFIX = "nmtune_without_"
# How often equally good candidates may disagree as unevenly: for a difference to be clear, and to
# be probable (a normal variable leaves one standard error so often).
CLEAR = 0.05
PROBABLE = 0.32
# Pairs of a simple published head with a fuller candidate are told the other way round.
_TURNED_ROUND = frozenset({("mlp", "linear_probe"), ("nmtune", "linear_probe"), ("nmtune", "mlp")})


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one candidate reached on one split; `correct` (n,) says which rows it got right.

    `confidence` (n,) are its largest probabilities, where they are asked for.
    """

    correct: NDArray[np.bool_]
    macro_f1: float
    confidence: NDArray[np.floating[Any]] = field(default_factory=lambda: np.empty(0))

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

    picked_from: from how many candidates the baseline was picked because it did best on these very
    rows, 1 if it was named beforehand. A pick flatters, so the interval and the bounds of `finding`
    are those of that many comparisons at once (Bonferroni).
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
    picked_from: int = 1

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
        if p_value < CLEAR / self.picked_from and (low > 0 or high < 0):
            return "gain" if difference > 0 else "loss"
        if p_value < PROBABLE / self.picked_from and abs(difference) > (high - low) / 4:
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


@dataclass(frozen=True, kw_only=True)
class Rival:
    """The candidate that did best beside the published one, of `n_others` by the rows judged."""

    name: str
    n_others: int


def best_rival(
    scores: Mapping[str, Mapping[str, Score]],
    *,
    method: str,
    id_split: str | None,
    same: Collection[str] = (),
) -> Rival | None:
    """The most accurate of the other candidates, in domain and on the mean domain counted alike.

    Of equals the first. `same` are candidates whose head the published one is; ablations only
    explain NMTune. None where there is no other candidate or nothing was held out.
    """
    others = {
        name: found
        for name in scores
        if name != method
        and name not in same
        and not name.startswith(ABLATION_PREFIX)
        and (found := _decisive_accuracies(scores[name], id_split))
    }
    if not others:
        return None
    return Rival(name=max(others, key=lambda name: sum(others[name])), n_others=len(others))


def compare(
    scores: Mapping[str, Mapping[str, Score]],
    *,
    method: str,
    id_split: str | None,
    rival: Rival | None = None,
) -> tuple[Comparison, ...]:
    """The pairs of candidates that matter to a job that publishes `method`, split by split.

    `scores` is candidate -> split -> score. `id_split` is the held-out split from the training
    domain, None if there is none. Splits named `ood/<domain>` follow, and the mean over the
    domains, each with the same weight.
    """
    rows: list[Comparison] = []
    planned = _planned(method, scores)
    for candidate, baseline in _pairs(scores, method, rival):
        ours, theirs = scores[candidate], scores[baseline]
        names = {"candidate": candidate, "baseline": baseline}
        picked_from = 1 if rival is None or (candidate, baseline) in planned else rival.n_others
        domains = [split for split in ours if split.startswith(OOD_PREFIX)]
        kinds: list[tuple[str, Kind, list[str]]] = []
        if id_split is not None:
            kinds.append((id_split, "id", [id_split]))
        kinds += [(split, "ood", [split]) for split in domains]
        if domains:
            kinds.append((OOD_MEAN, "ood_mean", domains))
        rows += [
            _row(split, kind, ours, theirs, splits, picked_from=picked_from, **names)
            for split, kind, splits in kinds
        ]
    return tuple(rows)


def mean_ood_accuracy(scores: Mapping[str, Score]) -> float | None:
    """The accuracy of one candidate, averaged over the `ood/<domain>` splits; None without any."""
    values = [score.accuracy for split, score in scores.items() if split.startswith(OOD_PREFIX)]
    return sum(values) / len(values) if values else None


def _decisive_accuracies(scores: Mapping[str, Score], id_split: str | None) -> list[float]:
    in_domain = [] if id_split is None else [scores[id_split].accuracy]
    out = mean_ood_accuracy(scores)
    return in_domain if out is None else [*in_domain, out]


def _planned(method: str, scores: Collection[str]) -> list[tuple[str, str]]:
    """The pairs that are compared whatever the rows say."""
    return [
        (method, "linear_probe"),
        (method, "mlp"),
        (method, "nmtune"),
        ("nmtune", "linear_probe"),
        ("nmtune", "mlp"),  # its own transform without the regularisers
        ("mlp", "linear_probe"),
        *(("nmtune", name) for name in scores if name.startswith(ABLATION_PREFIX)),
    ]


def _pairs(scores: Mapping[str, object], method: str, rival: Rival | None) -> list[tuple[str, str]]:
    """Candidate and baseline: what is published, then NMTune, then the MLP; then the ablations."""
    planned = _planned(method, scores)
    wanted = [*planned[:3], *([] if rival is None else [(method, rival.name)]), *planned[3:]]
    return [
        (candidate, baseline)
        for candidate, baseline in dict.fromkeys(wanted)
        if candidate != baseline
        and candidate in scores
        and baseline in scores
        and (baseline, candidate) not in _TURNED_ROUND
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
    picked_from: int,
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
        interval=bootstrap_interval(counts, level=1 - CLEAR / picked_from),
        p_value=mcnemar_p_value(n_gained, n_lost) if len(counts) == 1 else None,
        picked_from=picked_from,
    )
