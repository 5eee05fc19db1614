"""Answer the study's questions by rule; the unit of every interval is the pre-trained model."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from benchmarks.study.answer import (
    CENTRINGS,
    RAW,
    TITLES,
    TOO_FEW,
    Answer,
    bootstrapped,
    counted,
    plain,
    points,
    said,
)
from benchmarks.study.forecast import forecast
from benchmarks.study.summary import FEWEST_SEEDS, Interval, Numbers, Results
from nmtune.numeric.statistics import rank_correlation

LITTLE: Final = 0.1
"""Noise up to this level is what the papers say helps in domain."""

Written = Callable[[Interval], str]


def answers(results: Results) -> list[Answer]:
    """All of them."""
    return [
        helps_in_domain(results),
        falls_out_of_domain(results),
        moves_spectra(results),
        forecast(results),
        worst(results),
        terms_help(results),
    ]


def helps_in_domain(results: Results) -> Answer:
    """Accuracy in domain with little noise less that of the same seed without noise."""
    question = f"Does noise of at most {LITTLE:.0%} help in domain?"
    if not any(0 < level <= LITTLE for _, level in results.conditions):
        return Answer(question=question, sentences=["No such level was run."], head=(), rows=())

    def change(kind: str, method: str) -> Interval:
        accuracy = results.accuracy(method, "id")
        few = [at for at in results.of_kind(kind) if 0 < results.conditions[at][1] <= LITTLE]
        return Interval.of((accuracy[few] - accuracy[0]).mean(0))

    return _by_kind_and_method(
        results,
        question,
        {
            (kind, method): change(kind, method)
            for kind in results.kinds
            for method in results.methods
        },
        ("helps", "hurts"),
        points,
    )


def falls_out_of_domain(results: Results) -> Answer:
    """Spearman's correlation of the level with accuracy out of domain, seed by seed."""
    found = {
        (kind, method): _trend(results, kind, results.accuracy(method, "ood"))
        for kind in results.kinds
        for method in results.methods
    }
    return _by_kind_and_method(
        results,
        "Does accuracy out of domain fall as the noise grows?",
        found,
        ("rises", "falls"),
        plain,
    )


def moves_spectra(results: Results) -> Answer:
    """Spearman's correlation of the level with SVE and LSVR of the encoder's own features."""
    rows, sentences = [], []
    for measure, where in (("sve", "id"), ("lsvr", "ood")):
        signs: list[int | None] = []
        for centring in CENTRINGS:
            values = results.spectrum(measure, where, centring, method=RAW)
            found = [_trend(results, kind, values) for kind in results.kinds]
            signs += [one.sign for one in found]
            name = f"{measure.upper()}, {where.upper()}, centring {centring}"
            rows.append([name, *map(plain, found)])
        sentences.append(f"{measure.upper()}: {counted(signs, ('rises', 'falls'))}.")
    return Answer(
        question="Do SVE and LSVR rise as the noise grows?",
        sentences=sentences,
        head=["rank correlation with the level", *results.kinds],
        rows=rows,
    )


def worst(results: Results) -> Answer:
    """Accuracy out of domain at the highest level, less that of the same seed without noise."""
    rows, sentences = [], []
    for method in results.methods:
        accuracy = results.accuracy(method, "ood")
        losses = {kind: accuracy[results.of_kind(kind)[-1]] - accuracy[0] for kind in results.kinds}
        rows.append([TITLES[method], *(points(Interval.of(loss)) for loss in losses.values())])
        sentences.append(_worst_of(losses))
    counts = {one: sentences.count(one) for one in dict.fromkeys(sentences)}
    n_methods = len(results.methods)
    return Answer(
        question="Which kind of noise is worst out of domain?",
        sentences=[f"In {n} of {n_methods} methods: {one}." for one, n in counts.items()],
        head=["change at the highest level, points", *results.kinds],
        rows=rows,
    )


def terms_help(results: Results) -> Answer:
    """NMTune against the same without its terms, over all models; the reference differs in more."""
    pairs = {
        ("nmtune_paper", "mlp"): "",
        ("nmtune_reference", "mlp"): " (which lacks its residual connection and BatchNorm too)",
        ("lora_nmtune", "lora"): "",
    }
    rows, sentences = [], []
    for (method, base), besides in pairs.items():
        found = []
        for where in ("id", "ood"):
            change = results.accuracy(method, where) - results.accuracy(base, where)
            # Models of a seed are related: one number a seed.
            found.append(Interval.of(change.mean(0)))
        name = f"{TITLES[method]} against {TITLES[base]}{besides}"
        rows.append([name, *map(points, found)])
        told = [said(one.sign, ("gains", "loses")) for one in found]
        sentences.append(f"{name}: {told[0]} in domain, {told[1]} out of it.")
    return Answer(
        question="Does NMTune help, over all models of the study?",
        sentences=sentences,
        head=["difference, points", "ID", "OOD"],
        rows=rows,
    )


def _by_kind_and_method(
    results: Results,
    question: str,
    found: dict[tuple[str, str], Interval],
    verbs: tuple[str, str],
    written: Written,
) -> Answer:
    sentences = [
        f"{kind}: {counted([found[kind, one].sign for one in results.methods], verbs)}."
        for kind in results.kinds
    ]
    rows = [
        [TITLES[method], *(written(found[kind, method]) for kind in results.kinds)]
        for method in results.methods
    ]
    return Answer(
        question=question, sentences=sentences, head=["method", *results.kinds], rows=rows
    )


def _trend(results: Results, kind: str, values: Numbers) -> Interval:
    """The mean over seeds of the rank correlation with the level, by bootstrap over seeds."""
    at = results.of_kind(kind)
    levels = results.levels(at)
    by_seed = []
    for seed in range(len(results.seeds)):
        found = rank_correlation(levels, values[at, seed].tolist())
        by_seed.append(found.rho if found else 0.0)
    return bootstrapped(np.array(by_seed))


def _worst_of(losses: Mapping[str, Numbers]) -> str:
    """The kind whose change lies below that of every other kind, pair by pair of a seed."""
    if any(len(loss) < FEWEST_SEEDS for loss in losses.values()):
        return TOO_FEW
    if len(losses) == 1:
        return "only one kind was run"
    lowest = min(losses, key=lambda kind: losses[kind].mean())
    others = [kind for kind in losses if kind != lowest]
    if all(Interval.of(losses[lowest] - losses[kind]).sign == -1 for kind in others):
        return f"{lowest} noise"
    return f"no kind clearly below the others (lowest: {lowest})"
