"""The home of the verdict: what the comparison means, in the plain words of a data scientist."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from workers.comparison import OOD_PREFIX, Comparison, Score, mean_ood_accuracy

Pair = tuple[str, str]  # candidate, baseline

NAMES = {"linear_probe": "the linear probe", "mlp": "the matched MLP", "nmtune": "NMTune"}
SIMPLEST_FIRST = ("linear_probe", "mlp", "nmtune")

# In standard errors of the difference: below the first there is "no clear difference", from there
# to the second it is "probably" there, above it simply is.
LIKELY = 1.0
CLEAR = 2.0
SPECTRUM_MOVED = 0.005  # nats; smaller moves vanish in the two decimals that are shown
F1_CONTRADICTION = 0.01  # how far macro-F1 goes the other way before it is worth a sentence


@dataclass(frozen=True, kw_only=True)
class SpectrumMove:
    """Entropy (SVE) and largest singular value ratio (LSVR) on one split, before and after."""

    split: str
    entropy: tuple[float, float]
    largest_ratio: tuple[float, float]


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
) -> Verdict:
    """Weigh the `comparisons` of `scores` for a job whose published head is of `method`.

    A more complex candidate is recommended only if it gains clearly somewhere and loses nowhere;
    what is below one standard error is no gain and no loss, and below two it is not clear.
    """
    pairs: dict[Pair, list[Comparison]] = {}
    for row in comparisons:
        pairs.setdefault((row.candidate, row.baseline), []).append(row)
    id_accuracy = {name: splits[id_split].accuracy for name, splits in scores.items() if id_split}
    ood_accuracy = {
        name: value for name in scores if (value := mean_ood_accuracy(scores[name])) is not None
    }
    sentences = [sentence for rows in pairs.values() for sentence in _sentences(rows)]
    if sentences:
        sentences.append(
            "The figure after ± is one standard error, from the number of rows in the split; "
            "training again with another seed can move the results as well."
        )
    return Verdict(
        summary=_summary(pairs, method) if pairs else _alone(method, id_accuracy, ood_accuracy),
        sentences=(*sentences, *map(_spectrum_sentence, spectra)),
        best_id=_best(id_accuracy),
        best_ood=_best(ood_accuracy),
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
        'data set with "method": "nmtune" to learn whether tuning pays.'
    )


def _summary(pairs: Mapping[Pair, Sequence[Comparison]], method: str) -> str:
    against_probe = {
        name: _decisive(pairs[name, "linear_probe"])
        for name in reversed(SIMPLEST_FIRST)
        if (name, "linear_probe") in pairs
    }
    gaining = [name for name, rows in against_probe.items() if _highest(rows) >= CLEAR]
    paying = [name for name in gaining if _lowest(against_probe[name]) > -LIKELY]
    trading = [name for name in gaining if name not in paying]
    if len(paying) > 1:
        return _between_two(pairs, method)
    if paying:
        name = paying[0]
        text = f"Use {NAMES[name]}: against the linear probe it {_gist(against_probe[name])}."
        return text + _publishing((name,), method)
    if trading:
        name = trading[0]
        return (
            f"A trade: against the linear probe, {NAMES[name]} {_gist(against_probe[name])}. "
            "Choose by which of the splits looks like your production data."
        )
    name, rows = next(iter(against_probe.items()))
    text = f"Use the linear probe: against it, {NAMES[name]} {_gist(rows)}"
    if _highest(rows) >= LIKELY:
        text += ", too little for these rows to settle"
    return f"{text}." + _publishing(("linear_probe",), method)


def _between_two(pairs: Mapping[Pair, Sequence[Comparison]], method: str) -> str:
    """Both beat the linear probe: do the regularisers, all that sets them apart, pay as well?"""
    rows = _decisive(pairs["nmtune", "mlp"])
    if _highest(rows) >= CLEAR and _lowest(rows) > -LIKELY:
        name, other = "nmtune", "mlp"
    elif _lowest(rows) <= -CLEAR and _highest(rows) < LIKELY:
        name, other = "mlp", "nmtune"
    else:
        gist = _gist(_decisive(pairs["nmtune", "linear_probe"]))
        return (
            f"Use NMTune or the matched MLP, both beat the linear probe: NMTune {gist} against "
            f"it, and {_gist(rows)} against the MLP."
        )
    gist = _gist(_decisive(pairs[name, "linear_probe"]))
    text = (
        f"Use {NAMES[name]}: against the linear probe it {gist}. {_upper(NAMES[other])} also "
        f"beats the linear probe; between the two, NMTune {_gist(rows)}."
    )
    return text + _publishing((name,), method)


def _upper(words: str) -> str:
    return words[0].upper() + words[1:]


def _publishing(recommended: Sequence[str], method: str) -> str:
    """What to do when the head that this job published is not the recommended one."""
    if method in recommended:
        return ""
    return (
        f" This job published {NAMES[method]}; to publish the other, run it again with "
        f'"method": "{recommended[0]}".'
    )


def _decisive(rows: Sequence[Comparison]) -> list[Comparison]:
    """The rows a decision rests on: the in-domain split and the mean over the domains."""
    return [row for row in rows if row.kind != "ood"]


def _highest(rows: Sequence[Comparison]) -> float:
    return max(row.strength for row in rows)


def _lowest(rows: Sequence[Comparison]) -> float:
    return min(row.strength for row in rows)


def _differs(row: Comparison) -> bool:
    return abs(row.strength) >= LIKELY


def _gist(rows: Sequence[Comparison]) -> str:
    """For instance: gains 1.2 points in domain and shows no clear difference out of domain."""
    if len(rows) > 1 and not any(map(_differs, rows)):
        return "shows no clear difference, in domain or out of it"
    return " and ".join(f"{_change(row)} {_where(row)}" for row in rows)


def _change(row: Comparison) -> str:
    if not _differs(row):
        return "shows no clear difference"
    verb = "gains" if row.accuracy_difference > 0 else "loses"
    probably = "probably " if abs(row.strength) < CLEAR else ""
    return f"{probably}{verb} {abs(row.accuracy_difference) * 100:.1f} points"


def _where(row: Comparison) -> str:
    return "in domain" if row.kind == "id" else "out of domain"


def _sentences(rows: Sequence[Comparison]) -> list[str]:
    """What one pair of candidates says: the heads, then the domains, then any contradiction."""
    candidate, baseline = NAMES[rows[0].candidate], NAMES[rows[0].baseline]
    domains = [row for row in rows if row.kind == "ood"]
    parts = [
        f"{_change(row)} {_where(row)} ({_figures(row, len(domains))})" for row in _decisive(rows)
    ]
    sentences = [f"Against {baseline}, {candidate} {' and '.join(parts)}."]
    if len(domains) > 1:
        by_domain = ", ".join(_domain(row) for row in domains)
        sentences.append(f"By domain, {candidate} against {baseline}: {by_domain}.")
    for row in _decisive(rows):
        if row.accuracy_difference * row.macro_f1_difference < 0 and (
            abs(row.macro_f1_difference) >= F1_CONTRADICTION
        ):
            sentences.append(
                f"Macro-F1 goes the other way {_where(row)} "
                f"({row.macro_f1_difference * 100:+.1f} points): rare and common classes do not "
                "move alike, see the per-class figures."
            )
    return sentences


def _figures(row: Comparison, n_domains: int) -> str:
    if row.kind == "id":
        place = f"{row.split}, {row.n_rows:,} rows"
    elif n_domains == 1:
        place = f"one domain, {row.n_rows:,} rows"
    else:
        place = f"mean of {n_domains} domains, {row.n_rows:,} rows"
    return (
        f"{row.candidate_accuracy * 100:.1f} % against {row.baseline_accuracy * 100:.1f} %, "
        f"{_signed(row)} points; {place}"
    )


def _domain(row: Comparison) -> str:
    """One domain in a list, such as: dvd +1.2 ± 0.5, or: books no clear difference."""
    name = row.split.removeprefix(OOD_PREFIX)
    if not _differs(row):
        return f"{name} no clear difference"
    return f"{name} {_signed(row)}"


def _signed(row: Comparison) -> str:
    """The difference in points, such as: +1.2 ± 0.5."""
    difference = round(row.accuracy_difference * 100, 1)
    sign = "+" if difference > 0 else ""
    return f"{sign}{difference or 0.0:.1f} ± {row.standard_error * 100:.1f}"  # never -0.0


def _best(accuracy: Mapping[str, float]) -> str | None:
    """The most accurate candidate; of equals the simplest."""
    ranked = [name for name in SIMPLEST_FIRST if name in accuracy]
    return max(ranked, key=lambda name: accuracy[name], default=None)


def _spectrum_sentence(move: SpectrumMove) -> str:
    entropy = _moved("SVE", move.entropy, up="flatter spectrum", down="steeper spectrum")
    ratio = _moved(
        "LSVR",
        move.largest_ratio,
        up="weaker dominant direction",
        down="stronger dominant direction",
    )
    return (
        f"Spectrum of the published head's embeddings on {move.split}: {entropy}; {ratio}. This "
        "describes the space and is no forecast of accuracy."
    )


def _moved(name: str, values: tuple[float, float], *, up: str, down: str) -> str:
    before, after = values
    if abs(after - before) < SPECTRUM_MOVED:
        return f"{name} stays at {after:.2f}"
    verb, meaning = ("rises", up) if after > before else ("falls", down)
    return f"{name} {verb} from {before:.2f} to {after:.2f} ({meaning})"
