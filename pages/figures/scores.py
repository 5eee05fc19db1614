"""Every candidate on every split: which did best, and is that more than chance?"""

from collections.abc import Mapping
from typing import Any

from pages import words
from pages.figure import Best, Cell, Column, Figure, Panel, Table
from pages.reading import Report, candidates, found, judged

_ALL = (
    ("accuracy", "percent"),
    ("macro_f1", "percent"),
    ("log_loss", "number"),
    ("ece", "percent"),
)


def draw(report: Report, _candidate: str) -> Figure:
    """A table of accuracies; a second one has every metric."""
    found(report, "candidates", otherwise="The report names no candidate.")
    by_candidate = {name: judged(report, name) for name in candidates(report)}
    splits = words.in_order(list({split: 0 for of in by_candidate.values() for split in of}))
    domains = [split for split in splits if split.startswith(words.OOD_PREFIX)]
    columns = [*splits, *(["ood_mean"] if len(domains) > 1 else [])]
    accuracies = {
        name: {split: one.get("accuracy") for split, one in of.items()}
        for name, of in by_candidate.items()
    }
    for of in accuracies.values():
        shares: list[Any] = [of.get(split) for split in domains]
        if domains and all(words.is_number(share) for share in shares):
            of["ood_mean"] = sum(shares) / len(shares)
    clear = {split: _clearly_best(report, accuracies, split) for split in columns}
    rows: list[list[Cell]] = []
    for name, of in accuracies.items():
        cells = (
            Best(of.get(split)) if clear[split] == name else of.get(split) for split in columns
        )
        rows.append([words.candidate(name), *cells])
    table = Table(
        [Column("candidate"), *(Column(words.split(one), "percent") for one in columns)], rows
    )
    everything = Table(
        [
            Column("candidate"),
            Column("split", is_name=True),
            Column("rows", "count"),
            Column("classes present", "count"),
            *(Column(name.replace("_", " "), kind) for name, kind in _ALL),  # type: ignore[arg-type]
        ],
        [
            [
                words.candidate(name),
                words.split(split),
                one.get("n_rows"),
                one.get("n_classes_present"),
                *(one.get(metric) for metric, _ in _ALL),
            ]
            for name, of in by_candidate.items()
            for split, one in of.items()
        ],
    )
    return Figure(
        sentence=_sentence(columns, accuracies, clear),
        panels=[
            Panel(table=table),
            Panel(title="Every metric", table=everything, is_aside=True),
        ],
        caption="Accuracy. Bold: the best of its column, and every comparison that was made with "
        "it there says clearly so; without bold, chance may have chosen the best.",
    )


def _sentence(
    columns: list[str], accuracies: Mapping[str, Mapping[str, Any]], clear: Mapping[str, str | None]
) -> str:
    told = []
    for split in (columns[0], columns[-1]) if len(columns) > 1 else columns:
        best = _best(accuracies, split)
        if best is not None:
            how = "clearly ahead" if clear[split] else "not clearly ahead of all others"
            share = words.percent(accuracies[best][split])
            told.append(f"on {words.split(split)} {words.the(best)} ({share}, {how})")
    return f"Most accurate: {words.listed(told)}." if told else ""


def _best(accuracies: Mapping[str, Mapping[str, Any]], split: str) -> str | None:
    """The most accurate candidate; NMTune without a term is there to be compared, not used."""
    known = {
        name: of[split]
        for name, of in accuracies.items()
        if words.is_number(of.get(split)) and not name.startswith(words.ABLATION)
    }
    return max(known, key=lambda name: known[name]) if known else None


def _clearly_best(
    report: Report, accuracies: Mapping[str, Mapping[str, Any]], split: str
) -> str | None:
    """The best candidate, if the split's comparisons with it all favour it and there are some."""
    best = _best(accuracies, split)
    findings = []
    for one in report.get("comparison") or ():
        is_here = (
            one.get("kind") == "ood_mean" if split == "ood_mean" else one.get("split") == split
        )
        if is_here and best == one.get("candidate"):
            findings.append(one.get("finding") == "gain")
        if is_here and best == one.get("baseline"):
            findings.append(one.get("finding") == "loss")
    return best if findings and all(findings) else None
