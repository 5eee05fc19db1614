"""Tell full, read-only and forbidden disks apart by the errors of system and database."""

import errno
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from store.errors import (
    DatabaseFull,
    DatabaseReadOnly,
    QuotaExceeded,
    StorageForbidden,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
    TooManyOpenFiles,
)

_BY_ERRNO: Final[Mapping[int, type[StorageUnavailable]]] = {
    errno.ENOSPC: StorageFull,
    errno.EFBIG: StorageFull,
    errno.EDQUOT: QuotaExceeded,
    errno.EROFS: StorageReadOnly,
    errno.EACCES: StorageForbidden,
    errno.EPERM: StorageForbidden,
    errno.EMFILE: TooManyOpenFiles,
    errno.ENFILE: TooManyOpenFiles,
    errno.EIO: StorageUnavailable,
}
_HINTS: Final = {
    StorageFull: " Free some disk space.",
    QuotaExceeded: " Raise the quota or free some disk space.",
    StorageReadOnly: " Mount it writable.",
    StorageForbidden: " Let the server's user write there.",
    TooManyOpenFiles: " Raise the limit of open files (ulimit -n).",
}

_BY_SQLITE_CODE: Final[Mapping[int, type[DatabaseFull | DatabaseReadOnly]]] = {
    sqlite3.SQLITE_FULL: DatabaseFull,
    sqlite3.SQLITE_READONLY: DatabaseReadOnly,
}
_BY_SQLSTATE: Final[Mapping[str, type[DatabaseFull | DatabaseReadOnly]]] = {
    "53100": DatabaseFull,  # disk_full
    "25006": DatabaseReadOnly,  # read_only_sql_transaction
}


def is_disk_trouble(error: OSError) -> bool:
    """Whether the error is about the disk or open files, not about a bug or a network."""
    return error.errno in _BY_ERRNO


def of_os_error(error: OSError, what: str) -> StorageUnavailable:
    """The matching error; `what` begins its message, as in "The storage cannot write now"."""
    found = _BY_ERRNO.get(error.errno or 0, StorageUnavailable)
    return found(f"{what}: {error.strerror or error}.{_HINTS.get(found, '')}")


@contextmanager
def told_apart(what: str) -> Iterator[None]:
    """Raise disk trouble within the block as the matching StorageUnavailable."""
    try:
        yield
    except OSError as error:
        if not is_disk_trouble(error):
            raise
        raise of_os_error(error, what) from error


def of_database(cause: Any) -> type[DatabaseFull | DatabaseReadOnly] | None:
    """The disk trouble that the driver's error means, or None."""
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        primary = code & 0xFF
        return _BY_SQLITE_CODE.get(primary)
    return _BY_SQLSTATE.get(getattr(cause, "sqlstate", None) or "")
