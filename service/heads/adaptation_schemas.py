"""JSON shapes of adapting a head to labelled rows of a new domain."""

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from nmtune.heads.adaptation import FEWEST_ROWS, MOST_ROWS
from service.heads.notes import Description, Tags
from service.heads.schemas import HeadVersion, HeldOutLoss
from service.http.fields import Alias, Name
from service.http.rows import Embeddings, Labels
from service.http.validation import ID_PATTERN, NO_NUL_PATTERN
from service.providers.schemas import Texts

_WITH_ROWS: Final = ("embeddings", "texts", "dataset_id")


class AdaptRequest(BaseModel):
    """Labelled rows of the new domain, and what to do with the version that is made of them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "version": "prod",
                    "dataset_id": "ds_31k8drzh5p2gk7m4t9x3wvq6ab",
                    "split": "ood/tweets",
                    "alias": "tweets",
                }
            ]
        },
    )

    version: Name = Field(
        default="latest",
        description="The version to adapt: a number, an alias or latest.",
        examples=["prod"],
    )
    embeddings: Embeddings = None
    texts: Texts = None
    labels: Labels = None
    encoder: str | None = Field(
        default=None,
        max_length=64,
        description="The fingerprint of the encoder that made the embeddings; a head that was "
        "trained with another encoder refuses them.",
    )
    dataset_id: str | None = Field(
        default=None,
        pattern=ID_PATTERN,
        description="The rows of a stored dataset instead, with its labels.",
    )
    split: str | None = Field(
        default=None,
        max_length=220,
        pattern=NO_NUL_PATTERN,
        description="Of the dataset: only the rows of this split.",
        examples=["ood/tweets"],
    )
    rows: Annotated[list[Annotated[StrictInt, Field(ge=0)]], Field(max_length=MOST_ROWS)] | None = (
        Field(default=None, description="Of the split: only these rows, counted from 0.")
    )
    alias: Alias | None = Field(
        default=None,
        description="An alias to point at the new version; left out, no alias moves.",
    )
    description: Description | None = Field(
        default=None, description="A note for people; left out, that of the job."
    )
    tags: Tags = Field(default_factory=dict, description="Tags; left out, those of the job.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in _WITH_ROWS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"send {FEWEST_ROWS} to {MOST_ROWS:,} rows in exactly one of embeddings (with "
                "labels), texts (with labels) and dataset_id"
                + (f", not in {' and '.join(given)}" if given else "")
            )
        is_stored = self.dataset_id is not None
        if is_stored == (self.labels is not None):
            raise ValueError(
                "labels go with embeddings or texts, one for each row; a dataset has its own"
            )
        if not is_stored and (self.split is not None or self.rows is not None):
            raise ValueError("split and rows go with dataset_id: leave them out")
        if self.rows is not None and self.split is None:
            raise ValueError("rows are counted within a split: name the split too")
        if self.rows is not None and len(set(self.rows)) < len(self.rows):
            raise ValueError("rows must not name a row twice")
        return self


class AdaptAnswer(BaseModel):
    """Whether adapting pays, and the version that was published if it does."""

    published: bool = Field(
        description="false if held-out rows show no gain: then there is nothing new, and the head "
        "stays as it is."
    )
    reason: str
    held_out: HeldOutLoss
    version: HeadVersion | None = None
