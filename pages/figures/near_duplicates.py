"""Rows of other splits that nearly repeat a training row: accuracy on those flatters."""

from collections.abc import Mapping
from typing import Any

from pages import words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Report, found

_SHOWN = 10


def draw(report: Report, _candidate: str) -> Figure:
    """How many there are by split, and the pairs."""
    near = found(
        report,
        "findings",
        "near_duplicates",
        otherwise="The splits were not searched for rows that repeat a training row.",
    )
    splits: Mapping[str, Any] = near.get("splits") or {}
    names = words.in_order(list(splits))
    threshold = next((splits[name].get("threshold") for name in names), None)
    panels = [
        Panel(
            table=Table(
                [
                    Column("split", is_name=True),
                    Column("rows", "count"),
                    Column("compared", "count"),
                    Column("near duplicates", "count"),
                    Column("share", "percent"),
                    Column("with another label", "count"),
                ],
                [
                    [
                        words.split(name),
                        *(
                            splits[name].get(key)
                            for key in (
                                *("n_rows", "n_compared", "n_near_duplicates"),
                                *("share", "n_other_label"),
                            )
                        ),
                    ]
                    for name in names
                ],
            )
        )
    ]
    pairs = [(name, pair) for name in names for pair in splits[name].get("pairs") or ()]
    if pairs:
        panels.append(Panel(title="The most alike", table=_pairs(pairs)))
    notes = {words.clean(note) for name in names for note in splits[name].get("notes") or ()}
    at = f" A near duplicate has a cosine of {threshold:g} or more." if threshold else ""
    return Figure(
        sentence=words.clean(near.get("sentence") or ""),
        panels=panels,
        caption=" ".join(["Row: of the file as it was sent." + at, *sorted(notes)]),
    )


def _pairs(pairs: list[tuple[str, Mapping[str, Any]]]) -> Table:
    def place(one: Mapping[str, Any], prefix: str) -> Any:
        """What the user calls the row: its id, else its row in the file, else ours."""
        for name in (f"{prefix}id", f"{prefix}file_row", f"{prefix}row"):
            if one.get(name) is not None:
                return one[name]
        return None

    return Table(
        [
            Column("split", is_name=True),
            Column("row", is_name=True),
            Column("label", is_name=True),
            Column("training row", is_name=True),
            Column("its label", is_name=True),
            Column("cosine", "number"),
        ],
        [
            [
                words.split(name),
                str(place(one, "")),
                one.get("label"),
                str(place(one, "train_")),
                one.get("train_label"),
                one.get("similarity"),
            ]
            for name, one in pairs
        ],
        n_shown=_SHOWN,
    )
