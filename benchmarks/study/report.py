"""Write a study's results as Markdown: one table, and the answers with what they rest on."""

from collections.abc import Iterator

from benchmarks import page
from benchmarks.study.answer import RAW, TITLES, Answer
from benchmarks.study.sizes import CLEAN, Size
from benchmarks.study.summary import Interval, Results
from benchmarks.study.verdict import answers


def markdown(results: Results, size: Size, *, machine: str) -> str:
    """Everything between a size's marks on the page."""
    n_models = len(results.conditions) * len(results.seeds)
    lines = [
        f"`{size.name}`: {n_models} pre-trained models, {len(results.seeds)} seeds for each of "
        f"{len(results.conditions)} conditions.",
        f"Measured {machine}.",
        "",
        "Mean over seeds and its 95 % interval, in per cent; OOD is the mean over domains:",
        f"{', '.join(results.domains)}.",
        "",
        *page.table(_head(results), list(_rows(results))),
        "",
        *page.table(_spectra_head(), list(_spectra_rows(results))),
    ]
    for answer in answers(results):
        lines += ["", *_written(answer)]
    return "\n".join(lines)


def summary(results: Results) -> str:
    """The answers in words, for a terminal."""
    return "\n".join(
        "\n".join([answer.question, *(f"  {one}" for one in answer.sentences)])
        for answer in answers(results)
    )


def _written(answer: Answer) -> list[str]:
    return [
        f"**{answer.question}**",
        "",
        *(f"- {one}" for one in answer.sentences),
        *(["", *page.table(answer.head, answer.rows)] if answer.rows else []),
    ]


def _head(results: Results) -> list[str]:
    conditions = [
        "clean" if kind == CLEAN else f"{kind} {level:.0%}" for kind, level in results.conditions
    ]
    return ["method", "where", *conditions]


def _rows(results: Results) -> Iterator[list[str]]:
    realised = results.of_cells("realised").mean(1)
    yield ["labels made wrong", "", *(f"{100 * one:.1f}" for one in realised)]
    yield [
        "pre-training task",
        "test",
        *(_percent(Interval.of(one)) for one in results.of_cells("pretraining_accuracy")),
    ]
    for method in results.methods:
        for where in ("id", "ood"):
            found = results.accuracy(method, where)
            yield [
                TITLES[method],
                where.upper(),
                *(_percent(Interval.of(one)) for one in found),
            ]


def _spectra_head() -> list[str]:
    return ["spectra of features", "condition", "SVE, ID", "LSVR, ID", "LSVR, OOD"]


def _spectra_rows(results: Results) -> Iterator[list[str]]:
    places = (("sve", "id"), ("lsvr", "id"), ("lsvr", "ood"))
    for centring in ("none", "columns", "reference"):
        found = [results.spectrum(*one, centring, method=RAW).mean(1) for one in places]
        for at, (kind, level) in enumerate(results.conditions):
            name = "clean" if kind == CLEAN else f"{kind} {level:.0%}"
            yield [f"centring {centring}", name, *(f"{one[at]:.3f}" for one in found)]


def _percent(one: Interval) -> str:
    if one.low is None or one.high is None:
        return f"{100 * one.mean:.1f}"
    return f"{100 * one.mean:.1f} ± {50 * (one.high - one.low):.1f}"
