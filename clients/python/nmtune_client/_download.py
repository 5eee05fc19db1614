"""Home of a download: a file that is there whole or not at all."""

import hashlib
import os
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nmtune_client._errors import APIConnectionError


class Sink:
    """Where the bytes of one try go."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Append bytes as they come."""
        self._digest.update(chunk)
        self._file.write(chunk)

    def finish(self, headers: Mapping[str, str]) -> None:
        """All have come; APIConnectionError if they do not have the answer's Repr-Digest."""
        self._file.flush()
        os.fsync(self._file.fileno())
        promised = headers.get("repr-digest", "")
        if promised and promised != f"sha-256=:{b64encode(self._digest.digest()).decode()}:":
            raise APIConnectionError("the bytes of the download came damaged")


@contextmanager
def downloading(path: Path) -> Iterator[Path]:
    """The name to write to beside `path`, which it becomes unless the block ends by an error."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
