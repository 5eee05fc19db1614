"""Find the stored rows that corrections name, and say which of them are not there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np

from service.datasets.revision_schemas import CorrectionCreate, RowReference
from service.ingest.errors import BadInput, Place
from service.ingest.limits import MAX_PLACES
from store.files.labelled import LabelledFile

_SHOWN: Final = 10
T = TypeVar("T", int, str)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One entry of a request: the list that it is in, its index there, and how it names its row."""

    field: str
    index: int
    reference: RowReference

    def fault(self, code: str, what: str, *, at: tuple[str, int] | None = None) -> BadInput:
        """The error of this entry; `at`: its split and row, once they are found."""
        one = self.reference
        if at is not None:
            named = f"{at[0]} row {at[1]:,}"
        elif one.row is not None:
            named = f"{one.split} row {one.row:,}"
        elif one.file_row is not None:
            named = f"file_row {one.file_row:,}"
        else:
            named = f"id {str(one.id)[:80]!r}"
        return BadInput(
            code, f"{self.field} {self.index}, {named}: {what}", field=self.field, row=self.index
        )


@dataclass
class Faults:
    """The errors of a request's entries; those of the first one's code are told together."""

    found: list[BadInput] = field(default_factory=list)

    def add(self, fault: BadInput) -> None:
        """Note an error."""
        self.found.append(fault)

    def refuse(self) -> None:
        """Raise BadInput if there was an error."""
        if not self.found:
            return
        first = min(self.found, key=lambda one: (one.field != "labels", one.row or 0))
        same = [one for one in self.found if one.code == first.code and one is not first]
        raise BadInput(
            first.code,
            first.message,
            field=first.field,
            row=first.row,
            more=tuple(
                Place(message=one.message, field=one.field, row=one.row)
                for one in same[: MAX_PLACES - 1]
            ),
            count=1 + len(same),
        )


def items_of(body: CorrectionCreate) -> list[Item]:
    """The entries of a request, those of `labels` first."""
    return [
        Item(field=name, index=index, reference=one)
        for name, listed in (("labels", body.labels), ("drop", body.drop))
        for index, one in enumerate(listed)
    ]


def find(file: LabelledFile, items: Sequence[Item]) -> list[tuple[str, int]]:
    """The split and row of each entry. Raises BadInput for rows that are not there, that several
    rows could be, or that are named twice.
    """
    faults = Faults()
    by_file_row = _by_name(file, items, "file_row")
    by_id = _by_name(file, items, "id")
    found: list[tuple[str, int]] = []
    seen: dict[tuple[str, int], Item] = {}
    for item in items:
        at = _place(file, item, by_file_row, by_id)
        if isinstance(at, BadInput):
            faults.add(at)
            continue
        earlier = seen.setdefault(at, item)
        if earlier is not item:
            what = f"{earlier.field} {earlier.index} names the same row. Name each row once."
            faults.add(item.fault("duplicate_row", what, at=at))
        found.append(at)
    faults.refuse()
    return found


_Found = Mapping[int | str, Sequence[tuple[str, int]]]


def _place(
    file: LabelledFile, item: Item, by_file_row: _Found, by_id: _Found
) -> tuple[str, int] | BadInput:
    one = item.reference
    if one.split is not None and one.split not in file.splits:
        splits = ", ".join(repr(name[:40]) for name in list(file.splits)[:_SHOWN])
        return item.fault(
            "unknown_split", f"there is no split {one.split[:80]!r}; there are {splits}."
        )
    if one.row is not None and one.split is not None:
        n_rows = len(file.splits[one.split].y)
        if one.row < n_rows:
            return one.split, one.row
        return item.fault(
            "unknown_row",
            f"the split {one.split} has {n_rows:,} rows, so its rows are 0 to {n_rows - 1:,}.",
        )
    places = by_file_row.get(one.file_row, ()) if one.file_row is not None else ()
    if one.id is not None:
        places = by_id.get(str(one.id), ())
    mine = [at for at in places if one.split in (None, at[0])]
    if len(mine) == 1:
        return mine[0]
    if not mine:
        where = "the dataset" if one.split is None else f"the split {one.split}"
        return item.fault("unknown_row", f"{where} has no such row.")
    listed = ", ".join(f"{split} row {row:,}" for split, row in mine[:3])
    return item.fault(
        "ambiguous_row",
        f"{len(mine):,} rows have it: {listed}. Name the row by split and row.",
    )


def _by_name(file: LabelledFile, items: Iterable[Item], kind: str) -> _Found:
    """Where the rows are that entries name by `file_row` or by `id`; one sweep over the names."""
    given = {getattr(item.reference, kind) for item in items} - {None}
    found: dict[int | str, list[tuple[str, int]]] = {}
    if not given:
        return found
    if kind == "id":
        wanted = {str(one) for one in given if one != ""}
        for split, rows in file.splits.items():
            for name, at in rows.names.places_of(wanted):
                found.setdefault(name, []).append((split, at))
        return found
    numbers = np.array(sorted(given), np.int64)
    for split, rows in file.splits.items():
        places = rows.names.rows
        if places is None:
            continue
        for at in np.flatnonzero(np.isin(places, numbers)).tolist():
            found.setdefault(int(places[at]), []).append((split, at))
    return found
