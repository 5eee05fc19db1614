"""Limits of a dataset: what one process can hold, read and show without harm."""

from typing import Final

MAX_ROWS: Final = 5_000_000
"""Rows of all splits together: label codes and row hashes take 16 bytes of memory per row."""

MAX_COLUMNS: Final = 16_384
"""Embedding width; the widest encoders in use give 8,192."""

MAX_CLASSES: Final = 10_000
MAX_NAMES: Final = 1000
"""Distinct values of a split or domain column."""

MAX_TEXTS: Final = 1_000_000
MAX_TEXT_BYTES: Final = 64 << 20
"""All texts of a file together: as many as fit in a JSON body. They are held in memory."""

MAX_LABEL_CHARACTERS: Final = 200

MAX_ARRAY_BYTES: Final = 4 << 30
"""All arrays of a file together, uncompressed."""

MAX_LABEL_BYTES: Final = 256 << 20
"""All label arrays of a file, uncompressed; sorted ones compress too well to check a ratio."""

MAX_MEMBERS: Final = 64
MAX_DIRECTORY_BYTES: Final = 1 << 20
"""The largest directory of a zip file; an honest one of 64 members takes less than 10 kB."""

LARGE_BYTES: Final = 64 << 20
MAX_RATIO: Final = 100
"""Embeddings beyond LARGE_BYTES that are compressed more than this are a zip bomb; real ones shrink
1.1 to 4 times, one-hot rows about 50 times."""

BLOCK_BYTES: Final = 4 << 20
"""How much of a matrix is in memory at a time while it is streamed."""

MAX_PLACES: Final = 5
"""How many bad numbers an error names; it counts all in their block."""
