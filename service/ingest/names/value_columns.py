"""Read columns with one value per row from a foreign file: names as codes, hashes, or ids."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.errors import BadInput
from service.ingest.folder import ID_ENDS
from service.ingest.limits import MAX_LABEL_BYTES, MAX_LABEL_CHARACTERS, MAX_NAMES
from service.ingest.names.columns import id_left_out
from service.ingest.names.labels import LabelCoder, check_name
from service.ingest.names.value_name import iso_times, name_of, place

_HASH_BYTES: Final = 8

Names = Sequence[object] | tuple[Sequence[object], NDArray[np.int64]]
"""One value per row; or the distinct values, and for each row the index of its own."""


class NameCoder:
    """Turns the values of a column into codes, in the order of first sight."""

    def __init__(self, part: str, field: str, *, coder: LabelCoder | None = None) -> None:
        """`coder`: shared by the labels of several columns."""
        self._part = part
        self._field = field
        self._codes: dict[str, int] = {}
        self._coder = coder or LabelCoder() if part == "label" else None

    def codes(self, values: Names, *, first_row: int = 0) -> NDArray[np.int64]:
        """The code of each row's value (b,), from `first_row` of the column on; raises BadInput."""
        distinct, rows, places = _in_order(_grouped(values), first_row)
        codes = np.array(
            [self._code(value, row) for value, row in zip(distinct, rows, strict=True)], np.int64
        )
        return codes if places is None else codes[places]

    @property
    def names(self) -> list[str]:
        """The names seen so far, by code."""
        return self._coder.names if self._coder is not None else list(self._codes)

    def _code(self, value: object, row: int) -> int:
        name = name_of(value, part=self._part, field=self._field, row=row)
        if self._coder is not None:
            return self._coder.code(name, field=self._field, row=row)
        code = self._codes.get(name)
        if code is None:
            check_name(name, field=self._field, row=row, part=self._part)
            if len(self._codes) == MAX_NAMES:
                raise BadInput(
                    f"invalid_{self._part}",
                    f"{self._field} has more than {MAX_NAMES:,} distinct values: is it really the "
                    f"{self._part}?",
                    field=self._field,
                    row=row,
                )
            code = self._codes.setdefault(name, len(self._codes))
        return code


class Coded:
    """A column of names, as codes."""

    def __init__(self, part: str, field: str, folder: Path) -> None:
        self._field = field
        self._path = folder / part
        self._coder = NameCoder(part, field)

    def add(self, values: Names, *, first_row: int, n_rows: int) -> None:
        """The next `n_rows` values; raises BadInput."""
        _write_codes(self._path, self._coder.codes(values, first_row=first_row), n_rows)

    def finish(self) -> dict[str, Any]:
        """The name of the column, and its names by code."""
        return {"field": self._field, "names": self._coder.names}


class Hashed:
    """A column of many values, of which only equality is kept: the groups.

    The hash is not Python's, which differs in each process: the choice of the groups to hold out
    depends on it, and the same file must make the same dataset.
    """

    def __init__(self, field: str, folder: Path) -> None:
        self._field = field
        self._path = folder / "group"

    def add(self, values: Names, *, first_row: int, n_rows: int) -> None:
        """The next `n_rows` values; raises BadInput."""
        distinct, rows, places = _in_order(_grouped(values), first_row)
        hashes = b"".join(self._hash(value, row) for value, row in zip(distinct, rows, strict=True))
        codes = np.frombuffer(hashes, "<i8")
        _write_codes(self._path, codes if places is None else codes[places], n_rows)

    def _hash(self, value: object, row: int) -> bytes:
        name = name_of(value, part="group", field=self._field, row=row)
        if not name.strip():
            raise BadInput(
                "invalid_group",
                f"{place('group', self._field, row)} is empty: give every row one, or leave the "
                "row out.",
                field=self._field,
                row=row,
            )
        return blake2b(name.encode(errors="surrogatepass"), digest_size=_HASH_BYTES).digest()

    def finish(self) -> dict[str, Any]:
        """The name of the column."""
        return {"field": self._field, "names": None}


