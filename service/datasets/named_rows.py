"""Find the stored rows that corrections name, and say which of them are not there."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from service.datasets.revision_schemas import CorrectionCreate, RowReference
from service.ingest.errors import BadInput, Place
from service.ingest.limits import MAX_PLACES
from store.files.labelled import LabelledFile

_SHOWN: Final = 10
_ENOUGH: Final = 2
_Found: TypeAlias = Mapping[int | str, Sequence[tuple[str, int]]]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One entry of a request: the list that it is in, its index there, and how it names its row."""

    field: str
    index: int
    reference: RowReference

    def __str__(self) -> str:
        """Where it is, and how it names its row."""
        one = self.reference
        if one.row is not None:
            named = f"{one.split} row {one.row:,}"
        elif one.file_row is not None:
            named = f"file_row {one.file_row:,}"
        else:
            named = f"id {str(one.id)[:80]!r}"
        return f"{self.field} {self.index}, {named}"


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
        first, *others = self.found
        same = [one for one in others if one.code == first.code]
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
    named = {kind: _by_name(file, items, kind) for kind in ("file_row", "id")}
    found: list[tuple[str, int]] = []
    seen: dict[tuple[str, int], Item] = {}
    for item in items:
        try:
            at = _place(file, item, named)
        except BadInput as fault:
            faults.add(fault)
            continue
        earlier = seen.setdefault(at, item)
        if earlier is not item:
            faults.add(
                BadInput(
                    "duplicate_row",
                    f"{item.field} {item.index}, {at[0]} row {at[1]:,}: {earlier.field} "
                    f"{earlier.index} names the same row. Name each row once.",
                    field=item.field,
                    row=item.index,
                )
            )
        found.append(at)
    faults.refuse()
    return found


def _place(file: LabelledFile, item: Item, named: Mapping[str, _Found]) -> tuple[str, int]:
    """The split and row of an entry. Raises BadInput."""
    one = item.reference
    if one.split is not None and one.split not in file.splits:
        splits = ", ".join(repr(name[:40]) for name in list(file.splits)[:_SHOWN])
        raise BadInput(
            "unknown_split",
            f"{item}: there is no split {one.split[:80]!r}; there are {splits}.",
            field=item.field,
            row=item.index,
        )
    if one.row is not None and one.split is not None:
        n_rows = len(file.splits[one.split].y)
        if one.row >= n_rows:
            raise BadInput(
                "unknown_row",
                f"{item}: the split {one.split} has {n_rows:,} rows, so its rows are 0 to "
                f"{n_rows - 1:,}.",
                field=item.field,
                row=item.index,
            )
        return one.split, one.row
    places = named["id"].get(str(one.id)) if one.id is not None else None
    if one.file_row is not None:
        places = named["file_row"].get(one.file_row)
    mine = [at for at in places or () if one.split in (None, at[0])]
    if not mine:
        where = "the dataset" if one.split is None else f"the split {one.split}"
        raise BadInput(
            "unknown_row", f"{item}: {where} has no such row.", field=item.field, row=item.index
        )
    if len(mine) > 1:
        listed = " and ".join(f"{split} row {row:,}" for split, row in mine[:2])
        raise BadInput(
            "ambiguous_row",
            f"{item}: several rows have it, such as {listed}. Name the row by split and row.",
            field=item.field,
            row=item.index,
        )
    return mine[0]


def _by_name(file: LabelledFile, items: Iterable[Item], kind: str) -> _Found:
    """Where the rows are that entries name by `file_row` or `id`: of each split at most two, which
    is enough to see that there are several. One sweep over the names of the rows.
    """
    given = {getattr(item.reference, kind) for item in items} - {None, ""}
    found: dict[int | str, list[tuple[str, int]]] = {}
    if not given:
        return found
    for split, rows in file.splits.items():
        if kind == "id":
            pairs: Iterable[tuple[int | str, int]] = rows.names.rows_called(set(map(str, given)))
        else:
            pairs = rows.names.rows_at(given)
        n_seen: Counter[int | str] = Counter()
        for name, at in pairs:
            n_seen[name] += 1
            if n_seen[name] <= _ENOUGH:
                found.setdefault(name, []).append((split, at))
    return found
