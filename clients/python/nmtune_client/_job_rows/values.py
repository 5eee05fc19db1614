"""A row of a job's dataset and what a candidate says of it, as the server sends them."""

from dataclasses import dataclass
from typing import Self

from nmtune_client._http.values import build, known_in, member
from nmtune_client._show import plain
from nmtune_client._show.reprs import Shown

ROW_HEADER = ("split", "row", "file row", "id", "label", "predicted", "P(label)", "text")


@dataclass(frozen=True, kw_only=True, repr=False)
class Neighbour(Shown):
    """A training row near a suspected one; similarity: the cosine of their embeddings, -1..1."""

    row: int
    label: str
    similarity: float
    file_row: int | None = None
    id: str | None = None
    text: str | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        return build(cls, known_in(cls, data))


@dataclass(frozen=True, kw_only=True, repr=False)
class JobRow(Shown):
    """A row of a job's dataset, and what a candidate says of it.

    row: its place in the split, from 0. file_row: its place in what was sent, from 0, the header
    not counted; id: what your column id calls it; text: of texts, its beginning; each None where
    the server does not know it. predicted: of a training row by models that had not seen it, None
    where there are none. Probabilities are 0..1; predicted_probability and set_size are of the
    published head alone. suggested: of a suspected row, the class that looks more probable.
    """

    split: str
    row: int
    label: str
    file_row: int | None = None
    id: str | None = None
    text: str | None = None
    predicted: str | None = None
    label_probability: float | None = None
    predicted_probability: float | None = None
    ood_score: float | None = None
    set_size: int | None = None
    suggested: str | None = None
    neighbours: tuple[Neighbour, ...] | None = None

    @classmethod
    def from_json(cls, data: object) -> Self:
        found = member(data, "neighbours")
        near = None if found is None else tuple(Neighbour.from_json(one) for one in found)
        return build(cls, known_in(cls, data, neighbours=near))


def row_line(row: JobRow) -> tuple[str, ...]:
    """A row as a line under `ROW_HEADER`."""
    share = "-" if row.label_probability is None else f"{row.label_probability:.3f}"
    place = "-" if row.file_row is None else str(row.file_row)
    names = (plain.shorten(one or "-", 24) for one in (row.id, row.label, row.predicted))
    return (row.split, str(row.row), place, *names, share, plain.shorten(row.text or "", 40))
