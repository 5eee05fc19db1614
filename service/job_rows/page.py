"""A page of rows as JSON."""

import hashlib
from typing import TYPE_CHECKING, Any

from service.job_rows.files import Found, check_rows, open_rows
from service.job_rows.names import Names
from service.job_rows.schemas import JobRow, JobRowPage, Neighbour, RowQuery
from service.job_rows.selection import Selection, ordered, select
from store.database import cursors
from store.store import Store

if TYPE_CHECKING:
    from store.files.job_rows import JobRows


def page(store: Store, found: Found, query: RowQuery) -> JobRowPage:
    """The rows that the query asks for, with their names.

    Raises Problem for parameters that do not fit the job, InvalidCursor, ArtifactMissing,
    ArtifactCorrupt, InvalidDatasetFile.
    """
    rows = open_rows(store, found)
    selection = select(rows, query)
    kind = _list_of(found, query)
    first = 0 if query.cursor is None else cursors.decode_place(kind, query.cursor)
    with Names.of_few(store, found.dataset) as names:
        items = [
            item_of(rows, names, selection.candidate, split, row, neighbours=query.neighbours)
            for split, run in ordered(rows, selection, query.sort, first=first, limit=query.limit)
            for row in run.tolist()
        ]
    check_rows(rows, found)
    following = first + len(items)
    more = bool(items) and following < selection.n_rows
    return JobRowPage(
        items=items,
        n_matching=selection.n_rows,
        notes=notes_of(names, selection),
        next_cursor=cursors.encode_place(kind, following) if more else None,
    )


def item_of(
    rows: "JobRows", names: Names, candidate: str, split: str, row: int, *, neighbours: bool = False
) -> JobRow:
    """One row."""
    from store.files.job_rows import probability

    values = rows.splits[split]
    said = values.predictions.get(candidate)
    is_published = candidate == rows.published
    largest = values.predicted_probability if is_published else None
    sizes = values.set_size if is_published else None
    suspect = _suspect(rows, split, row)
    suggested = None if suspect is None else rows.suspects.suggested[suspect]
    return JobRow(
        split=split,
        row=row,
        label=rows.classes[values.label[row]],
        predicted=None if said is None else rows.classes[said.predicted[row]],
        label_probability=None if said is None else probability(said.label_probability[row]),
        predicted_probability=None if largest is None else probability(largest[row]),
        ood_score=None if values.ood_score is None else float(f"{values.ood_score[row]:.6g}"),
        set_size=None if sizes is None else int(sizes[row]),
        suggested=None if suggested is None else rows.classes[suggested],
        neighbours=_neighbours(rows, names, suspect) if neighbours else None,
        **names.name(split, row),
    )


def notes_of(names: Names, selection: Selection) -> list[str]:
    """What is missing from the rows, and why."""
    notes = [] if names.note is None else [names.note]
    if selection.left_out:
        notes.append(
            f"Left out: {', '.join(selection.left_out)}. Of training rows only held-out "
            f"predictions count, and {selection.candidate!r}, or the one it is compared with, has "
            "none: it learnt from all of them. Ask for the candidate linear_probe, or train with "
            "method auto."
        )
    return notes


def _suspect(rows: "JobRows", split: str, row: int) -> int | None:
    """The place of a row among the suspects."""
    from nmtune.vocabulary import TRAIN

    if split != TRAIN:
        return None
    at = (rows.suspects.rows == row).nonzero()[0]
    return int(at[0]) if len(at) else None


def _neighbours(rows: "JobRows", names: Names, suspect: int | None) -> list[Neighbour] | None:
    from nmtune.vocabulary import TRAIN

    if suspect is None or suspect >= len(rows.suspects.neighbours):
        return None
    train = rows.splits[TRAIN]
    pairs: Any = zip(
        rows.suspects.neighbours[suspect].tolist(),
        rows.suspects.similarities[suspect].tolist(),
        strict=True,
    )
    return [
        Neighbour(
            row=row,
            label=rows.classes[train.label[row]],
            similarity=round(similarity, 5),
            **names.name(TRAIN, row),
        )
        for row, similarity in pairs
    ]


def _list_of(found: Found, query: RowQuery) -> str:
    """The list that a cursor belongs to: the same file, filters and order."""
    asked = query.model_dump_json(exclude={"cursor", "limit"})
    return f"rows {hashlib.sha256(asked.encode()).hexdigest()} {found.file.sha256}"
