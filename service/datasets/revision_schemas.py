"""JSON shapes of what is made of a stored dataset: corrections, additions, and its rows."""

from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from service.datasets.schemas import KeepSeconds
from service.heads.notes import Description
from service.http.fields import Cursor, Limit, Name
from service.http.validation import NO_NUL_PATTERN

MAX_CORRECTIONS: Final = 100_000
"""Rows that one request may name, of either kind; who changes more sends the file again."""

MAX_ROWS_SHOWN: Final = 200

_SPLIT: Final = Field(
    default=None, max_length=220, pattern=NO_NUL_PATTERN, examples=["train", "ood/sketch"]
)
_Row = Annotated[StrictInt, Field(ge=0, le=2**53)]

Label = Annotated[
    Any,
    WithJsonSchema(
        {
            "title": "Label",
            "description": "The right class: a name, or a whole number or Boolean, which becomes "
            "its text. One that no row had before makes a new class.",
            "anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}],
        }
    ),
]


class RowReference(BaseModel):
    """One row: by split and row, by its place in the file that was sent, or by its id."""

    model_config = ConfigDict(extra="forbid")

    split: str | None = _SPLIT
    row: _Row | None = Field(
        default=None, description="The row's place in its split, from 0; it needs split."
    )
    file_row: _Row | None = Field(
        default=None,
        description="The row's place in what was sent, from 0. Name the split too if several "
        "splits have such a row, as those of an .npz do.",
    )
    id: StrictStr | StrictInt | None = Field(
        default=None, description="Your id of the row, if only one row has it."
    )

    @model_validator(mode="after")
    def _one_name(self) -> "RowReference":
        given = [name for name in ("row", "file_row", "id") if getattr(self, name) is not None]
        if len(given) != 1:
            found = f"not {' and '.join(given)}" if given else "none is given"
            raise ValueError(f"must name its row by one of row, file_row or id; {found}.")
        if given == ["row"] and self.split is None:
            raise ValueError("names a row, which counts within a split: add the split.")
        return self


class Relabelling(RowReference):
    """One row, and the label that it should have."""

    label: Label


class CorrectionCreate(BaseModel):
    """Other labels for some rows, and rows to leave out; all other rows stay as they are."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "labels": [{"split": "train", "row": 2, "label": "dog"}],
                    "drop": [{"split": "train", "row": 0}],
                    "note": "suspects of job_31k8drzh5p2gk7m4t9x3wvq6ab, looked at by Ada",
                }
            ]
        },
    )

    labels: list[Relabelling] = Field(
        default_factory=list, max_length=MAX_CORRECTIONS, description="Rows with their new label."
    )
    drop: list[RowReference] = Field(
        default_factory=list, max_length=MAX_CORRECTIONS, description="Rows to leave out."
    )
    note: Description | None = Field(
        default=None, description="A note for people, kept in the lineage of the new dataset."
    )
    name: Name | None = Field(
        default=None, description="The name of the new dataset. Default: that of the old one."
    )
    keep_seconds: KeepSeconds | None = Field(
        default=None,
        description="After how many seconds the new dataset expires. Default: what the operator "
        "set, usually never.",
    )


class DatasetRow(BaseModel):
    """One stored row."""

    split: str
    row: int = Field(description="Its place in the split, from 0.")
    file_row: int | None = Field(
        description="Its place in what was sent, from 0; null if an earlier version stored it."
    )
    id: str | None = Field(description="Your id of the row, if you sent one.")
    text: str | None = Field(description="Its text; null for embeddings.")
    label: str | None = Field(description="Its class; null in an unlabelled dataset.")


class DatasetRowPage(BaseModel):
    """Rows in their order, or in that of `rows`."""

    items: list[DatasetRow]
    next_cursor: str | None = Field(description="Pass it as cursor for the next page.")


class DatasetRowQuery(BaseModel):
    """Which rows to show: all of a dataset or a split, page by page, or only some."""

    model_config = ConfigDict(extra="forbid")

    split: str | None = Field(
        default=None,
        max_length=220,
        pattern=NO_NUL_PATTERN,
        description="Only rows of this split.",
        examples=["train"],
    )
    rows: str | None = Field(
        default=None,
        max_length=20 * MAX_ROWS_SHOWN,
        pattern=r"^ *\d{1,18}( *, *\d{1,18})* *$",
        description=f"Only these rows of the split, at most {MAX_ROWS_SHOWN}, separated by commas.",
        examples=["422,17"],
    )
    cursor: Cursor = None
    limit: Limit = 50
