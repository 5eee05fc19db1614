"""The home of the query parameters that say how to read an uploaded file."""

import csv
from collections.abc import Mapping
from typing import Annotated

from fastapi import Query

from service.datasets.received_body import Reading
from service.http.errors import Problem
from service.ingest.dataset.row_splits import SPLIT_SEED, TEST_FRACTION, SplitOptions
from service.ingest.names.columns import Wanted

_MAX_CHARACTERS = 200
_NONE = "none"


async def reading_of(
    embedding: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=_MAX_CHARACTERS,
            description="The column of the embeddings; with * at its end the prefix of numbered "
            "columns, such as pc_*. Default: embedding, or the one family of numbered columns.",
            examples=["vector"],
        ),
    ] = None,
    text: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=_MAX_CHARACTERS,
            description="The column of the texts, which a job's provider embeds. Default: text, if "
            "there are no embeddings.",
            examples=["review"],
        ),
    ] = None,
    label: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=_MAX_CHARACTERS,
            description="The column of the labels. Default: label.",
            examples=["species"],
        ),
    ] = None,
    split: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=_MAX_CHARACTERS,
            description="The column of the splits. Default: split, if there is one.",
            examples=["part"],
        ),
    ] = None,
    domain: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=_MAX_CHARACTERS,
            description="The column of the domains. Default: domain, if there is one.",
            examples=["source"],
        ),
    ] = None,
    group: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=_MAX_CHARACTERS,
            description="The column of which rows belong together and are not parted when splits "
            "are made. Default: group, if there is one.",
            examples=["patient"],
        ),
    ] = None,
    row_id: Annotated[
        str | None,
        Query(
            alias="id",
            min_length=1,
            max_length=_MAX_CHARACTERS,
            description="The column of what you call the rows: predictions and reports name them "
            "so. Default: id, if there is one.",
            examples=["customer"],
        ),
    ] = None,
    unlabelled: Annotated[
        bool,
        Query(
            description="The rows are to be predicted by POST /predictions: they need no labels, "
            "and keep their order. No head can be trained on them.",
            examples=[True],
        ),
    ] = False,
    ood_domains: Annotated[
        str | None,
        Query(
            max_length=4096,
            description="Domains to hold out, separated by commas (in double quotes where a name "
            "has one), or none. Default: the one with the fewest rows.",
            examples=["sketch,cartoon"],
        ),
    ] = None,
    test_fraction: Annotated[
        float,
        Query(gt=0, le=0.9, description="The share of the rows to become test.", examples=[0.2]),
    ] = TEST_FRACTION,
    merge_similar: Annotated[
        bool,
        Query(
            description="Make one of classes, and of domains, that differ in case, spaces or "
            "Unicode form alone. Without it a warning names them.",
            examples=[True],
        ),
    ] = False,
    split_seed: Annotated[
        int,
        Query(ge=0, le=2**32 - 1, description="The seed that splits are made with.", examples=[0]),
    ] = SPLIT_SEED,
) -> Reading:
    """What the query says of reading a file. Raises Problem for what does not go together."""
    if unlabelled:
        given = {"label": label, "split": split, "domain": domain, "group": group}
        given["merge_similar"] = "true" if merge_similar else None
        _refuse(given, "is of rows with labels: leave it out, or leave unlabelled out.")
        return Reading(wanted=Wanted(embedding=embedding, text=text, id=row_id, is_labelled=False))
    domains = None
    if ood_domains is not None:
        names = _listed(ood_domains)
        domains = () if names == [_NONE] else tuple(names)
    return Reading(
        wanted=Wanted(
            embedding=embedding,
            text=text,
            label=label,
            split=split,
            domain=domain,
            group=group,
            id=row_id,
        ),
        options=SplitOptions(
            ood_domains=domains,
            test_fraction=test_fraction,
            seed=split_seed,
            merge_similar=merge_similar,
        ),
    )


def _listed(value: str) -> list[str]:
    """The names of a list with commas; one that holds a comma stands in double quotes."""
    try:
        rows = list(csv.reader([value], skipinitialspace=True, strict=True))
    except csv.Error:
        raise Problem(
            422,
            "invalid_request",
            'ood_domains is no list with commas, such as a,"b, c": is a quote left open?',
            field="ood_domains",
        ) from None
    return [name.strip() for row in rows for name in row if name.strip()]


def _refuse(given: Mapping[str, str | None], why: str) -> None:
    for name, value in given.items():
        if value is not None:
            raise Problem(422, "invalid_request", f"{name} {why}", field=name)
