"""The cache of an object storage on this machine's disk: bounded, checked, disposable."""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from store.bytes.checked_file import CheckedFile
from store.bytes.local import LocalArtifacts
from store.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    StorageForbidden,
    StorageFull,
    StorageReadOnly,
)
from store.trouble import of_os_error

log = logging.getLogger(__name__)

_IN_USE: Final = timedelta(minutes=10)  # the longest time from asking for a file to mapping it
_STALE_SECONDS: Final = 86_400.0


class ArtifactCache:
    """Whole artifacts as files below `root`; the least recently used go when `max_bytes` is full.

    The files are a `LocalArtifacts`: written under a temporary name and renamed, so that processes
    can share the folder, and checked at each use. A file's time is its last use. A mapping outlives
    the removal of its file. Files used within the last ten minutes stay, so `max_bytes` may be
    exceeded by their size.
    """

    def __init__(self, root: Path, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._files = LocalArtifacts(root)
        # No tenant can have this name. On the same file system, because its files are renamed.
        self._downloads = root / ".downloads"
        try:
            with _writable():
                self._downloads.mkdir(exist_ok=True, mode=0o700)
                self._remove_stale_downloads()
        except (StorageFull, StorageReadOnly, StorageForbidden) as error:
            log.warning("artifact_cache.not_writable reason=%s", error)

    def find(self, tenant_id: str, sha256: str) -> Path | None:
        """The checked file, now the most recently used; None if it is not in the cache."""
        try:
            path = self._files.open_path(tenant_id, sha256)
        except ArtifactMissing:
            return None
        except ArtifactCorrupt:
            self.discard(tenant_id, sha256)
            return None
        return path if self._note_use(path) else None

    def find_checked(
        self, tenant_id: str, sha256: str, *, start: int, stop: int | None
    ) -> CheckedFile | None:
        """The file as `Artifacts.open_checked` gives it; None if it is not in the cache."""
        try:
            file = self._files.open_checked(tenant_id, sha256, start=start, stop=stop)
        except ArtifactMissing:
            return None
        except ArtifactCorrupt:
            self.discard(tenant_id, sha256)
            return None
        self._note_use(file.path)
        return file

    @staticmethod
    def _note_use(path: Path) -> bool:
        """Make the file the most recently used; return whether it is still there."""
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        except OSError as error:  # a read-only folder still serves its files
            log.debug("artifact_cache.use_not_noted error=%s", error)
        return True

    def add(self, tenant_id: str, sha256: str, chunks: Iterable[bytes]) -> Path | None:
        """Keep these bytes; return None and keep nothing if they do not have that hash.

        Raises StorageUnavailable if the disk is full, and anything that `chunks` raises.
        """
        with _writable(), self._download() as path:
            digest = hashlib.sha256()
            with path.open("wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != sha256:
                return None
            self._make_room(path.stat().st_size)
            self._files.put_file(tenant_id, path)
        return self._files.open_path(tenant_id, sha256)

    def discard(self, tenant_id: str, sha256: str) -> None:
        """Remove the bytes from the cache."""
        self._files.delete(tenant_id, sha256)

    def _make_room(self, n_bytes: int) -> None:
        """Remove the least recently used files until so many bytes fit, or all are in use."""
        kept = sorted(self._files.stored(), key=lambda item: item.put_at)
        too_many = sum(item.size_bytes for item in kept) + n_bytes - self._max_bytes
        unused = datetime.now(UTC) - _IN_USE
        for item in kept:
            if too_many <= 0:
                return
            if self._files.delete(item.tenant_id, item.sha256, unless_put_after=unused):
                too_many -= item.size_bytes

    @contextmanager
    def _download(self) -> Iterator[Path]:
        """A private file to download into, gone at the end."""
        descriptor, name = tempfile.mkstemp(dir=self._downloads)
        os.close(descriptor)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _remove_stale_downloads(self) -> None:
        """Remove what killed processes left behind."""
        self._files.remove_leftovers(older_than_seconds=_STALE_SECONDS)
        for path in self._downloads.iterdir():
            try:
                if time.time() - path.stat().st_mtime >= _STALE_SECONDS:
                    path.unlink()
            except FileNotFoundError:
                continue


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.error("artifact_cache.unavailable error=%s", error)
        what = "The artifact cache cannot write to this machine's disk now"
        raise of_os_error(error, what) from error
