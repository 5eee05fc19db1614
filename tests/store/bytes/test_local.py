"""What is particular to a folder: whole files or none, whatever a disk does in between.

What every artifacts store must do is in `test_artifacts.py`.
"""

import errno
import hashlib
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store.bytes import local
from store.bytes.local import LocalArtifacts
from store.bytes.port import ArtifactRef
from store.errors import StorageUnavailable

DATA = b"head" * 1000
SHA = hashlib.sha256(DATA).hexdigest()
REF = ArtifactRef(sha256=SHA, size_bytes=len(DATA))


@pytest.fixture
def root(folder: Path) -> Path:
    return folder / "artifacts"


@pytest.fixture
def artifacts(root: Path) -> LocalArtifacts:
    return LocalArtifacts(root)


def place(root: Path, tenant_id: str = "default") -> Path:
    return root / tenant_id / SHA[:2] / SHA


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)


def test_bytes_come_back_from_where_their_hash_says(artifacts: LocalArtifacts, root: Path) -> None:
    assert artifacts.put_bytes("default", DATA) == REF
    assert artifacts.get_bytes("default", SHA) == DATA
    assert artifacts.open_path("default", SHA) == place(root)
    assert artifacts.exists("default", SHA)
    assert files(root) == [place(root)]
    assert stat.S_IMODE(place(root).stat().st_mode) == 0o400, "immutable, and nobody else's"


def test_a_file_is_moved_into_place(artifacts: LocalArtifacts, root: Path, folder: Path) -> None:
    source = folder / "upload"
    source.write_bytes(DATA)
    inode = source.stat().st_ino
    assert artifacts.put_file("default", source) == REF
    assert not source.exists()
    assert place(root).stat().st_ino == inode, "moved, not copied"
    assert artifacts.get_bytes("default", SHA) == DATA


