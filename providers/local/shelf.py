"""The encoders in the operator's directory: each folder in it is one, named as the folder."""

import functools
import re
from pathlib import Path
from typing import Final

from providers.local import files

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Shelf:
    """The operator's directory. It is only read, and looked at anew each time."""

    def __init__(self, directory: Path | None) -> None:
        """None: there is none, and so no encoder."""
        self._directory = directory

    def names(self) -> list[str]:
        """The names of the folders that may be encoders, sorted."""
        if self._directory is None or not self._directory.is_dir():
            return []
        return sorted(
            one.name
            for one in self._directory.iterdir()
            if _NAME.fullmatch(one.name) and one.is_dir()
        )

    def find(self, name: str) -> Path | None:
        """The folder of that name, if there is one."""
        if self._directory is None or not _NAME.fullmatch(name):
            return None
        folder = self._directory / name
        return folder if folder.is_dir() else None

    def sha256(self, name: str) -> str | None:
        """The sha256 of the encoder's files; None without one of that name.

        Computed again if a file changed. Raises InvalidEncoder.
        """
        folder = self.find(name)
        if folder is None:
            return None
        parts = files.find(folder)
        state = tuple((part.path.stat().st_mtime_ns, part.size_bytes) for part in parts.values())
        return _sha256(folder, tuple(parts), state)


@functools.lru_cache(maxsize=64)
def _sha256(folder: Path, names: tuple[str, ...], state: object) -> str:  # noqa: ARG001
    return files.sha256(files.find(folder))
