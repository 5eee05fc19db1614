"""JSON shapes of choosing rows to label."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from nmtune.study.row_selection import OOD_SHARE
from service.http.fields import Name
from service.http.validation import ID_PATTERN

MOST_CHOSEN: Final = 1_000
"""Rows that one request may ask for: choosing them takes seconds."""

SelectionFormat = Literal["csv", "jsonl"]


class SelectRequest(BaseModel):
    """A dataset without labels, and how many of its rows are to be labelled."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"version": "prod", "dataset_id": "ds_31k8drzh5p2gk7m4t9x3wvq6ab", "n_rows": 100}
            ]
        },
    )

    version: Name = Field(
        default="latest",
        description="The version that is to learn: a number, an alias or latest.",
        examples=["prod"],
    )
    dataset_id: str = Field(
        pattern=ID_PATTERN,
        description="The rows to choose from: a dataset stored with unlabelled=true.",
    )
    n_rows: int = Field(
        default=100, ge=1, le=MOST_CHOSEN, description="How many rows to choose at most."
    )
    ood_share: float = Field(
        default=OOD_SHARE,
        ge=0,
        le=1,
        description="The share of them that goes to rows unlike the training rows, if there are "
        "as many; 0 for a head without an OOD score.",
    )
    format: SelectionFormat = Field(
        default="jsonl", description="The format of the file; csv leaves embeddings out."
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Of the draws; the same seed gives the same rows."
    )
