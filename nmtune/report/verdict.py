"""Turn comparisons into a verdict: which candidate to use and why, in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from nmtune.report.comparison import Comparison, Rival, Score, mean_ood_accuracy
from nmtune.report.wording import (
    SpectrumMove,
    decisive,
    disagreement,
    gist,
    pair_sentences,
    spectrum_sentence,
    title,
    upper,
)
from nmtune.vocabulary import CANDIDATE_TITLES, candidate_title

Names = tuple[str, str]  # candidate, baseline
PROBE: Final = "linear_probe"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One line to act on, and the sentences that support it.

    Attributes
    ----------
    summary : str
        What to do, and the figures it rests on.
    sentences : tuple of str
        Every comparison in words, with intervals and tests.
    recommended : str or None
        The candidate to use; None where the results leave the choice to you.
    advises_against : bool
        Whether to use another candidate than the one asked about.
    to_publish : str or None
        The candidate that the summary says how to publish; None if there is no reason to.
    rival : str or None
        The most accurate of the other candidates, None if there is none.
    best_id, best_ood : str or None
        The most accurate candidate in domain and out of domain; None if no such split was judged.
    """

    summary: str
    sentences: tuple[str, ...]
    recommended: str | None
    advises_against: bool
    to_publish: str | None
    rival: str | None
    best_id: str | None
    best_ood: str | None

    def to_dict(self) -> dict[str, object]:
        """Every field, ready for JSON."""
        return {**asdict(self), "sentences": list(self.sentences)}


@dataclass(frozen=True, kw_only=True)
class _Advice:
    summary: str
    recommended: str | None
    advises_against: bool = False
    to_publish: str | None = None


def judge_job(
    scores: Mapping[str, Mapping[str, Score]],
    comparisons: Sequence[Comparison],
    *,
    method: str,
    id_split: str | None,
    spectra: Sequence[SpectrumMove] = (),
    choice: Mapping[str, Any] | None = None,
    rival: Rival | None = None,
    job_id: str = "JOB",
) -> Verdict:
    """The verdict on a job that publishes the head of `method`.

    A more complex candidate is recommended only if it gains clearly somewhere and loses nowhere,
    not even probably. choice: what auto chose, with its "reason" as a full sentence. rival: the
    best of the other candidates. job_id: for the command that publishes another candidate.
    """
    return _verdict(
        scores,
        comparisons,
        method=method,
        reference=PROBE,
        id_split=id_split,
        job_id=job_id,
        spectra=spectra,
        choice=choice,
        rival=rival,
    )


def pending(choice: Mapping[str, Any] | None = None) -> Verdict:
    """What stands in place of a verdict as long as a published head is not compared."""
    return Verdict(
        summary="The job is not finished: the report has only the head's own metrics so far.",
        sentences=(str(choice["reason"]),) if choice else (),
        recommended=None,
        advises_against=False,
        to_publish=None,
        rival=None,
        best_id=None,
        best_ood=None,
    )


def judge_candidates(
    scores: Mapping[str, Mapping[str, Score]],
    comparisons: Sequence[Comparison],
    *,
    method: str,
    reference: str,
    id_split: str | None,
    rival: Rival | None,
) -> Verdict:
    """The same verdict on candidates of any names, without advice on what a job publishes."""
    return _verdict(
        scores,
        comparisons,
        method=method,
        reference=reference,
        id_split=id_split,
        job_id=None,
        rival=rival,
    )


def _verdict(
    scores: Mapping[str, Mapping[str, Score]],
    comparisons: Sequence[Comparison],
    *,
    method: str,
    reference: str,
    id_split: str | None,
    job_id: str | None,
    spectra: Sequence[SpectrumMove] = (),
    choice: Mapping[str, Any] | None = None,
    rival: Rival | None = None,
) -> Verdict:
    pairs: dict[Names, list[Comparison]] = {}
    for row in comparisons:
        pairs.setdefault((row.candidate, row.baseline), []).append(row)
    id_accuracy = {name: splits[id_split].accuracy for name, splits in scores.items() if id_split}
    ood_accuracy = {
        name: value for name in scores if (value := mean_ood_accuracy(scores[name])) is not None
    }
    sentences = [str(choice["reason"])] if choice else []
    for (candidate, baseline), rows in pairs.items():
        if job_id and method == "auto" and (candidate, baseline) == ("mlp", PROBE):
            continue  # it counts for the summary; the user asked for neither
        best_of = rows[0].picked_from
        if job_id:
            # Even where a pair was planned, auto's sentence says that its rival is the best.
            is_rival = rival is not None and (candidate, baseline) == ("auto", rival.name)
            best_of = rival.n_others if rival is not None and is_rival else 1
        sentences += pair_sentences(rows, with_domains=candidate == method, best_of=best_of)
    if pairs:
        sentences.append(_reach(has_domains=bool(ood_accuracy)))
        judged = _Judged(pairs, method, title(method, choice), rival, reference, job_id)
        advice = judged.advice()
    else:
        advice = _Advice(summary=_alone(method, id_accuracy, ood_accuracy), recommended=None)
    return Verdict(
        summary=advice.summary,
        sentences=(*sentences, *map(spectrum_sentence, spectra)),
        recommended=advice.recommended,
        advises_against=advice.advises_against,
        to_publish=advice.to_publish if job_id else None,
        rival=None if rival is None else rival.name,
        best_id=_best(id_accuracy),
        best_ood=_best(ood_accuracy),
    )