class Listed:
    """A column of the sender's ids, each as it is: `id`, and where each one ends.

    If nobody asked for them, a value that is not an id becomes an empty one, and is counted.
    """

    def __init__(self, field: str, folder: Path, *, is_asked_for: bool) -> None:
        self._field = field
        self._is_asked_for = is_asked_for
        self._n_left_out = 0
        self._path = folder / "id"
        self._ends_path = folder / ID_ENDS
        self._n_bytes = 0

    def add(self, values: Names, *, first_row: int, n_rows: int) -> None:
        """The next `n_rows` values; raises BadInput."""
        distinct, rows, places = _in_order(values, first_row)
        names = [self._id(value, row) for value, row in zip(distinct, rows, strict=True)]
        found = names if places is None else [names[place] for place in places.tolist()]
        if len(found) != n_rows:
            raise ValueError("one value per row is needed")
        ends = self._n_bytes + np.cumsum([len(name) for name in found], dtype=np.int64)
        self._n_bytes = int(ends[-1])
        if self._n_bytes > MAX_LABEL_BYTES:
            raise BadInput(
                "too_large",
                f"The ids take more than {MAX_LABEL_BYTES >> 20} MiB.",
                field=self._field,
            )
        if not self._is_asked_for:
            self._n_left_out += sum(not one for one in found)
        append(self._path, b"".join(found))
        append(self._ends_path, ends.astype("<i8").data)

    def _id(self, value: object, row: int) -> bytes:
        try:
            return self._checked(value, row)
        except BadInput:
            if self._is_asked_for:
                raise
            return b""

    def _checked(self, value: object, row: int) -> bytes:
        name = name_of(value, part="id", field=self._field, row=row)
        try:
            if len(name) <= MAX_LABEL_CHARACTERS:
                return name.encode()
            wrong = f"has {len(name):,} characters; the limit is {MAX_LABEL_CHARACTERS}"
        except UnicodeEncodeError:
            wrong = "has half a character (a lone surrogate): send valid Unicode"
        raise BadInput(
            "invalid_id", f"{place('id', self._field, row)} {wrong}.", field=self._field, row=row
        )

    def finish(self) -> dict[str, Any]:
        """The name of the column, and a warning if rows have no id."""
        told: dict[str, Any] = {"field": self._field, "names": None}
        if self._n_left_out:
            told["left_out"] = id_left_out(self._field, f"has no id in {self._n_left_out:,} rows")
        return told


def names_of_array(block: NDArray[Any]) -> Names:
    """A block (b,) of integers, floats, Booleans or times as a column takes it."""
    distinct, places = np.unique(block, return_inverse=True)
    listed = iso_times(distinct) if distinct.dtype.kind == "M" else distinct.tolist()
    return listed, places.astype(np.int64)


def column_of(
    part: str, field: str, folder: Path, *, is_id_asked_for: bool = True
) -> Coded | Hashed | Listed:
    """The object that takes the values of the column `field`, which means `part`."""
    if part == "id":
        return Listed(field, folder, is_asked_for=is_id_asked_for)
    return Hashed(field, folder) if part == "group" else Coded(part, field, folder)


def append(path: Path, block: bytes | memoryview) -> None:
    """Append to a file, opened for each block of megabytes, so that no error leaves it open."""
    with path.open("ab", buffering=0) as file:
        file.write(block)


def _in_order(
    values: Names, first_row: int
) -> tuple[Sequence[object], Sequence[int], NDArray[np.int64] | None]:
    """Values in the order of their first rows, these rows, and for each row the index of its value.

    So the row that an error names is the first with that fault.
    """
    if not isinstance(values, tuple):
        return values, range(first_row, first_row + len(values)), None
    distinct, places = values
    used, firsts, inverse = np.unique(places, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    rows: list[int] = (first_row + firsts[order]).tolist()
    return [distinct[at] for at in used[order].tolist()], rows, rank[inverse]


def _grouped(values: Names) -> Names:
    """Strings as the distinct ones, and for each row the index of its own: labels are few."""
    if isinstance(values, tuple) or not {str}.issuperset(map(type, values)):
        return values
    place_of = {value: place for place, value in enumerate(dict.fromkeys(values))}
    places = np.fromiter(map(place_of.__getitem__, values), np.int64, len(values))
    return list(place_of), places


def _write_codes(path: Path, codes: NDArray[np.int64], n_rows: int) -> None:
    if len(codes) != n_rows:
        raise ValueError("one value per row is needed")
    append(path, codes.astype("<i8").data)
