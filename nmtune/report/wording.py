"""Put names, differences and spectra into the words of the verdict's sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nmtune.report.comparison import Comparison
from nmtune.vocabulary import candidate_title, domain_of

SPECTRUM_MOVED = 0.005  # nats; a smaller move does not show in two decimals
F1_CONTRADICTION = 0.01  # macro-F1 must move this far the other way to be worth a sentence


@dataclass(frozen=True, kw_only=True)
class SpectrumMove:
    """Entropy (SVE) and largest ratio (LSVR) of one split, before and after tuning."""

    split: str
    entropy: tuple[float, float]
    largest_ratio: tuple[float, float]


def decisive(rows: Sequence[Comparison]) -> list[Comparison]:
    """The rows that a decision rests on: the in-domain split and the mean over the domains."""
    return [row for row in rows if row.kind != "ood"]


def title(method: str, choice: Mapping[str, Any] | None) -> str:
    """The published head in words; for auto, with the candidates it is made of."""
    weights = list((choice or {}).get("weights") or ())
    if not weights:
        return candidate_title(method)
    blended = "" if len(weights) == 1 else ", blended"
    return f"{candidate_title(method)} ({_listed(list(map(candidate_title, weights)))}{blended})"


def upper(words: str) -> str:
    """`words` as the start of a sentence."""
    return words[0].upper() + words[1:]


def gist(rows: Sequence[Comparison]) -> str:
    """For example "gains 1.2 points in domain (95 % interval +0.3 to +2.1) and ..."."""
    intervals = [f"({interval(row)})" for row in rows]
    intervals[0] = f"({_widened(rows[0])} interval {interval(rows[0])})"
    if len(rows) > 1 and all(row.finding == "unclear" for row in rows):
        return f"shows no clear difference, in domain {intervals[0]} or out of it {intervals[1]}"
    parts = [f"{_change(row)} {_where(row)} {of}" for row, of in zip(rows, intervals, strict=True)]
    return " and ".join(parts)


def interval(row: Comparison) -> str:
    """The interval in points, for example "-0.3 to +2.1"."""
    low, high = row.interval
    return f"{_signed(low)} to {_signed(high)}"


def disagreement(rows: Sequence[Comparison]) -> str:
    """A sentence if the candidate gains on some domains and loses on others, else ""."""
    gaining = [_domain(row) for row in rows if row.kind == "ood" and row.gains]
    losing = [_domain(row) for row in rows if row.kind == "ood" and row.loses]
    if not gaining or not losing:
        return ""
    return (
        f" The domains disagree: {candidate_title(rows[0].candidate)} gains on {_listed(gaining)} "
        f"and loses on {_listed(losing)}, which the mean hides."
    )


def pair_sentences(
    rows: Sequence[Comparison], *, with_domains: bool, best_of: int = 1
) -> list[str]:
    """One pair of candidates in sentences: overall, then by domain, then any contradiction.

    best_of: the number of candidates that the baseline was picked from on these rows.
    """
    candidate, baseline = candidate_title(rows[0].candidate), candidate_title(rows[0].baseline)
    domains = [row for row in rows if row.kind == "ood"]
    parts = [
        f"{_change(row)} {_where(row)} ({_figures(row, len(domains))})" for row in decisive(rows)
    ]
    picked = ""
    if best_of > 1:
        picked = (
            f" the best of the {best_of} other candidates on these very rows (which flatters it),"
        )
    sentences = [f"Against {baseline},{picked} {candidate} {' and '.join(parts)}."]
    if len(domains) > 1 and (with_domains or disagreement(rows)):
        by_domain = ", ".join(
            f"{_domain(row)} {_signed(row.accuracy_difference)} ({interval(row)})"
            if row.finding != "unclear"
            else f"{_domain(row)} no clear difference ({interval(row)})"
            for row in domains
        )
        domains_disagree = "The domains disagree. " if disagreement(rows) else ""
        sentences.append(
            f"{domains_disagree}By domain, {candidate} against {baseline}: {by_domain}."
        )
    for row in decisive(rows):
        if row.accuracy_difference * row.macro_f1_difference < 0 and (
            abs(row.macro_f1_difference) >= F1_CONTRADICTION
        ):
            sentences.append(
                f"Macro-F1 moves the other way {_where(row)} "
                f"({_signed(row.macro_f1_difference)} points): rare and common classes change "
                "differently; see the per-class figures."
            )
    return sentences


def spectrum_sentence(move: SpectrumMove) -> str:
    """How the published head changed the spectrum of one split, in a sentence."""
    entropy = _moved("SVE", move.entropy, up="flatter spectrum", down="steeper spectrum")
    ratio = _moved(
        "LSVR",
        move.largest_ratio,
        up="weaker dominant direction",
        down="stronger dominant direction",
    )
    return (
        f"Spectrum of the tuned embeddings on {move.split}: {entropy}; {ratio}. This describes the "
        "embedding space and is no forecast of accuracy: NMTune's noise study, on small encoders, "
        "could not show one."
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
    test = "" if row.p_value is None else f", McNemar {p_value_in_words(row.p_value)}"
    return (
        f"{place}, {row.n_rows:,} rows: {row.candidate_accuracy * 100:.1f} % against "
        f"{row.baseline_accuracy * 100:.1f} %, {_widened(row)} interval {interval(row)} points"
        f"{test}"
    )


def _widened(row: Comparison) -> str:
    return "95 %" if row.picked_from == 1 else "widened 95 %"


def p_value_in_words(value: float) -> str:
    """For example "p = 0.032"."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _domain(row: Comparison) -> str:
    return domain_of(row.split)


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _signed(difference: float) -> str:
    """A difference in points, for example "+1.2"."""
    points = round(difference * 100, 1)
    return f"{points:+.1f}" if points else "0.0"  # never -0.0


def _moved(name: str, values: tuple[float, float], *, up: str, down: str) -> str:
    before, after = values
    if abs(after - before) < SPECTRUM_MOVED:
        return f"{name} stays at {after:.2f}"
    verb, meaning = ("rises", up) if after > before else ("falls", down)
    return f"{name} {verb} from {before:.2f} to {after:.2f} ({meaning})"
