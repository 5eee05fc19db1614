"""JSON shapes of rows, and how they are asked for."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from service.http.fields import Cursor, Limit

Only: TypeAlias = Literal["errors", "correct", "suspected", "gained", "lost"]
SORTS = (
    "row",
    "label_probability",
    "predicted_probability",
    "ood_score",
    "set_size",
    "suspicion",
)
Sort: TypeAlias = Literal[
    "row",
    "label_probability",
    "-label_probability",
    "predicted_probability",
    "-predicted_probability",
    "ood_score",
    "-ood_score",
    "set_size",
    "-set_size",
    "suspicion",
]
_Class = Annotated[str | None, Field(max_length=1000, examples=["cat"])]
_Candidate = Annotated[str | None, Field(max_length=64)]


class RowQuery(BaseModel):
    """Which rows to list, and in which order."""

    model_config = ConfigDict(extra="forbid")

    split: str | None = Field(
        default=None,
        max_length=100,
        description="Only rows of this split. Without it, of all, split by split.",
        examples=["test"],
    )
    label: _Class = Field(default=None, description="Only rows with this label.")
    predicted: _Class = Field(default=None, description="Only rows that are predicted as this.")
    candidate: _Candidate = Field(
        default=None,
        description="Whose predictions to show; without it those of the published head.",
        examples=["linear_probe"],
    )
    against: _Candidate = Field(
        default=None,
        description="The candidate to compare with, for only=gained and only=lost.",
        examples=["mlp"],
    )
    only: Only | None = Field(
        default=None,
        description="errors or correct: rows whose label is not, or is, what is predicted. "
        "suspected: training rows whose label looks wrong. gained: rows that `candidate` gets "
        "right and `against` wrong; lost: the reverse.",
        examples=["errors"],
    )
    sort: Sort = Field(
        default="row",
        description="In which order; a minus is from the greatest down. suspicion: the most "
        "doubtful label first, with only=suspected. Equal rows, and those without the value at "
        "the end, keep the order of the splits.",
        examples=["label_probability"],
    )
    neighbours: bool = Field(
        default=False,
        description="Show the nearest training rows of suspected rows.",
        examples=[True],
    )
    cursor: Cursor = None
    limit: Limit = 50


class RowName(BaseModel):
    """A row, and what it is called in the data sent."""

    row: int = Field(description="Its row in the stored split, from 0.")
    file_row: int | None = Field(
        description="Its row in the file as sent, from 0, without the header; null if unknown."
    )
    id: str | None = Field(description="Its value in the column id.")
    text: str | None = Field(description="The beginning of its text, in a dataset of texts.")
    label: str


class Neighbour(RowName):
    """A training row near another."""

    similarity: float = Field(description="The cosine of the two embeddings, -1 to 1.")


class JobRow(RowName):
    """A row of a job's dataset, and what a candidate says of it."""

    split: str
    predicted: str | None = Field(
        description="The class that the candidate predicts. For a row of `train` it comes from "
        "models that had not seen the row; null where there are none."
    )
    label_probability: float | None = Field(description="The probability of its label.")
    predicted_probability: float | None = Field(
        description="The probability of the predicted class; null for other candidates than the "
        "published one."
    )
    ood_score: float | None = Field(description="How far it lies from the training rows.")
    set_size: int | None = Field(
        description="How many classes its conformal set holds, at the level 0.9 or the highest "
        "that the head allows; null for other candidates than the published one."
    )
    suggested: str | None = Field(
        description="Of a suspected row: the class that looks more probable than its label."
    )
    neighbours: list[Neighbour] | None = Field(
        default=None,
        description="Its nearest training rows, with neighbours=true; null for rows that are not "
        "suspected, and beyond the first 1,000 suspects.",
    )


class JobRowPage(BaseModel):
    """A page of rows."""

    items: list[JobRow]
    n_matching: int = Field(description="How many rows match, on all pages.")
    notes: list[str] = Field(
        description="What the page cannot show, and why, in sentences; usually empty."
    )
    next_cursor: str | None
