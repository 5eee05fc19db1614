"""The home of the verdict: what the comparison means, in the plain words of a data scientist."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workers.comparison import Comparison, Score, mean_ood_accuracy
from workers.wording import (
    NAMES,
    SpectrumMove,
    decisive,
    disagreement,
    gist,
    pair_sentences,
    spectrum_sentence,
    upper,
)

Pair = tuple[str, str]  # candidate, baseline
PROBE = "linear_probe"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One line to act on, the sentences that support it, and the best candidates by accuracy.

    `best_id` and `best_ood` are names of candidates, None where no such split was judged.
    """

    summary: str
    sentences: tuple[str, ...]
    best_id: str | None
    best_ood: str | None

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "sentences": list(self.sentences)}


def judge(
    scores: Mapping[str, Mapping[str, Score]],
    comparisons: Sequence[Comparison],
    *,
    method: str,
    id_split: str | None,
    spectra: Sequence[SpectrumMove] = (),
    choice: Mapping[str, Any] | None = None,
) -> Verdict:
    """Weigh the `comparisons` of `scores` for a job whose published head is of `method`.

    A more complex candidate is recommended only if it gains clearly somewhere and loses nowhere,
    not even probably. `choice` is what auto chose, its "reason" a full sentence.
    """
    pairs: dict[Pair, list[Comparison]] = {}
    for row in comparisons:
        pairs.setdefault((row.candidate, row.baseline), []).append(row)
    id_accuracy = {name: splits[id_split].accuracy for name, splits in scores.items() if id_split}
    ood_accuracy = {
        name: value for name in scores if (value := mean_ood_accuracy(scores[name])) is not None
    }
    sentences = [str(choice["reason"])] if choice else []
    for (candidate, baseline), rows in pairs.items():
        if method == "auto" and (candidate, baseline) == ("mlp", PROBE):
            continue  # it counts for the summary; the user asked for neither
        sentences += pair_sentences(rows, with_domains=candidate == method)
    if pairs:
        sentences.append(_reach(has_domains=bool(ood_accuracy)))
    return Verdict(
        summary=_summary(pairs, method) if pairs else _alone(method, id_accuracy, ood_accuracy),
        sentences=(*sentences, *map(spectrum_sentence, spectra)),
        best_id=_best(id_accuracy),
        best_ood=_best(ood_accuracy),
    )


def _reach(*, has_domains: bool) -> str:
    domains = "of other domains than these they say nothing, and " if has_domains else ""
    return (
        "The intervals say how far other rows of the same splits would move a difference; "
        f"{domains}training again with another seed can move it as well."
    )


def _alone(method: str, *accuracies: Mapping[str, float]) -> str:
    """What can be said without a comparison: no held-out rows, or a single candidate."""
    reached = [
        f"{accuracy[method] * 100:.1f} % {place}"
        for accuracy, place in zip(accuracies, ("in domain", "out of domain"), strict=True)
        if accuracy
    ]
    if not reached:
        return (
            "Nothing to compare: the data set has no held-out split. Add a `test` split, and "
            "`ood/<domain>` splits from other domains, to learn whether tuning pays."
        )
    return (
        f"Nothing to compare: only {NAMES[method]} was trained ({', '.join(reached)}). Run the "
        'data set with "method": "auto" to learn whether tuning pays.'
    )


def _summary(pairs: Mapping[Pair, Sequence[Comparison]], method: str) -> str:
    # In the order of the pairs: what is published, then the fuller of the others.
    against_probe = {name: rows for (name, baseline), rows in pairs.items() if baseline == PROBE}
    gaining = [name for name, rows in against_probe.items() if _gains_clearly(rows)]
    paying = [name for name in gaining if not _loses_at_all(against_probe[name])]
    if paying:
        return _recommendation(pairs, paying, method)
    if gaining:
        rows = against_probe[gaining[0]]
        return (
            f"A trade: against the linear probe, {NAMES[gaining[0]]} {gist(decisive(rows))}."
            f"{disagreement(rows)} Choose by which of the splits looks like your production data."
        )
    name, rows = next(iter(against_probe.items()))
    if not any(row.n_gained or row.n_lost for row in rows):
        found = f"{NAMES[name]} is right on exactly the same held-out rows"
    else:
        found = f"against it, {NAMES[name]} {gist(decisive(rows))}"
        if any(row.gains for row in decisive(rows)):
            found += ", too little for these rows to settle"
    is_no_worse = name == method and not _loses_at_all(rows)
    return (
        f"Use the linear probe: {found}.{disagreement(rows)}"
        f"{_publishing(PROBE, method, is_no_worse=is_no_worse)}"
    )


def _recommendation(
    pairs: Mapping[Pair, Sequence[Comparison]], paying: Sequence[str], method: str
) -> str:
    """The first of those that pay, unless the plain MLP pays as well and does better or alike."""
    first, winner, duel = paying[0], paying[0], ""
    if "mlp" in paying[1:]:
        rows = pairs[first, "mlp"]
        is_better = _gains_clearly(rows) and not _loses_at_all(rows)
        is_worse = _loses_clearly(rows) and not any(row.gains for row in decisive(rows))
        # Where nothing sets them apart, what is published is at hand; else the simpler one will do.
        if is_worse or not (is_better or first == method):
            winner = "mlp"
        other = first if winner == "mlp" else "mlp"
        duel = (
            f" {upper(NAMES[other])} also beats the linear probe; between the two, "
            f"{NAMES[first]} {gist(decisive(rows))}."
        )
    rows = pairs[winner, PROBE]
    return (
        f"Use {NAMES[winner]}: against the linear probe it {gist(decisive(rows))}."
        f"{disagreement(rows)}{duel}{_publishing(winner, method)}"
    )


def _publishing(recommended: str, method: str, *, is_no_worse: bool = False) -> str:
    """What to do when the head that this job published is not the recommended one."""
    if method == recommended:
        return ""
    published = NAMES[method]
    if is_no_worse:
        published += ", which these rows show no worse"
    return (
        f" This job published {published}; to publish the other, run it again with "
        f'"method": "{recommended}".'
    )


def _gains_clearly(rows: Sequence[Comparison]) -> bool:
    return any(row.finding == "gain" for row in decisive(rows))


def _loses_clearly(rows: Sequence[Comparison]) -> bool:
    return any(row.finding == "loss" for row in decisive(rows))


def _loses_at_all(rows: Sequence[Comparison]) -> bool:
    return any(row.loses for row in decisive(rows))


def _best(accuracy: Mapping[str, float]) -> str | None:
    """The most accurate candidate; of equals the simplest."""
    ranked = [name for name in NAMES if name in accuracy]
    return max(ranked, key=lambda name: accuracy[name], default=None)
