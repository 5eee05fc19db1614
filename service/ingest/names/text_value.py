"""Home of what the text of a row may be."""

from typing import Final

from service.ingest.errors import BadInput
from service.ingest.names.value_name import place

MAX_TEXT_CHARACTERS: Final = 100_000


def check_text(text: object, *, field: str, row: int) -> str:
    """Return `text`, a string with something in it; raises BadInput, which never repeats it."""
    if not isinstance(text, str):
        wrong = "is missing" if text is None else "is no string"
    elif not text.strip():
        wrong = "is empty: leave the row out"
    elif len(text) > MAX_TEXT_CHARACTERS:
        wrong = f"has {len(text):,} characters; the limit is {MAX_TEXT_CHARACTERS:,}"
    else:
        return text
    raise BadInput("invalid_texts", f"{place('text', field, row)} {wrong}.", field=field, row=row)
