"""What every artifacts store must do: the same tests on a folder and on a bucket."""

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest

from store.bytes.local import LocalArtifacts
from store.bytes.port import ArtifactRef, Artifacts
from store.errors import ArtifactCorrupt, ArtifactMissing, InvalidName

DATA = b"head" * 1000
SHA = hashlib.sha256(DATA).hexdigest()
REF = ArtifactRef(sha256=SHA, size_bytes=len(DATA))


class Place(Protocol):
    """A storage that also can be looked at and damaged past our code."""

    def open(self) -> Artifacts:
        """Open it, as one more process would."""

    def names(self) -> list[str]:
        """Everything that is stored."""

    def write(self, name: str, data: bytes) -> None:
        """Store something that is not ours."""

    def overwrite(self, tenant_id: str, sha256: str, data: bytes) -> None:
        """Damage what is stored."""


class Folder:
    """The place of LocalArtifacts."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self) -> Artifacts:
        return LocalArtifacts(self._root)

    def names(self) -> list[str]:
        files = (path for path in self._root.rglob("*") if path.is_file() and path.name != ".lock")
        return sorted(str(path.relative_to(self._root)) for path in files)

    def write(self, name: str, data: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def overwrite(self, tenant_id: str, sha256: str, data: bytes) -> None:
        path = self._root / tenant_id / sha256[:2] / sha256
        path.chmod(0o600)
        path.write_bytes(data)


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, folder: Path) -> Place:
    if request.param == "folder":
        return Folder(folder / "artifacts")
    bucket: Place = request.getfixturevalue("s3")
    return bucket


@pytest.fixture
def artifacts(place: Place) -> Artifacts:
    return place.open()


def test_it_can_be_written(artifacts: Artifacts, place: Place) -> None:
    artifacts.check()
    artifacts.check()
    assert place.names() == []
    assert list(artifacts.stored()) == []


def test_bytes_come_back_whoever_asks(artifacts: Artifacts, place: Place) -> None:
    assert artifacts.put_bytes("default", DATA) == REF
    for reader in (artifacts, place.open()):
        assert reader.get_bytes("default", SHA) == DATA
        assert reader.open_path("default", SHA).read_bytes() == DATA
        assert reader.exists("default", SHA)
    assert len(place.names()) == 1


def test_empty_bytes_are_bytes(artifacts: Artifacts) -> None:
    ref = artifacts.put_bytes("default", b"")
    assert ref.size_bytes == 0
    assert artifacts.get_bytes("default", ref.sha256) == b""
    assert artifacts.open_path("default", ref.sha256).read_bytes() == b""


def test_a_file_is_stored_and_consumed(artifacts: Artifacts, place: Place, folder: Path) -> None:
    source = folder / "upload"
    source.write_bytes(DATA)
    assert artifacts.put_file("default", source) == REF
    assert not source.exists()
    assert artifacts.get_bytes("default", SHA) == DATA
    assert len(place.names()) == 1


def test_a_file_that_is_not_there_is_the_callers_fault(artifacts: Artifacts, folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        artifacts.put_file("default", folder / "none")


@pytest.mark.parametrize("way", ["bytes", "file"])
def test_putting_again_makes_the_bytes_young(
    artifacts: Artifacts, place: Place, folder: Path, way: str
) -> None:
    source = folder / "upload"

    def put() -> datetime:
        source.write_bytes(DATA)
        ref = (
            artifacts.put_bytes("default", DATA)
            if way == "bytes"
            else artifacts.put_file("default", source)
        )
        assert ref == REF
        (stored,) = artifacts.stored()
        return stored.put_at

    first = put()
    deadline = time.monotonic() + 10
    while put() <= first:  # clocks have a grain
        assert time.monotonic() < deadline
    assert source.exists() == (way == "bytes")
    assert len(place.names()) == 1


def test_tenants_have_places_of_their_own(artifacts: Artifacts) -> None:
    artifacts.put_bytes("a", DATA)
    artifacts.put_bytes("b", DATA)
    artifacts.open_path("a", SHA)
    with pytest.raises(ArtifactMissing):
        artifacts.open_path("c", SHA)
    assert artifacts.delete("a", SHA)
    assert not artifacts.exists("a", SHA)
    with pytest.raises(ArtifactMissing):
        artifacts.open_path("a", SHA)
    assert artifacts.get_bytes("b", SHA) == DATA


CALLS: dict[str, Callable[[Artifacts, str, str], object]] = {
    "put_bytes": lambda artifacts, tenant, _: artifacts.put_bytes(tenant, b""),
    "get_bytes": lambda artifacts, tenant, sha: artifacts.get_bytes(tenant, sha),
    "open_path": lambda artifacts, tenant, sha: artifacts.open_path(tenant, sha),
    "exists": lambda artifacts, tenant, sha: artifacts.exists(tenant, sha),
    "delete": lambda artifacts, tenant, sha: artifacts.delete(tenant, sha),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_tenant_name_leads_out_of_its_place(
    artifacts: Artifacts, place: Place, call: str
) -> None:
    for tenant in ("..", ".", ".tmp", "", "a/b", "/etc", "a\0b", "a\n"):
        with pytest.raises(InvalidName):
            CALLS[call](artifacts, tenant, SHA)
    assert place.names() == []


@pytest.mark.parametrize("call", ["get_bytes", "open_path", "exists", "delete"])
def test_what_is_no_sha256_is_refused(artifacts: Artifacts, call: str) -> None:
    for sha256 in ("", "../" * 10 + "etc/passwd", SHA[:-1], SHA.upper(), SHA + "\n", "g" * 64):
        with pytest.raises(ValueError, match="64 lower-case"):
            CALLS[call](artifacts, "default", sha256)


def copied(artifacts: Artifacts) -> bytes:
    """What a copy holds; none is left behind where it cannot be made."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "copy"
        try:
            artifacts.copy_to("default", SHA, path)
        finally:
            left = [one.name for one in Path(folder).iterdir()]
            assert not left or path.read_bytes() == DATA
        return path.read_bytes()


