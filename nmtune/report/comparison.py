"""Compare candidates pair by pair: which one is better, where, and by more than chance."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmtune.numeric.statistics import PairedCounts, bootstrap_interval, mcnemar_p_value
from nmtune.vocabulary import (
    ABLATION_PREFIX,
    FROZEN_AUTO,
    FULL_FINETUNING,
    LORA,
    LORA_NMTUNE,
    OOD_MEAN,
    OOD_PREFIX,
)

Kind = Literal["id", "ood", "ood_mean"]
Finding = Literal["gain", "probable_gain", "unclear", "probable_loss", "loss"]

# How often two equally good candidates would disagree this unevenly: the bounds for a clear and for
# a probable difference (a normal variable is outside one standard error that often).
CLEAR = 0.05
PROBABLE = 0.32
# A simple published head and a fuller candidate: reported as the fuller one against the simple one.
_TURNED_ROUND = frozenset({("mlp", "linear_probe"), ("nmtune", "linear_probe"), ("nmtune", "mlp")})


@dataclass(frozen=True, kw_only=True)
class Score:
    """One candidate's results on one split; `correct` (n,) marks the rows it got right.

    confidence: (n,) its largest probabilities, empty where they are not needed.
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

    Attributes
    ----------
    split : str
        The split, or ``"ood"`` for the unweighted mean over all ``ood/<domain>`` splits.
    kind : {"id", "ood", "ood_mean"}
        In domain, one other domain, or the mean over the other domains.
    candidate, baseline : str
        Their names.
    n_rows : int
        Rows compared; for the mean the sum over its splits.
    n_gained, n_lost : int
        Rows that only the candidate, only the baseline got right.
    candidate_accuracy, baseline_accuracy : float
        0..1.
    macro_f1_difference : float
        Candidate minus baseline, -1..1.
    interval : tuple of float
        The 95 % bootstrap interval (low, high) of the accuracy difference over the rows.
    p_value : float or None
        McNemar's test, exact and two-sided; None for a mean over several domains.
    picked_from : int
        How many candidates the baseline was picked from because it did best on these very rows;
        1 if it was named beforehand. Picking flatters the baseline, so the interval and the bounds
        of `finding` are widened to that many comparisons (Bonferroni).
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
        """A gain or a loss, a probable one, or nothing clear.

        Clear: the interval excludes 0 and McNemar's test agrees (p < 0.05). Probable: the
        difference exceeds one standard error (a quarter of the interval) and p < 0.32. The interval
        is too narrow where the candidates hardly ever disagree, so a mean, which has no test of its
        own, needs enough disagreements to reach that p-value at best.
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
        """Whether the candidate is clearly or probably better."""
        return self.finding in ("gain", "probable_gain")

    @property
    def loses(self) -> bool:
        """Whether the candidate is clearly or probably worse."""
        return self.finding in ("loss", "probable_loss")

    def to_dict(self) -> dict[str, Any]:
        """Every field, with `accuracy_difference` and `finding`, ready for JSON or a DataFrame."""
        return {
            **asdict(self),
            "interval": list(self.interval),
            "accuracy_difference": self.accuracy_difference,
            "finding": self.finding,
        }


@dataclass(frozen=True, kw_only=True)
class Rival:
    """The best of the `n_others` other candidates, picked on the very rows that are judged."""

    name: str
    n_others: int


def best_rival(
    scores: Mapping[str, Mapping[str, Score]],
    *,
    method: str,
    id_split: str | None,
    same: Collection[str] = (),
) -> Rival | None:
    """The most accurate other candidate by in-domain plus mean OOD accuracy; ties go to the first.

    same: candidates that are the published head under another name, so no rivals. Ablations do not
    count either, since they only explain NMTune. None if no candidate is left or nothing was held
    out.
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


class Pair(NamedTuple):
    """Two candidates to compare; picked_from as in `Comparison`."""

    candidate: str
    baseline: str
    picked_from: int = 1


def compare_candidates(
    scores: Mapping[str, Mapping[str, Score]],
    *,
    method: str,
    id_split: str | None,
    rival: Rival | None = None,
) -> tuple[Comparison, ...]:
    """The pairs of candidates that matter to a job that publishes `method`, split by split.

    scores: candidate -> split -> score. id_split: the held-out split of the training domain, None
    if there is none.
    """
    planned = _planned(method, scores)
    pairs = [
        Pair(*pair, 1 if rival is None or pair in planned else rival.n_others)
        for pair in _pairs(scores, method, rival)
    ]
    return compare_pairs(scores, pairs, id_split=id_split)


def compare_pairs(
    scores: Mapping[str, Mapping[str, Score]], pairs: Sequence[Pair], *, id_split: str | None
) -> tuple[Comparison, ...]:
    """Each pair on `id_split`, on each `ood/<domain>` split, and on the mean over the domains."""
    rows: list[Comparison] = []
    for candidate, baseline, picked_from in pairs:
        ours, theirs = scores[candidate], scores[baseline]
        names = {"candidate": candidate, "baseline": baseline}
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
    """One candidate's accuracy averaged over the `ood/<domain>` splits; None if there are none."""
    values = [score.accuracy for split, score in scores.items() if split.startswith(OOD_PREFIX)]
    return sum(values) / len(values) if values else None


def _decisive_accuracies(scores: Mapping[str, Score], id_split: str | None) -> list[float]:
    in_domain = [] if id_split is None else [scores[id_split].accuracy]
    out = mean_ood_accuracy(scores)
    return in_domain if out is None else [*in_domain, out]


def _planned(method: str, scores: Collection[str]) -> list[tuple[str, str]]:
    """The pairs that are compared whatever the results."""
    return [
        (method, "linear_probe"),
        (method, "mlp"),
        (method, "nmtune"),
        ("nmtune", "linear_probe"),
        ("nmtune", "mlp"),  # its own transform without the regularisers
        ("mlp", "linear_probe"),
        ("published_nmtune", "published_mlp"),
        ("nmtune", "published_nmtune"),
        (LORA, FROZEN_AUTO),
        (LORA_NMTUNE, FROZEN_AUTO),
        (LORA_NMTUNE, LORA),
        (FULL_FINETUNING, FROZEN_AUTO),
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