def test_a_file_of_another_file_system_is_copied(
    artifacts: LocalArtifacts, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder / "upload"
    source.write_bytes(DATA)
    rename = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if path == source:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    assert artifacts.put_file("default", source) == REF
    assert not source.exists()
    assert artifacts.get_bytes("default", SHA) == DATA
    assert files(root) == [place(root)]


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_file_with_another_name_is_copied_for_that_name_could_change_it(
    artifacts: LocalArtifacts, folder: Path, link: Callable[[Path, Path], None]
) -> None:
    original, source = folder / "original", folder / "upload"
    original.write_bytes(DATA)
    link(original, source)
    artifacts.put_file("default", source)
    original.write_bytes(b"something else")
    assert artifacts.get_bytes("default", SHA) == DATA
    assert not source.is_symlink()


def test_a_file_that_changes_while_it_is_copied_is_not_stored(
    artifacts: LocalArtifacts, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder / "upload"
    source.write_bytes(DATA)

    def adopt(path: Path, *_: object) -> bool:
        path.write_bytes(b"other")
        return False

    monkeypatch.setattr(local, "_adopt", adopt)
    with pytest.raises(StorageUnavailable, match="changed while"):
        artifacts.put_file("default", source)
    assert files(root) == []


def test_putting_again_makes_the_bytes_young_and_consumes_the_file(
    artifacts: LocalArtifacts, root: Path, folder: Path
) -> None:
    source = folder / "upload"
    puts: list[Callable[[], ArtifactRef]] = [
        lambda: artifacts.put_bytes("default", DATA),
        lambda: artifacts.put_file("default", source),
    ]
    for put in puts:
        source.write_bytes(DATA)
        put()
        os.utime(place(root), (0, 0))
        source.write_bytes(DATA)
        inode = place(root).stat().st_ino
        assert put() == REF
        assert place(root).stat().st_mtime > time.time() - 60
        assert place(root).stat().st_ino == inode, "nothing was written again"
    assert not source.exists()


def test_an_old_file_is_young_once_it_is_stored(
    artifacts: LocalArtifacts, root: Path, folder: Path
) -> None:
    source = folder / "upload"
    source.write_bytes(DATA)
    os.utime(source, (0, 0))
    artifacts.put_file("default", source)
    assert place(root).stat().st_mtime > time.time() - 60


def test_only_old_leftovers_are_removed(artifacts: LocalArtifacts, root: Path) -> None:
    for name, age in (("old", 90_000), ("young", 10)):
        path = root / ".tmp" / name
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    assert artifacts.remove_leftovers(older_than_seconds=86_400) == 1
    assert [path.name for path in (root / ".tmp").iterdir()] == ["young"]


# Every call to the operating system that a put makes.
SYSTEM_CALLS: dict[str, tuple[object, str]] = {
    "mkdir": (Path, "mkdir"),
    "mkstemp": (tempfile, "mkstemp"),
    "fdopen": (os, "fdopen"),
    "fchmod": (os, "fchmod"),
    "utime": (os, "utime"),
    "fsync": (os, "fsync"),
    "rename": (Path, "replace"),
    "open folder": (os, "open"),
}


class Failing:
    """Makes the nth call of a function fail, as a full or broken disk would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, *, nth: int, code: int) -> None:
        owner, name = SYSTEM_CALLS[call]
        self._true_call = getattr(owner, name)
        self._nth, self._code = nth, code
        self.n_calls = 0
        # A plain function, for a method patched into a class must be given its `self`.
        monkeypatch.setattr(owner, name, lambda *args, **options: self(*args, **options))

    def __call__(self, *args: object, **options: object) -> object:
        self.n_calls += 1
        if self.n_calls == self._nth:
            raise OSError(self._code, os.strerror(self._code))
        return self._true_call(*args, **options)

    @property
    def has_failed(self) -> bool:
        return self.n_calls >= self._nth


@pytest.mark.parametrize("way", ["bytes", "file"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", SYSTEM_CALLS)
def test_a_put_that_fails_anywhere_leaves_whole_bytes_or_none_and_can_be_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, way: str
) -> None:
    for nth in range(1, 6):
        root, source = folder / f"artifacts{nth}", folder / f"upload{nth}"
        artifacts = LocalArtifacts(root)
        source.write_bytes(DATA)

        def put(artifacts: LocalArtifacts = artifacts, source: Path = source) -> ArtifactRef:
            if way == "bytes":
                return artifacts.put_bytes("default", DATA)
            return artifacts.put_file("default", source)

        said = None
        with monkeypatch.context() as patch:
            failing = Failing(patch, call, nth=nth, code=code)
            try:
                put()
            except StorageUnavailable as error:
                said = str(error)
        assert (said is not None) == failing.has_failed, "a failure was passed over in silence"
        if said is not None:
            assert os.strerror(code) in said
            assert str(folder) not in said, "paths are for the log"
            assert ("disk space" in said) == (code == errno.ENOSPC)
        for path in files(root):
            assert path == place(root), "a temporary file was left"
            assert path.read_bytes() == DATA
        source.write_bytes(DATA) if not source.exists() else None
        assert put() == REF
        assert artifacts.get_bytes("default", SHA) == DATA
        assert files(root) == [place(root)]


def test_the_bytes_are_synced_before_their_name_and_their_folders_after(
    artifacts: LocalArtifacts, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(path: Path, target: Path) -> Path:
        order.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    artifacts.put_bytes("default", DATA)
    assert order == ["file", "rename", "folder", "folder", "folder"]


def test_a_storage_that_cannot_be_written_says_so(
    artifacts: LocalArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing(monkeypatch, "fsync", nth=1, code=errno.ENOSPC)
    with pytest.raises(StorageUnavailable, match="Free some disk space"):
        artifacts.check()


def test_bytes_put_just_before_a_collection_removes_them_are_there(
    artifacts: LocalArtifacts, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts.put_bytes("default", DATA)
    os.utime(place(root), (0, 0))
    put = threading.Thread(target=artifacts.put_bytes, args=("default", DATA))
    unlink = Path.unlink

    def put_and_unlink(path: Path, *args: bool, **options: bool) -> None:
        if path == place(root):
            put.start()  # the collection has found the bytes old, and now they are put again
            put.join(0.2)
        unlink(path, *args, **options)

    monkeypatch.setattr(Path, "unlink", put_and_unlink)
    old = datetime.now(UTC) - timedelta(seconds=60)
    assert artifacts.delete("default", SHA, unless_put_after=old)
    put.join()
    assert artifacts.get_bytes("default", SHA) == DATA