READS: dict[str, Callable[[Artifacts], object]] = {
    "get_bytes": lambda artifacts: artifacts.get_bytes("default", SHA),
    "open_path": lambda artifacts: artifacts.open_path("default", SHA),
    "open_checked": lambda artifacts: artifacts.open_checked("default", SHA).close(),
    "copy_to": copied,
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("damage", [b"", DATA[:-1], DATA + b"x", b"HEAD" * 1000])
def test_damaged_bytes_are_never_given_out(
    artifacts: Artifacts, place: Place, read: str, damage: bytes
) -> None:
    artifacts.put_bytes("default", DATA)
    place.overwrite("default", SHA, damage)
    with pytest.raises(ArtifactCorrupt, match=r"damaged.*backup"):
        READS[read](artifacts)


@pytest.mark.parametrize("read", READS)
def test_missing_bytes_say_what_to_do(artifacts: Artifacts, read: str) -> None:
    with pytest.raises(ArtifactMissing, match=r"missing.*backup"):
        READS[read](artifacts)


def test_putting_the_right_bytes_again_repairs_damage(artifacts: Artifacts, place: Place) -> None:
    artifacts.put_bytes("default", DATA)
    artifacts.open_path("default", SHA)
    place.overwrite("default", SHA, b"HEAD" * 1000)  # as long as the true bytes
    artifacts.put_bytes("default", DATA)
    assert artifacts.get_bytes("default", SHA) == DATA


def test_an_open_file_outlives_its_deletion(artifacts: Artifacts) -> None:
    artifacts.put_bytes("default", DATA)
    with artifacts.open_path("default", SHA).open("rb") as file:
        assert artifacts.delete("default", SHA) is True
        assert file.read() == DATA
    assert artifacts.delete("default", SHA) is False


def test_what_another_process_deleted_is_gone(artifacts: Artifacts, place: Place) -> None:
    artifacts.put_bytes("default", DATA)
    artifacts.open_path("default", SHA)
    assert place.open().delete("default", SHA)
    with pytest.raises(ArtifactMissing):
        artifacts.open_path("default", SHA)


def test_bytes_put_again_meanwhile_are_not_deleted(artifacts: Artifacts, place: Place) -> None:
    artifacts.put_bytes("default", DATA)
    moment = datetime.now(UTC)
    assert not artifacts.delete("default", SHA, unless_put_after=moment - timedelta(seconds=60))
    assert artifacts.exists("default", SHA)
    assert artifacts.delete("default", SHA, unless_put_after=moment + timedelta(seconds=60))
    assert not artifacts.delete("default", SHA, unless_put_after=moment + timedelta(seconds=60))
    assert place.names() == []


def test_the_inventory_lists_artifacts_alone(artifacts: Artifacts, place: Place) -> None:
    artifacts.put_bytes("a", DATA)
    artifacts.put_bytes("b", b"x")
    (name,) = (name for name in place.names() if SHA in name)
    place.write(name.replace(SHA, "notes.txt"), b"an operator's note")
    place.write(name.replace("a/", ".tmp/"), b"half")
    found = {(item.tenant_id, item.sha256, item.size_bytes) for item in artifacts.stored()}
    assert found == {("a", SHA, len(DATA)), ("b", hashlib.sha256(b"x").hexdigest(), 1)}
    assert all(abs(item.put_at - datetime.now(UTC)).seconds < 60 for item in artifacts.stored())


def test_writers_of_the_same_bytes_do_no_harm(
    artifacts: Artifacts, place: Place, folder: Path
) -> None:
    all_at_once = threading.Barrier(6)

    def put(i: int) -> ArtifactRef:
        source = folder / f"upload{i}"
        source.write_bytes(DATA)
        all_at_once.wait()
        return artifacts.put_file("default", source)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(put, range(6))) == [REF] * 6
    assert len(place.names()) == 1
    assert artifacts.get_bytes("default", SHA) == DATA
