"""The encoders that a job compared: their ranks, what each costs, and each against the best."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pages import words
from pages.figure import Best, Cell, Column, Figure, Panel, Table
from pages.figures import forest
from pages.reading import Report, found

_CAPTION = (
    "By held-out log loss of the head that method auto makes on each; the interval is the paired "
    "95 % interval of the difference to the best, widened to the number of comparisons. Where it "
    "holds 0, the two may be as good: the cheapest of these was chosen, then the narrowest. The "
    "latency is that of single texts, asked for one by one."
)


def draw(report: Report, _candidate: str) -> Figure:
    """A line for each encoder; the accuracy on each split; each against the best."""
    part = found(
        report,
        "encoders",
        otherwise='Not asked for. A job with "encoders" compares 2 to 8 of them on the same rows.',
    )
    compared: Sequence[Mapping[str, Any]] = part.get("compared") or ()
    ranked = [one for one in compared if one.get("status") != "failed"]
    chosen = part.get("chosen")
    panels = [
        Panel(title="By rank", table=_ranks(ranked, chosen)),
        Panel(title="Accuracy on each split", table=_splits(ranked, chosen)),
    ]
    pairs = part.get("comparison") or ()
    if pairs:
        panels.append(
            Panel(
                title="Against the best",
                draw=partial(forest.plot, pairs),
                table=forest.table(pairs),
                is_aside=True,
            )
        )
    failed = [one for one in compared if one.get("status") == "failed"]
    told = [str(part.get("reason") or ""), *map(_dropped, failed)]
    if part.get("sample"):
        told.append(f"They were ranked on a sample of about {part['sample']:,} rows.")
    return Figure(sentence=words.clean(" ".join(told)), panels=panels, caption=_CAPTION)


def _dropped(one: Mapping[str, Any]) -> str:
    return f"{one['name']} dropped out: {(one.get('error') or {}).get('message', '')}"


def _ranks(ranked: Sequence[Mapping[str, Any]], chosen: object) -> Table:
    columns = [
        Column("encoder", is_name=True),
        Column("columns", "count"),
        Column("log loss", "number"),
        Column("difference", "number"),
        Column("from", "number"),
        Column("to", "number"),
        Column("tokens of 1,000 texts", "count"),
        Column("cost of 1,000 texts", "number"),
        Column("latency, median", "seconds"),
        Column("latency, p95", "seconds"),
        Column("texts cut", "percent"),
        Column("embedded with", is_name=True),
    ]
    return Table(columns, [_rank(one, chosen) for one in ranked])


def _rank(one: Mapping[str, Any], chosen: object) -> list[Cell]:
    held_out, latency = one.get("held_out") or {}, one.get("latency") or {}
    name = words.clean(one["name"])
    low, high = held_out.get("interval") or (None, None)
    return [
        Best(name) if one["name"] == chosen else name,
        one.get("n_columns"),
        held_out.get("log_loss"),
        held_out.get("difference"),
        low,
        high,
        one.get("tokens_per_1000_texts"),
        one.get("cost_per_1000_texts"),
        latency.get("median_seconds"),
        latency.get("p95_seconds"),
        one.get("share_truncated"),
        one.get("embedded_with"),
    ]


def _splits(ranked: Sequence[Mapping[str, Any]], chosen: object) -> Table:
    known = {split: 0 for one in ranked for split in one.get("metrics") or {} if split != "train"}
    splits = words.in_order(list(known))
    columns = [Column("encoder", is_name=True)]
    for split in splits:
        columns += [
            Column(f"{words.split(split)}, accuracy", "percent"),
            Column("log loss", "number"),
            Column("ECE", "percent"),
        ]
    rows: list[list[Cell]] = []
    for one in ranked:
        name = words.clean(one["name"])
        row: list[Cell] = [Best(name) if one["name"] == chosen else name]
        for split in splits:
            metrics = (one.get("metrics") or {}).get(split) or {}
            row += [metrics.get("accuracy"), metrics.get("log_loss"), metrics.get("ece")]
        rows.append(row)
    return Table(columns, rows)
