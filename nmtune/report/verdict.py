"""The verdict: what the comparison means, in the plain words of a data scientist."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nmtune.report.comparison import Comparison, Rival, Score, mean_ood_accuracy
from nmtune.report.wording import (
    NAMES,
    SpectrumMove,
    decisive,
    disagreement,
    gist,
    pair_sentences,
    spectrum_sentence,
    title,
    upper,
)

Pair = tuple[str, str]  # candidate, baseline
PROBE = "linear_probe"
PUBLISHABLE = ("linear_probe", "mlp", "nmtune")
"""The candidates that a job can be asked to publish."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One line to act on, the sentences that support it, and the best candidates by accuracy.

    recommended: the candidate to use, None where the rows leave the choice to the reader.
    advises_against: whether another head than the published one should be used. rival: the most
    accurate candidate beside the published one, None where there is none. `best_id` and `best_ood`
    are names of candidates, None where no such split was judged.
    """

    summary: str
    sentences: tuple[str, ...]
    recommended: str | None
    advises_against: bool
    rival: str | None
    best_id: str | None
    best_ood: str | None

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "sentences": list(self.sentences)}


@dataclass(frozen=True, kw_only=True)
class _Advice:
    summary: str
    recommended: str | None
    advises_against: bool = False


def judge(
    scores: Mapping[str, Mapping[str, Score]],
    comparisons: Sequence[Comparison],
    *,
    method: str,
    id_split: str | None,
    spectra: Sequence[SpectrumMove] = (),
    choice: Mapping[str, Any] | None = None,
    rival: Rival | None = None,
) -> Verdict:
    """Weigh the `comparisons` of `scores` for a job whose published head is of `method`.

    A more complex candidate is recommended only if it gains clearly somewhere and loses nowhere,
    not even probably. `choice` is what auto chose, its "reason" a full sentence; `rival` the best
    of the other candidates.
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
        # The other methods' heads are compared with each simpler one: nothing is picked.
        is_rival = rival is not None and (candidate, baseline) == ("auto", rival.name)
        sentences += pair_sentences(
            rows,
            with_domains=candidate == method,
            best_of=rival.n_others if rival is not None and is_rival else 1,
        )
    if pairs:
        sentences.append(_reach(has_domains=bool(ood_accuracy)))
    advice = (
        _Judged(pairs, method, title(method, choice), rival).advice()
        if pairs
        else _Advice(summary=_alone(method, id_accuracy, ood_accuracy), recommended=None)
    )
    return Verdict(
        summary=advice.summary,
        sentences=(*sentences, *map(spectrum_sentence, spectra)),
        recommended=advice.recommended,
        advises_against=advice.advises_against,
        rival=None if rival is None else rival.name,
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


@dataclass(frozen=True)
class _Judged:
    """The comparisons of a job that publishes `method`, which its sentences call `title`."""

    pairs: Mapping[Pair, Sequence[Comparison]]
    method: str
    title: str
    rival: Rival | None

    def advice(self) -> _Advice:
        # In the order of the pairs: what is published, then the fuller of the others.
        against_probe = {name: rows for (name, base), rows in self.pairs.items() if base == PROBE}
        gaining = [name for name, rows in against_probe.items() if _gains_clearly(rows)]
        paying = [name for name in gaining if not _loses_at_all(against_probe[name])]
        if paying:
            return self._recommended(paying)
        if gaining:
            return self._trade(gaining[0])
        return self._nothing_gained(against_probe)

    def _recommended(self, paying: Sequence[str]) -> _Advice:
        """The first of those that pay, unless a later one does better, or alike and is simpler."""
        winner, duel = paying[0], ""
        for other in ("nmtune", "mlp"):
            rows = self.pairs.get((winner, other))
            if other not in paying or rows is None:
                continue
            is_better = _gains_clearly(rows) and not _loses_at_all(rows)
            is_worse = _loses_clearly(rows) and not any(row.gains for row in decisive(rows))
            # Where nothing sets them apart, what is published is at hand; else the simpler will do.
            is_tie_to_the_simpler = other == "mlp" and not is_better and winner != self.method
            takes_over = is_worse or is_tie_to_the_simpler
            if takes_over or other == "mlp":
                duel = (
                    f" {upper(self._named(winner if takes_over else other))} also beats the linear "
                    f"probe; between the two, {NAMES[winner]} {gist(decisive(rows))}."
                )
            winner = other if takes_over else winner
        rows = self.pairs[winner, PROBE]
        verb, note = "Use", duel
        if winner == self.method:
            if beaten := self._beaten_by_rival():
                verb, note = "Keep", beaten
            elif not duel or (self.rival is not None and self.rival.name != "mlp"):
                note += self._beside_rival()
        return _Advice(
            summary=f"{verb} {self._named(winner)}: against the linear probe it "
            f"{gist(decisive(rows))}.{disagreement(rows)}{note}{self._publishing(winner)}",
            recommended=winner,
            advises_against=not self._is_no_worse(winner),
        )

    def _trade(self, name: str) -> _Advice:
        rows = self.pairs[name, PROBE]
        mine = self.pairs.get((self.method, PROBE), ())
        return _Advice(
            summary=f"A trade: against the linear probe, {self._named(name)} "
            f"{gist(decisive(rows))}.{disagreement(rows)} Choose by which of the splits looks like "
            "your production data.",
            recommended=None,
            advises_against=name != self.method and _loses_at_all(mine),
        )

    def _nothing_gained(self, against_probe: Mapping[str, Sequence[Comparison]]) -> _Advice:
        """No candidate clearly beats the linear probe."""
        name = self.method if self.method in against_probe else next(iter(against_probe))
        rows = against_probe[name]
        found = gist(decisive(rows))
        if not any(row.n_gained or row.n_lost for row in rows):
            found = "is right on exactly the same held-out rows"
        elif any(row.gains for row in decisive(rows)):
            found += ", too little for these rows to settle"
        if name == self.method and not _loses_at_all(rows):
            return _Advice(
                summary=f"Keep {self.title}: against the linear probe it {found}."
                f"{disagreement(rows)} The linear probe, which is simpler, would do as well."
                f"{self._beaten_by_rival() or self._beside_rival()}",
                recommended=self.method,
            )
        return _Advice(
            summary=f"Use the linear probe: against it, {self._named(name)} {found}."
            f"{disagreement(rows)}{self._publishing(PROBE)}",
            recommended=PROBE,
            advises_against=self.method != PROBE,
        )

    def _named(self, name: str) -> str:
        return self.title if name == self.method else NAMES[name]

    def _is_no_worse(self, recommended: str) -> bool:
        """Whether the published head is the recommended one, or does not lose to it at all."""
        if recommended == self.method:
            return True
        rows = self.pairs.get((self.method, recommended))
        return rows is not None and not _loses_at_all(rows)

    def _publishing(self, recommended: str) -> str:
        """What to do when the head that this job published is not the recommended one."""
        if self.method == recommended:
            return ""
        published = NAMES[self.method]
        if self._is_no_worse(recommended):
            published += ", which these rows show no worse"
        return (
            f" This job published {published}; to publish the other, run it again with "
            f'"method": "{recommended}".'
        )

    def _beside_rival(self) -> str:
        """How auto's head stands beside the best of the others, unless that was just told."""
        rows = None if self.rival is None else self.pairs.get(("auto", self.rival.name))
        if self.method != "auto" or self.rival is None or rows is None or self.rival.name == PROBE:
            return ""
        return f" Against its best rival, {NAMES[self.rival.name]}, it {gist(decisive(rows))}."

    def _beaten_by_rival(self) -> str:
        """A sentence where another candidate clearly beats the published head, else nothing."""
        rows = None if self.rival is None else self.pairs.get((self.method, self.rival.name))
        if self.rival is None or rows is None:
            return ""
        if not _loses_clearly(rows) or any(row.gains for row in decisive(rows)):
            return ""
        name = self.rival.name
        how = (
            f'to publish it, run the job again with "method": "{name}"'
            if name in PUBLISHABLE
            else "no method publishes it alone"
        )
        return (
            f" {upper(NAMES[name])} did better on these rows: against it, {NAMES[self.method]} "
            f"{gist(decisive(rows))}; {how}."
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
