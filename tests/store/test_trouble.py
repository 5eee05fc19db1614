"""What a database or a disk says of being full, read-only or forbidden is told apart."""

import errno
import os
from pathlib import Path

import pytest
from sqlalchemy import text

from store.bytes.local import LocalArtifacts
from store.database.connection import Database
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
from store.store import Store
from store.trouble import is_disk_trouble, of_os_error, told_apart
from tests.store.made_rows import Rows


def test_a_database_that_takes_no_writes_says_so(store: Store, rows: Rows) -> None:
    rows.dataset()
    is_sqlite = store.database.url.get_backend_name() == "sqlite"
    read_only = "PRAGMA query_only = ON" if is_sqlite else "SET TRANSACTION READ ONLY"
    with pytest.raises(DatabaseReadOnly, match="read-only"):
        write_after(store, read_only)
    if not is_sqlite:  # there it holds for the connection, and for its next transaction too
        rows.dataset()


def write_after(store: Store, statement: str) -> None:
    with store.database.begin() as tx:
        tx.execute(text(statement))
        tx.execute(text("DELETE FROM datasets"))


def test_a_full_sqlite_says_so_and_works_again(folder: Path) -> None:
    database = Database.open(f"sqlite:///{folder}/full.db")
    with database.begin() as tx:
        tx.execute(text("CREATE TABLE t (x TEXT)"))
        tx.execute(text("PRAGMA max_page_count = 10"))
    with pytest.raises(DatabaseFull, match="disk space"):
        insert(database, 100)
    with database.begin() as tx:
        tx.execute(text("PRAGMA max_page_count = 1000"))
    insert(database, 100)
    database.close()


def insert(database: Database, n_rows: int) -> None:
    with database.begin() as tx:
        for _ in range(n_rows):
            tx.execute(text("INSERT INTO t VALUES (:x)"), {"x": "x" * 1000})


@pytest.mark.parametrize(
    ("code", "found", "hint"),
    [
        (errno.ENOSPC, StorageFull, "Free some disk space"),
        (errno.EFBIG, StorageFull, "Free some disk space"),
        (errno.EDQUOT, QuotaExceeded, "quota"),
        (errno.EROFS, StorageReadOnly, "writable"),
        (errno.EACCES, StorageForbidden, "write there"),
        (errno.EPERM, StorageForbidden, "write there"),
        (errno.EMFILE, TooManyOpenFiles, "ulimit"),
        (errno.ENFILE, TooManyOpenFiles, "ulimit"),
        (errno.EIO, StorageUnavailable, "Input/output error"),
    ],
)
def test_each_trouble_of_a_disk_has_a_class_and_a_remedy(
    code: int, found: type[StorageUnavailable], hint: str
) -> None:
    error = of_os_error(OSError(code, os.strerror(code)), "It cannot be written")
    assert type(error) is found
    assert hint in str(error)
    with pytest.raises(found), told_apart("It cannot be written"):
        raise OSError(code, os.strerror(code))


def test_other_errors_are_no_trouble_of_the_disk() -> None:
    error = OSError(errno.ECONNREFUSED, "Connection refused")
    assert not is_disk_trouble(error)
    with pytest.raises(OSError, match="refused"), told_apart("It cannot be written"):
        raise error


def test_a_folder_that_cannot_be_prepared_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = LocalArtifacts(folder / "a").put_bytes("default", b"head")

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", read_only)
    artifacts = LocalArtifacts(folder / "a")
    assert artifacts.get_bytes("default", ref.sha256) == b"head"
    with pytest.raises(StorageUnavailable):
        LocalArtifacts(folder / "a" / "default" / ref.sha256[:2] / ref.sha256 / "below a file")
