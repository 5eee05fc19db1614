"""Read a page's query as the API's route would."""

from collections.abc import Mapping
from typing import TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def read_query(model: type[Model], values: Mapping[str, object]) -> Model:
    """The values as the model of a route's query; what a form left empty counts as not sent.

    Raises RequestValidationError, which names the field.
    """
    given = {name: value for name, value in values.items() if value not in ("", None)}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        entries = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**entry, "loc": ("query", *entry["loc"])} for entry in entries]
        ) from None