def _reach(*, has_domains: bool) -> str:
    domains = "It says nothing about other domains, and " if has_domains else "Besides, "
    return (
        "Each interval shows how far the difference could move on other rows of the same split. "
        f"{domains}another training seed could move it too."
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
            "`ood/<domain>` splits from other domains, to see whether tuning helps."
        )
    return (
        f"Nothing to compare: only {candidate_title(method)} was trained ({', '.join(reached)}). "
        'Train with "method": "auto" to see whether tuning helps.'
    )


@dataclass(frozen=True)
class _Judged:
    """The comparisons behind a verdict on `method`, which its sentences call `title`.

    reference: the simple candidate that every other one has to beat. job_id: of the job that
    published `method`, if one did, so that the advice says how to publish another candidate.
    """

    pairs: Mapping[Names, Sequence[Comparison]]
    method: str
    title: str
    rival: Rival | None
    reference: str
    job_id: str | None

    def advice(self) -> _Advice:
        # In the order of the pairs: the published head, then the fuller of the others.
        against_reference = {
            name: rows for (name, base), rows in self.pairs.items() if base == self.reference
        }
        gaining = [name for name, rows in against_reference.items() if _gains_clearly(rows)]
        paying = [name for name in gaining if not _loses_at_all(against_reference[name])]
        if paying:
            return self._recommended(paying)
        if gaining:
            return self._trade(gaining[0])
        return self._nothing_gained(against_reference)

    def _recommended(self, paying: Sequence[str]) -> _Advice:
        """The first that pays, unless a later one does better, or as well and is simpler."""
        winner, duel = paying[0], ""
        for other in self._contenders():
            rows = self.pairs.get((winner, other))
            if other not in paying or rows is None:
                continue
            is_better = _gains_clearly(rows) and not _loses_at_all(rows)
            is_worse = _loses_clearly(rows) and not any(row.gains for row in decisive(rows))
            # In a tie the published head stays, since it is at hand; else the simpler one wins.
            is_tie_to_the_simpler = other == "mlp" and not is_better and winner != self.method
            takes_over = is_worse or is_tie_to_the_simpler
            if takes_over or other == "mlp":
                loser = winner if takes_over else other
                duel = (
                    f" {upper(self._named(loser))} also beats {self._reference}; between the two, "
                    f"{candidate_title(winner)} {gist(decisive(rows))}."
                )
            winner = other if takes_over else winner
        rows = self.pairs[winner, self.reference]
        verb, note, to_publish = "Use", duel, winner if winner != self.method else None
        if winner == self.method:
            if beaten := self._beaten_by_rival():
                verb, note, to_publish = "Keep", beaten, self._rival_name
            elif not duel or (self.rival is not None and self.rival.name != "mlp"):
                note += self._beside_rival()
        return _Advice(
            summary=f"{verb} {self._named(winner)}: against {self._reference} it "
            f"{gist(decisive(rows))}.{disagreement(rows)}{note}{self._publishing(winner)}",
            recommended=winner,
            advises_against=not self._is_no_worse(winner),
            to_publish=to_publish,
        )

    def _contenders(self) -> tuple[str, ...]:
        """The candidates that may take the published head's place."""
        if self.job_id:
            return ("nmtune", "mlp")
        return () if self.rival is None else (self.rival.name,)

    def _trade(self, name: str) -> _Advice:
        rows = self.pairs[name, self.reference]
        mine = self.pairs.get((self.method, self.reference), ())
        return _Advice(
            summary=f"A trade-off: against {self._reference}, {self._named(name)} "
            f"{gist(decisive(rows))}.{disagreement(rows)} Choose by which split looks more like "
            "your production data.",
            recommended=None,
            advises_against=name != self.method and _loses_at_all(mine),
        )

    def _nothing_gained(self, against_reference: Mapping[str, Sequence[Comparison]]) -> _Advice:
        """No candidate clearly beats the reference."""
        is_compared = self.method in against_reference
        name = self.method if is_compared else next(iter(against_reference))
        rows = against_reference[name]
        found = gist(decisive(rows))
        if not any(row.n_gained or row.n_lost for row in rows):
            found = "gets exactly the same held-out rows right"
        elif any(row.gains for row in decisive(rows)):
            found += ", but these rows are too few to confirm it"
        if name == self.method and not _loses_at_all(rows):
            simpler = ", which is simpler," if self.reference == PROBE else ""
            beaten = self._beaten_by_rival()
            return _Advice(
                summary=f"Keep {self.title}: against {self._reference} it {found}."
                f"{disagreement(rows)} {upper(self._reference)}{simpler} would do as well."
                f"{beaten or self._beside_rival()}",
                recommended=self.method,
                to_publish=self._rival_name if beaten else None,
            )
        verb = "Keep" if self.method == self.reference else "Use"
        return _Advice(
            summary=f"{verb} {self._reference}: against it, {self._named(name)} {found}."
            f"{disagreement(rows)}{self._publishing(self.reference)}",
            recommended=self.reference,
            advises_against=self.method != self.reference,
            to_publish=self.reference if self.method != self.reference else None,
        )

    @property
    def _rival_name(self) -> str | None:
        return None if self.rival is None else self.rival.name

    @property
    def _reference(self) -> str:
        return candidate_title(self.reference)

    def _named(self, name: str) -> str:
        return self.title if name == self.method else candidate_title(name)

    def _is_no_worse(self, recommended: str) -> bool:
        """Whether the published head is the recommended one, or does not lose to it at all."""
        if recommended == self.method:
            return True
        rows = self.pairs.get((self.method, recommended))
        return rows is not None and not _loses_at_all(rows)

    def _publishing(self, recommended: str) -> str:
        """What to do when the head that this job published is not the recommended one."""
        if self.method == recommended or not self.job_id:
            return ""
        published = candidate_title(self.method)
        if self._is_no_worse(recommended):
            published += ", which is no worse on these rows"
        return (
            f" This job published {published}. {self._command(recommended)} publishes "
            f"{candidate_title(recommended)} too, without training again."
        )

    def _command(self, name: str) -> str:
        """The command that publishes another candidate of the job."""
        return f"`nmtune publish {self.job_id} {name}`"

    def _beside_rival(self) -> str:
        """How the head compares with the best of the others, unless that was just said."""
        if self.rival is None or (self.job_id and self.method != "auto"):
            return ""
        rows = self.pairs.get((self.method, self.rival.name))
        if rows is None or self.rival.name == self.reference:
            return ""
        rival = candidate_title(self.rival.name)
        return f" Against its best rival, {rival}, it {gist(decisive(rows))}."

    def _beaten_by_rival(self) -> str:
        """A sentence if another candidate clearly beats the published head, else ""."""
        rows = None if self.rival is None else self.pairs.get((self.method, self.rival.name))
        if self.rival is None or rows is None:
            return ""
        if not _loses_clearly(rows) or any(row.gains for row in decisive(rows)):
            return ""
        name = self.rival.name
        how = f"; {self._command(name)} publishes it too" if self.job_id else ""
        return (
            f" {upper(candidate_title(name))} did better on these rows: against it, "
            f"{candidate_title(self.method)} {gist(decisive(rows))}{how}."
        )


def _gains_clearly(rows: Sequence[Comparison]) -> bool:
    return any(row.finding == "gain" for row in decisive(rows))


def _loses_clearly(rows: Sequence[Comparison]) -> bool:
    return any(row.finding == "loss" for row in decisive(rows))


def _loses_at_all(rows: Sequence[Comparison]) -> bool:
    return any(row.loses for row in decisive(rows))


def _best(accuracy: Mapping[str, float]) -> str | None:
    """The most accurate candidate; of equals the simplest, or the first of unknown names."""
    known = [name for name in CANDIDATE_TITLES if name in accuracy]
    ranked = known + [name for name in accuracy if name not in CANDIDATE_TITLES]
    return max(ranked, key=lambda name: accuracy[name], default=None)
