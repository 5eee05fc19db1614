"""GET /datasets/{id}/rows: some rows of a dataset, or all page by page."""

from collections.abc import Mapping, Sequence
from typing import Final

from service.datasets.revision_schemas import (
    MAX_ROWS_SHOWN,
    DatasetRow,
    DatasetRowPage,
    DatasetRowQuery,
)
from service.http.errors import Problem
from store import datasets
from store.database import cursors
from store.datasets import TEXTS, Dataset
from store.files.listed_rows import ListedRow, ListedRows, rows_of_texts
from store.files.texts import TextsFile
from store.store import Store

_SHOWN: Final = 10


def listed(
    dataset_id: str, query: DatasetRowQuery, *, tenant_id: str, store: Store
) -> DatasetRowPage:
    """The rows that the query asks for. Blocking.

    Raises NotFound, InvalidCursor, and Problem for a split or a row that is not there.
    """
    with store.database.read() as tx:
        dataset = datasets.get(tx, tenant_id, dataset_id)
    sizes = {split["name"]: int(split["n_rows"]) for split in dataset.splits}
    if query.split is not None:
        if query.split not in sizes:
            raise _no_split(query.split, sizes)
        sizes = {query.split: sizes[query.split]}
    next_cursor = None
    if query.rows is not None:
        places = [(query.split or "", row) for row in _asked_for(query, sizes)]
    else:
        kind = f"rows of {dataset.sha256} {query.split or ''}"
        start = 0 if query.cursor is None else cursors.decode_place(kind, query.cursor)
        stop = min(start + query.limit, sum(sizes.values()))
        places = _between(sizes, start, stop)
        if stop < sum(sizes.values()):
            next_cursor = cursors.encode_place(kind, stop)
    rows = _read(dataset, places, store=store)
    items = [
        DatasetRow(
            split=split,
            row=at,
            file_row=row.file_row,
            id=row.id,
            text=row.text,
            label=row.label,
        )
        for (split, at), row in zip(places, rows, strict=True)
    ]
    return DatasetRowPage(items=items, next_cursor=next_cursor)


def _asked_for(query: DatasetRowQuery, sizes: Mapping[str, int]) -> list[int]:
    if query.split is None:
        raise _refused("rows counts within a split: name the split.", "split")
    if query.cursor is not None:
        raise _refused("Send either rows or cursor, not both.", "cursor")
    rows = [int(row) for row in (query.rows or "").split(",")]
    if len(rows) > MAX_ROWS_SHOWN:
        what = f"rows names {len(rows):,} rows; ask for at most {MAX_ROWS_SHOWN} at a time."
        raise _refused(what, "rows")
    n_rows = sizes[query.split]
    for row in rows:
        if row >= n_rows:
            raise Problem(
                422,
                "unknown_row",
                f"The split {query.split} has {n_rows:,} rows, so there is no row {row:,}: its "
                f"rows are 0 to {n_rows - 1:,}.",
                field="rows",
                row=row,
            )
    return rows


def _between(sizes: Mapping[str, int], start: int, stop: int) -> list[tuple[str, int]]:
    """Split and row of the dataset's rows from `start` to before `stop`, all splits counted."""
    places: list[tuple[str, int]] = []
    first = 0
    for split, n_rows in sizes.items():
        rows = range(max(start - first, 0), min(stop - first, n_rows))
        places += [(split, row) for row in rows]
        first += n_rows
    return places


def _read(dataset: Dataset, places: Sequence[tuple[str, int]], *, store: Store) -> list[ListedRow]:
    by_split: dict[str, list[int]] = {}
    for split, at in places:
        by_split.setdefault(split, []).append(at)
    found: list[ListedRow] = []
    if dataset.content == TEXTS:
        texts = TextsFile.from_bytes(store.artifacts.get_bytes(dataset.tenant_id, dataset.sha256))
        splits = {split.name: split for split in texts.splits}
        for split, rows in by_split.items():
            found += rows_of_texts(splits[split], texts.classes, rows)
        return found
    with store.artifacts.open_checked(dataset.tenant_id, dataset.sha256, stop=0) as file:
        reader = ListedRows.open(file, is_labelled=dataset.is_labelled)
        for split, rows in by_split.items():
            found += reader.rows(split, rows)
    return found


def _no_split(split: str, sizes: Mapping[str, int]) -> Problem:
    splits = ", ".join(repr(name[:40]) for name in list(sizes)[:_SHOWN])
    return Problem(
        422,
        "unknown_split",
        f"There is no split {split[:80]!r}; there are {splits}.",
        field="split",
    )


def _refused(what: str, field: str) -> Problem:
    return Problem(422, "invalid_request", what, field=field)
