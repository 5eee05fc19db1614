"""The training rows whose label a report suspects, and how they are written as CSV."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Self

COLUMNS = ("file_row", "id", "text", "given", "suggested", "score")


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """One training row that out-of-fold predictions speak against.

    file_row: its row in what was sent, from 0, the header not counted; id: what your column id
    calls it; text: of texts, its beginning. Each None where the server does not know it. row: its
    place in the split train as the server keeps it. score: how much more probable the suggested
    class is than the given one.
    """

    row: int
    file_row: int | None
    id: str | None
    text: str | None
    given: str
    suggested: str
    given_probability: float
    suggested_probability: float
    score: float

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        given, suggested = data["given_probability"], data["suggested_probability"]
        return cls(
            row=data["row"],
            file_row=data.get("file_row"),
            id=data.get("id"),
            text=data.get("text"),
            given=data["given"],
            suggested=data["suggested"],
            given_probability=given,
            suggested_probability=suggested,
            score=data.get("score", suggested - given),
        )


def write_csv(suspects: Iterable[Suspect], file: IO[str]) -> None:
    """A header and a line for each, the worst first; what is not known is left empty."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in suspects:
        values = (getattr(one, name) for name in COLUMNS[:-1])
        writer.writerow([*("" if value is None else value for value in values), f"{one.score:.6f}"])
