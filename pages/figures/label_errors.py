"""Training rows whose label held-out predictions speak against."""

from collections.abc import Mapping
from typing import Any

from pages import words
from pages.figure import Column, Figure, Panel, Table
from pages.reading import Report, found

_SHOWN = 20
_MOST_TEXT = 160


def draw(report: Report, _candidate: str) -> Figure:
    """The suspects, the worst first, and which pairs of classes they are of."""
    errors = found(
        report,
        "findings",
        "label_errors",
        otherwise="Labels were not looked through: that takes held-out predictions of the "
        "training rows, which method auto makes.",
    )
    suspects = errors.get("suspected") or []
    looks_noisy = errors.get("labels_look_noisy", True)
    kind = "Doubtful labels" if looks_noisy else "Hard rows"
    n_all = errors.get("n_suspected") or len(suspects)
    panels = []
    if suspects:
        listed = "" if n_all <= len(suspects) else f"; the report lists {len(suspects):,} of them"
        panels.append(
            Panel(
                title=f"{kind}: {n_all:,} of {errors.get('n_rows', 0):,} training rows{listed}",
                table=_suspects(suspects),
            )
        )
    if pairs := errors.get("pairs"):
        panels.append(
            Panel(
                title="By pair of classes",
                table=Table(
                    [
                        Column("label", is_name=True),
                        Column("more probable", is_name=True),
                        Column("rows", "count"),
                    ],
                    [[one.get("given"), one.get("suggested"), one.get("n_rows")] for one in pairs],
                    n_shown=10,
                ),
            )
        )
    note = errors.get("rows_note")
    return Figure(
        sentence=words.clean(errors.get("sentence") or ""),
        panels=panels,
        caption="Row: of the file as it was sent, from 0 without the header. The probabilities are "
        "of models that had not learnt from the row." + (f" {words.clean(note)}" if note else ""),
    )


def _suspects(suspects: list[Mapping[str, Any]]) -> Table:
    has_id = any(one.get("id") is not None for one in suspects)
    has_text = any(one.get("text") is not None for one in suspects)
    columns = [Column("row", "count")]
    if has_id:
        columns.append(Column("id", is_name=True))
    if has_text:
        columns.append(Column("text", is_name=True))
    columns += [
        Column("label", is_name=True),
        Column("probability", "percent"),
        Column("more probable", is_name=True),
        Column("its probability", "percent"),
    ]
    rows = []
    for one in suspects:
        place = one.get("file_row")
        rows.append(
            [
                one.get("row") if place is None else place,
                *([one.get("id")] if has_id else []),
                *([words.shortened(str(one.get("text") or ""), _MOST_TEXT)] if has_text else []),
                one.get("given"),
                one.get("given_probability"),
                one.get("suggested"),
                one.get("suggested_probability"),
            ]
        )
    return Table(columns, rows, n_shown=_SHOWN)
