"""The queries of what takes rows in: what to call the dataset, and how to read its file."""

import csv
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from service.datasets.received_body import Reading
from service.datasets.schemas import KeepSeconds
from service.heads.notes import Description
from service.http.errors import Problem
from service.http.fields import Name
from service.http.validation import ID_PATTERN
from service.ingest.dataset.row_splits import SPLIT_SEED, TEST_FRACTION, SplitOptions
from service.ingest.names.columns import Wanted

_NONE: Final = "none"

_Column = Annotated[str | None, Field(min_length=1, max_length=200)]


class FileQuery(BaseModel):
    """What to call a dataset, how long to keep it, and what the columns of its file mean."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(
        default=None,
        description="The name of the dataset. Default: the name of the file, or dataset; of added "
        "rows, that of the dataset that they are added to.",
        examples=["pets"],
    )
    upload: str | None = Field(
        default=None,
        pattern=ID_PATTERN,
        description="The id of a complete upload (POST /uploads), which has the file; the body is "
        "empty. The upload stays until it is deleted or expires.",
        examples=["up_31k8drzh5p2gk7m4t9x3wvq6ab"],
    )
    keep_seconds: KeepSeconds | None = Field(
        default=None,
        description="After how many seconds the dataset expires. Default: what the operator set, "
        "usually never.",
        examples=[604800],
    )
    embedding: _Column = Field(
        default=None,
        description="The column of the embeddings; with * at its end the prefix of numbered "
        "columns, such as pc_*. Default: embedding, or the one family of numbered columns.",
        examples=["vector"],
    )
    text: _Column = Field(
        default=None,
        description="The column of the texts, which a job's provider embeds. Default: text, if "
        "there are no embeddings.",
        examples=["review"],
    )
    label: _Column = Field(
        default=None, description="The column of the labels. Default: label.", examples=["species"]
    )
    split: _Column = Field(
        default=None,
        description="The column of the splits. Default: split, if there is one.",
        examples=["part"],
    )
    domain: _Column = Field(
        default=None,
        description="The column of the domains. Default: domain, if there is one.",
        examples=["source"],
    )
    id: _Column = Field(
        default=None,
        description="The column with your ids of the rows: predictions and reports use them. "
        "Default: id, if there is one.",
        examples=["customer"],
    )


class DatasetCreateQuery(FileQuery):
    """What to call the dataset, how long to keep it, and how to read its file."""

    group: _Column = Field(
        default=None,
        description="The column that says which rows belong together: splits do not part them. "
        "Default: group, if there is one.",
        examples=["patient"],
    )
    unlabelled: bool = Field(
        default=False,
        description="The rows are to be predicted by POST /predictions: they need no labels, "
        "and keep their order. No head can be trained on them.",
        examples=[True],
    )
    ood_domains: str | None = Field(
        default=None,
        max_length=4096,
        description="Domains to hold out, separated by commas (in double quotes where a name "
        "has one), or none. Default: the one with the fewest rows.",
        examples=["sketch,cartoon"],
    )
    test_fraction: float = Field(
        default=TEST_FRACTION,
        gt=0,
        le=0.9,
        description="The share of the rows that becomes test.",
        examples=[0.2],
    )
    merge_similar: bool = Field(
        default=False,
        description="Merge classes, and domains, that differ only in case, spaces or Unicode "
        "form. Otherwise a warning names them.",
        examples=[True],
    )
    split_seed: int = Field(
        default=SPLIT_SEED,
        ge=0,
        le=2**32 - 1,
        description="The seed for making splits.",
        examples=[0],
    )

    def reading(self) -> Reading:
        """How to read the file. Raises Problem for what does not go together."""
        if self.unlabelled:
            given: dict[str, object] = {
                "label": self.label,
                "split": self.split,
                "domain": self.domain,
            }
            given |= {"group": self.group, "merge_similar": self.merge_similar or None}
            _refuse(given, "applies to labelled rows only: leave it out, or leave out unlabelled.")
            return Reading(
                wanted=Wanted(
                    embedding=self.embedding, text=self.text, id=self.id, is_labelled=False
                )
            )
        domains = None
        if self.ood_domains is not None:
            names = _listed(self.ood_domains)
            domains = () if names == [_NONE] else tuple(names)
        return Reading(
            wanted=Wanted(
                embedding=self.embedding,
                text=self.text,
                label=self.label,
                split=self.split,
                domain=self.domain,
                group=self.group,
                id=self.id,
            ),
            options=SplitOptions(
                ood_domains=domains,
                test_fraction=self.test_fraction,
                seed=self.split_seed,
                merge_similar=self.merge_similar,
            ),
        )


class AdditionQuery(FileQuery):
    """What the columns of the rows to add mean; rows that name no split become train."""

    note: Description | None = Field(
        default=None,
        description="A note for people, kept in the lineage of the new dataset.",
        examples=["labelled in week 48"],
    )

    def reading(self) -> Reading:
        """How to read the file."""
        return Reading(
            wanted=Wanted(
                embedding=self.embedding,
                text=self.text,
                label=self.label,
                split=self.split,
                domain=self.domain,
                id=self.id,
            )
        )


def _listed(value: str) -> list[str]:
    """The names of a list with commas; one that holds a comma stands in double quotes."""
    try:
        rows = list(csv.reader([value], skipinitialspace=True, strict=True))
    except csv.Error:
        raise Problem(
            422,
            "invalid_request",
            'ood_domains must be a list with commas, such as a,"b, c": is a quote left open?',
            field="ood_domains",
        ) from None
    return [name.strip() for row in rows for name in row if name.strip()]


def _refuse(given: Mapping[str, object], why: str) -> None:
    for name, value in given.items():
        if value is not None:
            raise Problem(422, "invalid_request", f"{name} {why}", field=name)
