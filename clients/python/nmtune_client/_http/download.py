"""Write a download to a file that is there whole or not at all."""

import hashlib
import os
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nmtune_client._http.errors import APIConnectionError


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
            raise APIConnectionError(
                "the download was damaged on its way: its sha256 is not the one the server sent"
            )


def check_place(path: Path) -> None:
    """OSError, one sentence, unless a file can be written at `path`."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} into")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"you may not write {path.name} into the folder {path.parent}")


@contextmanager
def downloading(path: Path) -> Iterator[Path]:
    """The name to write to beside `path`, which it becomes unless the block ends by an error."""
    check_place(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
