"""The fields that several routes share: names, aliases, references, pages."""

from typing import Annotated

from pydantic import AfterValidator, Field

from store.errors import InvalidName
from store.names import NAME_PATTERN, check_alias


def _alias(value: str) -> str:
    try:
        return check_alias(value)
    except InvalidName as error:
        raise ValueError(str(error)) from error


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that users choose: of a dataset, a head or a job."""


Alias = Annotated[Name, AfterValidator(_alias)]
"""A movable name of a head version; numbers and `latest` are taken."""


Cursor = Annotated[
    str | None,
    Field(
        max_length=200,
        description="next_cursor of the previous page; leave it out for the first page.",
        examples=["2Zk0bXJpMTc2Mzk1NTcwNi4uLg"],
    ),
]


Limit = Annotated[int, Field(ge=1, le=200, description="How many to list, at most.", examples=[20])]


MAX_VERSION = 2**31 - 1


MAX_REFERENCE_CHARACTERS = 129
"""Two names of 64 characters and the @ between them."""


REFERENCE = "name (the latest version), name@version, name@alias or name@latest."


Share = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""The share of a class, a number and no text; its bounds are checked where the class is known."""
