"""The one error of reading embeddings and labels from a sender."""

from dataclasses import dataclass, field
from typing import Final, NotRequired, TypedDict

FIELD: Final = "file"
"""The field of errors about the file as a whole."""


class DatasetWarning(TypedDict):
    """What the owner of a dataset should know; `split` if it concerns one."""

    code: str
    message: str
    split: NotRequired[str]


@dataclass(frozen=True, kw_only=True)
class Place:
    """One place in the input and what is wrong there; rows and columns count from 0."""

    message: str
    field: str | None = None
    row: int | None = None
    column: int | None = None


@dataclass
class Places:
    """The first places of one fault, and how many were found in all."""

    listed: list[Place] = field(default_factory=list)
    count: int = 0

    def add(self, other: "Places") -> None:
        """Add places found later."""
        self.listed += other.listed
        self.count += other.count


class BadInput(Exception):  # noqa: N818 - the name says whose fault it is, which is what matters here
    """The input cannot become a dataset, and only its sender can change that.

    `code` is stable and machine-readable; `message` says what is wrong and what to do; `field` is
    the array, the zip member or the JSON key; `row` and `column` count from 0 within that field.
    `malformed` marks bytes that cannot be read at all (400), as opposed to arrays that can be read
    but break a rule (422). `more` holds further places of the same fault, so that a file with
    several bad rows can be corrected at once; `count` is how many were found, listed or not.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        row: int | None = None,
        column: int | None = None,
        malformed: bool = False,
        more: tuple[Place, ...] = (),
        count: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.row = row
        self.column = column
        self.malformed = malformed
        self.more = more
        self.count = 1 + len(more) if count is None else count

    @property
    def places(self) -> tuple[Place, ...]:
        """All places of the fault, the first one first: the `errors[]` of a problem body."""
        first = Place(message=self.message, field=self.field, row=self.row, column=self.column)
        return (first, *self.more)
