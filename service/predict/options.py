"""Options of a prediction, the same in the query and in a JSON body."""

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from service.http.fields import MAX_REFERENCE_CHARACTERS, Share
from service.http.unknown_parameters import unknown_parameter

Output = Literal["labels", "probabilities", "logits", "embeddings"]

_MAX_FIELDS: Final = 32


def _object_of(value: object) -> object:
    """The object that a text is as JSON: a query has no other place for one."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise ValueError(
            'must be an object of class names and shares as JSON, such as {"ham":0.5,"spam":0.5}'
        ) from None


ClassShares = Annotated[dict[str, Share], BeforeValidator(_object_of)]
"""The share of each class; whether they are right for a head, `nmtune.heads.class_shares` says."""


class PredictionOptions(BaseModel):
    """What the answer holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Output = Field(
        default="probabilities",
        description="labels: only the labels; probabilities or logits: of every class, with the "
        "labels; embeddings: the tuned embeddings.",
        examples=["labels"],
    )
    top_k: int | None = Field(
        default=None,
        ge=1,
        description="Only this many most probable classes of each row, the best first.",
        examples=[3],
    )
    abstain_below: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The label is null where no class has at least this probability.",
        examples=[0.5],
    )
    conformal_level: float | None = Field(
        default=None,
        ge=0.5,
        le=0.995,
        description="For each row a set of classes that holds the true one with this probability, "
        "if the rows are like the training rows.",
        examples=[0.9],
    )
    ood: bool = Field(
        default=False,
        description="For each row how far it is from the training rows, and whether that is "
        "farther than for 95 % of rows like them.",
        examples=[True],
    )
    class_shares: ClassShares | None = Field(
        default=None,
        description="The share of each class among the rows, if you know it and it differs from "
        "that of the training rows: probabilities are corrected to it by Bayes' rule. All classes, "
        "each above 0, adding up to 1; in a query as JSON. Left out, those of the alias, if any.",
        examples=['{"cat":0.3,"dog":0.7}'],
    )


NO_OPTIONS: Final = PredictionOptions()
OPTIONS: Final = frozenset(PredictionOptions.model_fields)


class PredictionQuery(PredictionOptions):
    """The query of POST /predict: the options, and what a body without fields cannot state."""

    head: str | None = Field(
        default=None,
        max_length=MAX_REFERENCE_CHARACTERS,
        description="Which head, for a body that is not JSON.",
        examples=["pets@prod"],
    )
    shape: str | None = Field(
        default=None,
        max_length=40,
        description="Rows and columns of an application/octet-stream body; or send the header "
        "X-Shape.",
        examples=["2,768"],
    )
    dtype: Literal["float32", "float16"] = Field(
        default="float32",
        description="The type of the little-endian numbers in an application/octet-stream body.",
        examples=["float16"],
    )


QUERY_NAMES: Final = frozenset(PredictionQuery.model_fields)


@functools.lru_cache(maxsize=1024)
def read_query(query: bytes) -> PredictionQuery:
    """Read the query string; raises RequestValidationError or Problem, which name the parameter."""
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_FIELDS
        )
        return PredictionQuery.model_validate(dict(pairs))
    except ValidationError as error:
        entries = error.errors(include_url=False, include_input=False)
        for entry in entries:
            if entry["type"] == "extra_forbidden":
                raise unknown_parameter(str(entry["loc"][0]), QUERY_NAMES) from None
        raise RequestValidationError(
            [{**entry, "loc": ("query", *entry["loc"])} for entry in entries]
        ) from None
    except ValueError:
        raise RequestValidationError(
            [
                {
                    "type": "value_error",
                    "loc": ("query",),
                    "msg": f"The query cannot be read: it must be parameters such as head=pets, "
                    f"at most {_MAX_FIELDS}.",
                }
            ]
        ) from None


def merge_options(query: PredictionQuery, body: Mapping[str, Any]) -> PredictionOptions:
    """The options of both; those of the body win. Raises ValidationError if one is wrong."""
    if not body and not OPTIONS & query.model_fields_set:
        return NO_OPTIONS
    said = {name: getattr(query, name) for name in OPTIONS & query.model_fields_set}
    return PredictionOptions.model_validate(said | dict(body))
