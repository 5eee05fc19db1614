"""The files by which the decoding process hands rows to the service: one folder, these names."""

from typing import Final

RESULT: Final = "decoded.json"


ROWS: Final = "rows"


TEXTS: Final = "texts"
"""One JSON string per line."""


ID_ENDS: Final = "id-ends"
