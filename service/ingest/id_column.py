"""A column of ids on its way out of a foreign file: each as it is, and where each one ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from service.ingest.columns import id_left_out
from service.ingest.errors import BadInput
from service.ingest.limits import MAX_LABEL_BYTES, MAX_LABEL_CHARACTERS

ID_ENDS: Final = "id-ends"

Names = Sequence[object] | tuple[Sequence[object], NDArray[np.int64]]
"""Values a row; or the distinct values and for each row the place of its own among them."""


class IdColumn:
    """A column of what the sender calls the rows, each as it is: `id`, and where each one ends.

    Where nobody asked for them, a value that is no id becomes an empty one, and is counted.
    """

    def __init__(self, field: str, folder: Path, *, is_asked_for: bool) -> None:
        self._field = field
        self._is_asked_for = is_asked_for
        self._n_left_out = 0
        self._path = folder / "id"
        self._ends_path = folder / ID_ENDS
        self._n_bytes = 0

    def add(self, values: Names, *, first_row: int, n_rows: int) -> None:
        distinct, places = values if isinstance(values, tuple) else (values, None)
        names = [self._id(value, first_row + row) for row, value in enumerate(distinct)]
        found = names if places is None else [names[place] for place in places.tolist()]
        if len(found) != n_rows:
            raise ValueError("one value a row is needed")
        ends = self._n_bytes + np.cumsum([len(name) for name in found], dtype=np.int64)
        self._n_bytes = int(ends[-1])
        if self._n_bytes > MAX_LABEL_BYTES:
            raise BadInput(
                "too_large", f"The ids take over {MAX_LABEL_BYTES >> 20} MiB.", field=self._field
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
            wrong = "holds half a character (a lone surrogate); send valid Unicode"
        raise BadInput(
            "invalid_id", f"The id at {self._field} row {row} {wrong}.", field=self._field, row=row
        )

    def finish(self) -> dict[str, Any]:
        told: dict[str, Any] = {"field": self._field, "names": None}
        if self._n_left_out:
            told["left_out"] = id_left_out(self._field, f"has no id in {self._n_left_out:,} rows")
        return told


def append(path: Path, block: bytes | memoryview) -> None:
    """Opened for each block of megabytes, so that no error leaves a file open."""
    with path.open("ab", buffering=0) as file:
        file.write(block)


def name_of(value: object, *, part: str, field: str, row: int) -> str:
    """The value as a name: strings, integers and Booleans are; raises BadInput for others."""
    if type(value) is str:
        return value
    if type(value) is int or type(value) is bool:
        return str(value)
    what = "is missing" if value is None else f"is a {type(value).__name__}"
    raise BadInput(
        f"invalid_{part}",
        f"The {part} at row {row} {what}: each row needs a string or an integer.",
        field=field,
        row=row,
    )
