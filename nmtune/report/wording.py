"""The report's words: how names, differences and spectra read in the verdict's sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nmtune.report.comparison import OOD_PREFIX, Comparison

NAMES = {
    "linear_probe": "the linear probe",
    "whitened_probe": "the whitened probe",
    "robust_probe": "the robust probe",
    "mlp": "the matched MLP",
    "nmtune": "NMTune",
    "nmtune_without_consistency": "NMTune without its consistency term",
    "nmtune_without_covariance": "NMTune without its covariance term",
    "nmtune_without_dominant": "NMTune without its dominant term",
    "mlp_ensemble": "the MLP ensemble",
    "auto": "auto's head",
}
"""Every candidate in words, the simplest first."""

SPECTRUM_MOVED = 0.005  # nats; smaller moves vanish in the two decimals that are shown
F1_CONTRADICTION = 0.01  # how far macro-F1 goes the other way before it is worth a sentence


@dataclass(frozen=True, kw_only=True)
class SpectrumMove:
    """Entropy (SVE) and largest singular value ratio (LSVR) on one split, before and after."""

    split: str
    entropy: tuple[float, float]
    largest_ratio: tuple[float, float]


def decisive(rows: Sequence[Comparison]) -> list[Comparison]:
    """The rows a decision rests on: the in-domain split and the mean over the domains."""
    return [row for row in rows if row.kind != "ood"]


def title(method: str, choice: Mapping[str, Any] | None) -> str:
    """The published head in words; of auto's, also what it is made of."""
    weights = list((choice or {}).get("weights") or ())
    if not weights:
        return NAMES[method]
    blended = "" if len(weights) == 1 else ", blended"
    return f"{NAMES[method]} ({_listed([NAMES[name] for name in weights])}{blended})"


def upper(words: str) -> str:
    """`words` at the start of a sentence."""
    return words[0].upper() + words[1:]


def gist(rows: Sequence[Comparison]) -> str:
    """For instance: gains 1.2 points in domain (95 % interval +0.3 to +2.1) and ..."""
    intervals = [f"({interval(row)})" for row in rows]
    intervals[0] = f"({_widened(rows[0])} interval {interval(rows[0])})"
    if len(rows) > 1 and all(row.finding == "unclear" for row in rows):
        return f"shows no clear difference, in domain {intervals[0]} or out of it {intervals[1]}"
    parts = [f"{_change(row)} {_where(row)} {of}" for row, of in zip(rows, intervals, strict=True)]
    return " and ".join(parts)


def interval(row: Comparison) -> str:
    """The interval in points, such as: -0.3 to +2.1."""
    low, high = row.interval
    return f"{_signed(low)} to {_signed(high)}"


def disagreement(rows: Sequence[Comparison]) -> str:
    """A sentence where a candidate gains on some domains and loses on others, else nothing."""
    gaining = [_domain(row) for row in rows if row.kind == "ood" and row.gains]
    losing = [_domain(row) for row in rows if row.kind == "ood" and row.loses]
    if not gaining or not losing:
        return ""
    return (
        f" The domains disagree: {NAMES[rows[0].candidate]} gains on {_listed(gaining)} and loses "
        f"on {_listed(losing)}, which the mean hides."
    )


def pair_sentences(
    rows: Sequence[Comparison], *, with_domains: bool, best_of: int = 1
) -> list[str]:
    """What one pair of candidates says: the heads, then the domains, then any contradiction.

    best_of: of how many candidates the baseline did best on these rows.
    """
    candidate, baseline = NAMES[rows[0].candidate], NAMES[rows[0].baseline]
    domains = [row for row in rows if row.kind == "ood"]
    parts = [
        f"{_change(row)} {_where(row)} ({_figures(row, len(domains))})" for row in decisive(rows)
    ]
    picked = ""
    if best_of > 1:
        picked = (
            f" the best of the other {best_of} candidates by these same rows (which favours it),"
        )
    sentences = [f"Against {baseline},{picked} {candidate} {' and '.join(parts)}."]
    if len(domains) > 1 and (with_domains or disagreement(rows)):
        by_domain = ", ".join(
            f"{_domain(row)} {_signed(row.accuracy_difference)} ({interval(row)})"
            if row.finding != "unclear"
            else f"{_domain(row)} no clear difference ({interval(row)})"
            for row in domains
        )
        which = ", which disagree" if disagreement(rows) else ""
        sentences.append(f"By domain{which}, {candidate} against {baseline}: {by_domain}.")
    for row in decisive(rows):
        if row.accuracy_difference * row.macro_f1_difference < 0 and (
            abs(row.macro_f1_difference) >= F1_CONTRADICTION
        ):
            sentences.append(
                f"Macro-F1 goes the other way {_where(row)} "
                f"({_signed(row.macro_f1_difference)} points): rare and common classes do not "
                "move alike, see the per-class figures."
            )
    return sentences


def spectrum_sentence(move: SpectrumMove) -> str:
    """What the published head did to the spectrum of one split."""
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


def _change(row: Comparison) -> str:
    if row.finding == "unclear":
        return "shows no clear difference"
    verb = "gains" if row.gains else "loses"
    probably = "probably " if row.finding.startswith("probable") else ""
    return f"{probably}{verb} {abs(row.accuracy_difference) * 100:.1f} points"


def _where(row: Comparison) -> str:
    return "in domain" if row.kind == "id" else "out of domain"


def _figures(row: Comparison, n_domains: int) -> str:
    if row.kind == "id":
        place = row.split
    elif n_domains == 1:
        place = "one domain"
    else:
        place = f"mean of {n_domains} domains"
    test = "" if row.p_value is None else f", McNemar {_p_value(row.p_value)}"
    return (
        f"{place}, {row.n_rows:,} rows: {row.candidate_accuracy * 100:.1f} % against "
        f"{row.baseline_accuracy * 100:.1f} %, {_widened(row)} interval {interval(row)} points"
        f"{test}"
    )


def _widened(row: Comparison) -> str:
    return "95 %" if row.picked_from == 1 else "widened 95 %"


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _domain(row: Comparison) -> str:
    return row.split.removeprefix(OOD_PREFIX)


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _signed(difference: float) -> str:
    """A difference in points, such as: +1.2."""
    points = round(difference * 100, 1)
    return f"{points:+.1f}" if points else "0.0"  # never -0.0


def _moved(name: str, values: tuple[float, float], *, up: str, down: str) -> str:
    before, after = values
    if abs(after - before) < SPECTRUM_MOVED:
        return f"{name} stays at {after:.2f}"
    verb, meaning = ("rises", up) if after > before else ("falls", down)
    return f"{name} {verb} from {before:.2f} to {after:.2f} ({meaning})"
