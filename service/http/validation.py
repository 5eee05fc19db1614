"""Say in plain words what is wrong with a value that does not fit its schema."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from store.names import NAME_PATTERN

_MAX_FIELD_CHARACTERS: Final = 80
_MAX_MESSAGE_CHARACTERS: Final = 300

ID_PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}$"
KEY_PATTERN: Final = r"^[\x21-\x7e]+$"
EVENT_ID_PATTERN: Final = r"^evt_[0-9]{6,9}$"
SHA256_PATTERN: Final = r"^[0-9a-f]{64}$"
ROWS_PATTERN: Final = r"^ *\d{1,18}( *, *\d{1,18})* *$"
NO_NUL_PATTERN: Final = r"^[^\x00]*$"
"""PostgreSQL cannot store a NUL character."""

_PATTERN_MESSAGES: Final[Mapping[str, str]] = {
    NAME_PATTERN: "must be 1 to 64 letters, digits, '.', '_' or '-', and begin with a letter or "
    "digit.",
    ID_PATTERN: "must be an id exactly as the service gave it.",
    KEY_PATTERN: "must be 1 to 255 visible ASCII characters without spaces.",
    EVENT_ID_PATTERN: "must be the id of an event, such as evt_000012.",
    SHA256_PATTERN: "must be a sha256: 64 digits and letters a to f, in lower case.",
    ROWS_PATTERN: "must be row numbers from 0, separated by commas, such as 422,17.",
    NO_NUL_PATTERN: "must not hold a NUL character.",
}
"""What each pattern in the schemas means, in words."""

_MESSAGES: Final[Mapping[str, str]] = {
    "missing": "is required.",
    "extra_forbidden": "is not a known field: remove it or correct its name.",
    "model_attributes_type": "must be a JSON object.",
    "model_type": "must be a JSON object.",
    "dict_type": "must be a JSON object.",
    "list_type": "must be a JSON array.",
    "string_type": "must be a string.",
    "int_type": "must be an integer.",
    "int_parsing": "must be an integer.",
    "int_from_float": "must be an integer.",
    "int_parsing_size": "is an integer that is too large.",
    "float_type": "must be a number.",
    "float_parsing": "must be a number.",
    "finite_number": "must be a finite number.",
    "bool_type": "must be true or false.",
    "string_unicode": "must be valid Unicode.",
}
"""Our words for the most frequent kinds of error; the others keep pydantic's."""


_SUBJECT = re.compile(r"^(Input|String|List|Dictionary|Value|Data) should ")


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """One wrong thing in a request: where it is (0-based row and column) and what to do."""

    field: str
    message: str
    row: int | None = None
    column: int | None = None


def field_errors(errors: Sequence[Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """pydantic's errors in our words, without the input, which may be huge or secret."""
    return tuple(_field_error(error) for error in errors)


def sentence(error: FieldError) -> str:
    """The error as a sentence that can stand alone."""
    return error.message if error.message[:1].isupper() else f"{error.field} {error.message}"


def printable(name: str) -> str:
    """`name`, which a user may have made up, shortened and without control characters."""
    text = name if len(name) <= _MAX_FIELD_CHARACTERS else name[:_MAX_FIELD_CHARACTERS] + "..."
    return "".join(c if c.isprintable() else "?" for c in text)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    place = error["loc"][1:] if error["loc"][:1] == ("body",) else error["loc"]
    if place[:1] in [("query",), ("path",), ("header",)]:
        place = place[1:]
    message = _message(error)
    if len(place) > 2 and place[-1] == "[key]":  # pydantic's mark for what is wrong with a name
        *_, parent, name, _ = place
        place = place[:-1]
        message = f"The {str(parent).removesuffix('s')} '{printable(str(name))}' {message}"
    names = [part for part in place if isinstance(part, str)]
    numbers = [part for part in place if isinstance(part, int)]
    row, column = ([*numbers[:2], None, None])[:2]
    return FieldError(
        field=printable(".".join(names)) or "body",
        message=message[:_MAX_MESSAGE_CHARACTERS],
        row=row,
        column=column,
    )


def _message(error: Mapping[str, Any]) -> str:
    kind = str(error["type"])
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    usual = _SUBJECT.sub("must ", str(error["msg"]))
    if kind == "string_pattern_mismatch":
        return _PATTERN_MESSAGES.get(error["ctx"]["pattern"], usual)
    return _MESSAGES.get(kind, usual)
