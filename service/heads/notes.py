"""What people note about a head version: a description and tags."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from service.http.validation import NO_NUL_PATTERN
from store.names import NAME_PATTERN

MAX_DESCRIPTION_CHARACTERS: Final = 2000
MAX_TAGS: Final = 20
MAX_TAG_CHARACTERS: Final = 200

Description = Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARACTERS, pattern=NO_NUL_PATTERN)]
TagName = Annotated[str, Field(pattern=NAME_PATTERN)]
TagValue = Annotated[str, Field(max_length=MAX_TAG_CHARACTERS, pattern=NO_NUL_PATTERN)]
Tags = Annotated[dict[TagName, TagValue], Field(max_length=MAX_TAGS)]


class HeadVersionPatch(BaseModel):
    """What to note about a version; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"description": "with the labels of May", "tags": {"ticket": "ML-12"}}]
        },
    )

    description: Description | None = Field(default=None, description="null removes it.")
    tags: Tags = Field(
        default_factory=dict, description="All tags of the version; its other tags are removed."
    )
