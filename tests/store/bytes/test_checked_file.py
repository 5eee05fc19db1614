"""No stored byte is given out unchecked, whatever is done to a file after it was checked."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from store.bytes.checked_file import BLOCK_BYTES, CheckedFile, KnownStates
from store.bytes.local import LocalArtifacts
from store.bytes.port import Artifacts
from store.errors import ArtifactCorrupt
from store.files import rows as rows_file
from store.files.dataset import DatasetFile, DatasetWriter
from store.files.rows import RowsFile
from tests.servers.s3 import S3Place
from tests.store.made_rows import flip

DATA = np.random.default_rng(3).bytes(3 * BLOCK_BYTES + 77)
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def artifacts(folder: Path) -> LocalArtifacts:
    return LocalArtifacts(folder / "artifacts")


def put(artifacts: LocalArtifacts, folder: Path) -> Path:
    artifacts.put_bytes("default", DATA)
    return folder / "artifacts" / "default" / SHA[:2] / SHA


READS: dict[str, Callable[[Artifacts, Path], object]] = {
    "get_bytes": lambda artifacts, _: artifacts.get_bytes("default", SHA),
    "open_path": lambda artifacts, _: artifacts.open_path("default", SHA),
    "open_checked": lambda artifacts, _: artifacts.open_checked("default", SHA).close(),
    "copy_to": lambda artifacts, copy: artifacts.copy_to("default", SHA, copy),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("at", [0, BLOCK_BYTES, len(DATA) - 1])
def test_a_byte_changed_in_place_after_a_reading_is_found(
    artifacts: LocalArtifacts, folder: Path, read: str, at: int
) -> None:
    path = put(artifacts, folder)
    before = path.stat()
    for number, one in enumerate(READS):
        READS[one](artifacts, folder / f"copy{number}")
    flip(path, at)
    for name in ("st_ino", "st_size", "st_mtime_ns"):
        assert getattr(path.stat(), name) == getattr(before, name)
    with pytest.raises(ArtifactCorrupt):
        READS[read](artifacts, folder / "copy")
    assert not (folder / "copy").exists()
    flip(path, at)
    READS[read](artifacts, folder / "copy")


def test_a_kept_file_of_a_bucket_that_was_changed_in_place_comes_anew(
    s3: S3Place, folder: Path
) -> None:
    artifacts = s3.open()
    artifacts.put_bytes("default", DATA)
    for number in range(3):
        flip(artifacts.open_path("default", SHA), 5 + number)
        assert artifacts.open_path("default", SHA).read_bytes() == DATA
        flip(artifacts.open_path("default", SHA))
        with artifacts.open_checked("default", SHA) as file:
            assert b"".join(file.chunks(0, file.size_bytes)) == DATA
        artifacts.copy_to("default", SHA, folder / f"copy{number}")
        assert (folder / f"copy{number}").read_bytes() == DATA


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, len(DATA)),
        (0, 1),
        (BLOCK_BYTES - 1, BLOCK_BYTES + 1),
        (len(DATA) - 5, len(DATA)),
        (7, 7),
        (BLOCK_BYTES, 3 * BLOCK_BYTES),
    ],
)
def test_any_part_comes_as_it_was_stored(
    artifacts: LocalArtifacts, folder: Path, start: int, stop: int
) -> None:
    put(artifacts, folder)
    for _ in range(2):  # read through, and by what is known then
        with artifacts.open_checked("default", SHA, start=start, stop=stop) as file:
            assert b"".join(file.chunks(start, stop)) == DATA[start:stop]


def test_what_changes_while_it_is_read_is_not_given_out(
    artifacts: LocalArtifacts, folder: Path
) -> None:
    path = put(artifacts, folder)
    with artifacts.open_checked("default", SHA) as file:
        chunks = file.chunks(0, file.size_bytes)
        assert next(chunks) == DATA[:BLOCK_BYTES]
        flip(path, 2 * BLOCK_BYTES)
        assert next(chunks) == DATA[BLOCK_BYTES : 2 * BLOCK_BYTES]
        with pytest.raises(ArtifactCorrupt):
            next(chunks)


@pytest.mark.parametrize("size", [0, 10, BLOCK_BYTES, len(DATA) - 1])
def test_what_is_cut_short_or_grows_while_it_is_read_is_not_given_out(
    artifacts: LocalArtifacts, folder: Path, size: int
) -> None:
    path = put(artifacts, folder)
    path.chmod(0o600)
    with artifacts.open_checked("default", SHA) as file:
        path.write_bytes(DATA[:size])
        with pytest.raises(ArtifactCorrupt):
            list(file.chunks(0, len(DATA)))
        path.write_bytes(DATA + b"more")
        with pytest.raises(ArtifactCorrupt):
            list(file.chunks(0, len(DATA) + 4))


def test_a_part_costs_its_own_blocks_once_the_file_was_read_through(
    artifacts: LocalArtifacts, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(artifacts, folder)
    artifacts.open_checked("default", SHA).close()
    read: list[int] = []
    pread = os.pread

    def counted(descriptor: int, n: int, offset: int) -> bytes:
        read.append(offset // BLOCK_BYTES)
        return pread(descriptor, n, offset)

    monkeypatch.setattr("os.pread", counted)
    with artifacts.open_checked("default", SHA, start=BLOCK_BYTES, stop=BLOCK_BYTES + 9) as file:
        list(file.chunks(BLOCK_BYTES, BLOCK_BYTES + 9))
    assert set(read) == {1}


def test_what_is_known_is_bounded_and_of_the_latest(folder: Path) -> None:
    known = KnownStates(most=4)
    for name in "abc":
        path = folder / name
        path.write_bytes(name.encode())
        CheckedFile(path, hashlib.sha256(name.encode()).hexdigest(), known).close()
    found = [known.get(hashlib.sha256(name.encode()).hexdigest()) is not None for name in "abc"]
    assert found == [False, True, True]


def test_a_data_set_is_checked_in_the_map_that_is_used(folder: Path) -> None:
    path = folder / "dataset"
    with DatasetWriter(
        path, classes=["a", "b"], n_columns=3, dtype=np.float32, splits=[("train", 4)]
    ) as writer:
        writer.x("train")[:] = 1.5
        writer.y("train")[:] = [0, 1, 0, 1]
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    opened = DatasetFile.open(path)
    opened.check(sha256)
    sound = path.read_bytes()
    flip(path)
    with pytest.raises(ArtifactCorrupt):
        opened.check(sha256)
    path.unlink()
    path.write_bytes(sound)  # another file under that name is not the one that was read
    with pytest.raises(ArtifactCorrupt):
        opened.check(sha256)
    DatasetFile.open(path).check(sha256)


def test_rows_are_checked_in_the_file_that_is_read(folder: Path) -> None:
    path = folder / "rows"
    x = np.ones((5, 3), np.float32)
    rows_file.write(path, [x], n_rows=5, n_columns=3, dtype=x.dtype)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    opened = RowsFile.open(path)
    list(opened.blocks(2))
    opened.check(sha256)
    sound = path.read_bytes()
    flip(path)
    with pytest.raises(ArtifactCorrupt):
        opened.check(sha256)
    path.unlink()
    path.write_bytes(sound)
    with pytest.raises(ArtifactCorrupt):
        opened.check(sha256)
