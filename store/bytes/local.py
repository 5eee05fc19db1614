"""Bytes on one machine's file system; the port is in `store.bytes.port`."""

import errno
import fcntl
import hashlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, Final

from store import failpoints
from store.bytes.checked_file import CheckedFile, KnownStates
from store.bytes.faults import corrupt, missing
from store.bytes.port import ArtifactRef, StoredArtifact
from store.errors import StorageUnavailable
from store.names import check_name, is_name
from store.trouble import of_os_error

log = logging.getLogger(__name__)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES: Final = 1 << 20


class LocalArtifacts:
    """Bytes as read-only files `root/<tenant>/<aa>/<sha256>` on one machine's file system.

    A file is written to `root/.tmp`, synced, renamed, and its folder synced: after a crash at any
    point it is there whole or not at all.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        # No tenant can have these names: the naming rule forbids a leading dot.
        self._temporary = root / ".tmp"
        self._lock_file = root / ".lock"
        try:
            with _available("prepare"):
                self._prepare()
        except StorageUnavailable as error:
            # Stored bytes can still be read, which is enough for predictions; each write will fail.
            if type(error) is StorageUnavailable or not _is_readable(root):
                raise
            log.warning("artifact.not_writable reason=%s", error)
        self._known = KnownStates()

    def _prepare(self) -> None:
        self._temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_file.touch(mode=0o600)
        _sync_folder(self._root.parent)

    def put_bytes(self, tenant_id: str, data: bytes) -> ArtifactRef:
        """Store bytes; see `Artifacts.put_bytes`."""
        sha256 = hashlib.sha256(data).hexdigest()
        target = self._path(tenant_id, sha256)
        with _available("write"):
            if not self._renew(target, sha256):
                with self._temporary_file() as (path, file):
                    file.write(data)
                    _place(path, file, target)
        return ArtifactRef(sha256=sha256, size_bytes=len(data))

    def put_file(self, tenant_id: str, path: Path) -> ArtifactRef:
        """Store a file: moved within the file system, copied into it from another."""
        with path.open("rb") as source, _available("write"):
            sha256 = hashlib.file_digest(source, "sha256").hexdigest()
            size_bytes = source.tell()
            target = self._path(tenant_id, sha256)
            if not self._renew(target, sha256) and not _adopt(path, source, target):
                with self._temporary_file() as (copy, file):
                    if _copy(source, file) != sha256:
                        raise OSError(errno.EIO, "the file changed while it was stored")
                    _place(copy, file, target)
            path.unlink(missing_ok=True)
        return ArtifactRef(sha256=sha256, size_bytes=size_bytes)

    def get_bytes(self, tenant_id: str, sha256: str) -> bytes:
        """The bytes; see `Artifacts.get_bytes`."""
        path = self._path(tenant_id, sha256)
        with _available("read"):
            try:
                data = path.read_bytes()
            except FileNotFoundError as error:
                raise missing(sha256) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise corrupt(path, sha256)
        return data

    def open_path(self, tenant_id: str, sha256: str) -> Path:
        """The file; see `Artifacts.open_path`. A mapping outlives the deletion of its file."""
        path = self._path(tenant_id, sha256)
        with _available("read"):
            try:
                if not _is_sound(path, sha256):
                    raise corrupt(path, sha256)
            except FileNotFoundError as error:
                raise missing(sha256) from error
        return path

    def open_checked(
        self, tenant_id: str, sha256: str, *, start: int = 0, stop: int | None = None
    ) -> CheckedFile:
        """The file; see `Artifacts.open_checked`."""
        path = self._path(tenant_id, sha256)
        with _available("read"):
            try:
                file = CheckedFile(path, sha256, self._known)
            except FileNotFoundError as error:
                raise missing(sha256) from error
            try:
                file.check(start, file.size_bytes if stop is None else stop)
            except BaseException:
                file.close()
                raise
        return file

    def copy_to(self, tenant_id: str, sha256: str, path: Path) -> None:
        """Copy the file; see `Artifacts.copy_to`."""
        source_path = self._path(tenant_id, sha256)
        try:
            source = source_path.open("rb")
        except FileNotFoundError as error:
            raise missing(sha256) from error
        with source, path.open("xb") as copy:
            is_sound = _copy(source, copy) == sha256
        if not is_sound:
            path.unlink()
            raise corrupt(source_path, sha256)

    def exists(self, tenant_id: str, sha256: str) -> bool:
        """Whether the file is there."""
        return self._path(tenant_id, sha256).is_file()

    def delete(
        self, tenant_id: str, sha256: str, *, unless_put_after: datetime | None = None
    ) -> bool:
        """Remove the file; see `Artifacts.delete`."""
        path = self._path(tenant_id, sha256)
        with _available("write"), self._locked(fcntl.LOCK_EX):
            try:
                if unless_put_after is not None and _put_at(path.stat()) > unless_put_after:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def stored(self, tenant_id: str | None = None) -> Iterator[StoredArtifact]:
        """All files of a tenant, or by tenant, except those removed meanwhile."""
        if tenant_id is None:
            paths = self._root.glob("*/??/*")
        else:
            paths = (self._root / check_name("tenant", tenant_id)).glob("??/*")
        for path in paths:
            owner, sha256 = path.parts[-3], path.name
            if not is_name(owner) or _SHA256.fullmatch(sha256) is None:
                continue
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            yield StoredArtifact(
                tenant_id=owner, sha256=sha256, size_bytes=stat.st_size, put_at=_put_at(stat)
            )

    def remove_leftovers(self, *, older_than_seconds: float) -> int:
        """Remove old temporary files; see `Artifacts.remove_leftovers`."""
        n_removed = 0
        with _available("write"):
            for path in self._temporary.iterdir():
                try:
                    if time.time() - path.stat().st_mtime >= older_than_seconds:
                        path.unlink()
                        n_removed += 1
                except FileNotFoundError:
                    continue
        return n_removed

    def check(self) -> None:
        """Write, sync and remove a few bytes; see `Artifacts.check`."""
        try:
            with _available("write"), self._temporary_file() as (_, file):
                file.write(b"nmtune")
                file.flush()
                os.fsync(file.fileno())
        except StorageUnavailable as error:
            if not _is_readable(self._root):  # then writing is not the only problem
                raise StorageUnavailable(str(error)) from error
            raise

    def _path(self, tenant_id: str, sha256: str) -> Path:
        check_name("tenant", tenant_id)
        if _SHA256.fullmatch(sha256) is None:
            raise ValueError("a sha256 is 64 lower-case hexadecimal digits")
        return self._root / tenant_id / sha256[:2] / sha256

    def _renew(self, target: Path, sha256: str) -> bool:
        """Make existing bytes young, so that no collection takes them before a row names them.

        Returns False if they are missing or damaged; the caller then writes them.
        """
        try:
            with self._locked(fcntl.LOCK_SH):
                os.utime(target)
            return _is_sound(target, sha256)
        except FileNotFoundError:
            return False

    @contextmanager
    def _temporary_file(self) -> Iterator[tuple[Path, BinaryIO]]:
        descriptor, name = tempfile.mkstemp(dir=self._temporary)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield Path(name), file
        finally:
            Path(name).unlink(missing_ok=True)

    @contextmanager
    def _locked(self, mode: int) -> Iterator[None]:
        # A collection's "old, so remove it" must not interleave with a put's "exists, so renew it".
        with self._lock_file.open("rb") as file:
            fcntl.flock(file, mode)
            yield


def _is_readable(root: Path) -> bool:
    return root.is_dir() and os.access(root, os.R_OK | os.X_OK)


def _is_sound(path: Path, sha256: str) -> bool:
    """Whether the file's bytes have its hash; size and times prove nothing."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _adopt(path: Path, source: BinaryIO, target: Path) -> bool:
    """Move the file into place; False if another file system, link or owner requires a copy."""
    stat = path.lstat()
    if not S_ISREG(stat.st_mode) or stat.st_nlink > 1:
        return False  # it could still be written under another name
    try:
        _place(path, source, target)
    except OSError as error:
        if error.errno in {errno.EXDEV, errno.EPERM}:
            return False
        raise
    return True


def _copy(source: BinaryIO, file: BinaryIO) -> str:
    """Copy all of `source`; return the sha256 of the bytes written."""
    digest = hashlib.sha256()
    source.seek(0)
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
        file.write(chunk)
    return digest.hexdigest()


def _place(path: Path, file: BinaryIO, target: Path) -> None:
    """Sync the file, give it its final name, and sync the folders that name it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    file.flush()
    os.fchmod(file.fileno(), 0o400)
    os.utime(file.fileno())  # young when it gets its name, however long ago it was written
    failpoints.reach("artifact.written")
    os.fsync(file.fileno())
    path.replace(target)
    failpoints.reach("artifact.placed")
    for folder in target.parents[:3]:
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_at(stat: os.stat_result) -> datetime:
    return datetime.fromtimestamp(stat.st_mtime, UTC)


@contextmanager
def _available(action: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.error("artifact.unavailable action=%s error=%s", action, error)
        raise of_os_error(error, f"The artifact storage cannot {action} now") from error
