"""The files that are kept of a bucket: bounded, the least recently used go, nothing is half."""

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.bytes.cache import ArtifactCache
from store.errors import ArtifactMissing, StorageUnavailable

SIZE = 1000


def data_of(name: str) -> bytes:
    return name.encode() * SIZE


def sha_of(name: str) -> str:
    return hashlib.sha256(data_of(name)).hexdigest()


class Cache:
    """A cache of one-letter artifacts of SIZE bytes."""

    def __init__(self, root: Path, *, n_files: float) -> None:
        self._root = root
        self._n_files = n_files
        self.open()

    def open(self) -> None:
        self.it = ArtifactCache(self._root, max_bytes=int(self._n_files * SIZE))

    def add(self, name: str, *, minutes_ago: float = 60) -> Path:
        path = self.it.add("default", sha_of(name), [data_of(name)])
        assert path is not None
        os.utime(path, (time.time() - 60 * minutes_ago,) * 2)
        return path

    def has(self, names: str) -> str:
        kept = {path.name for path in self._root.glob("default/*/*")}
        return "".join(name for name in names if sha_of(name) in kept)

    def files(self) -> list[Path]:
        return [path for path in self._root.rglob("*") if path.is_file() and path.name != ".lock"]


@pytest.fixture
def cache(folder: Path) -> Cache:
    return Cache(folder / "cache", n_files=3)


def test_what_was_added_is_found(cache: Cache) -> None:
    path = cache.add("a")
    assert cache.it.find("default", sha_of("a")) == path
    assert path.read_bytes() == data_of("a")
    assert cache.it.find("default", sha_of("b")) is None
    assert cache.it.find("other", sha_of("a")) is None, "another tenant's is not theirs"


def test_the_least_recently_used_go(cache: Cache) -> None:
    for age, name in ((50, "a"), (40, "b"), (30, "c")):
        cache.add(name, minutes_ago=age)
    cache.it.find("default", sha_of("a"))  # now it is the most recently used
    cache.add("d", minutes_ago=20)
    assert cache.has("abcd") == "acd"
    cache.add("e")
    assert cache.has("abcde") == "ade"


def test_what_is_being_used_stays_even_if_it_is_too_much(cache: Cache) -> None:
    for name in "abcd":
        cache.add(name, minutes_ago=1)
    assert cache.has("abcd") == "abcd", "a training may be about to map them"


def test_a_cache_of_nothing_keeps_what_is_in_use(folder: Path) -> None:
    cache = Cache(folder / "cache", n_files=0)
    cache.add("a")
    cache.add("b", minutes_ago=0)
    assert cache.has("ab") == "b"


def test_an_open_file_outlives_its_eviction(cache: Cache) -> None:
    with cache.add("a").open("rb") as file:
        for name in "bcd":
            cache.add(name)
        assert cache.has("a") == ""
        assert file.read() == data_of("a")


def test_wrong_bytes_are_not_kept(cache: Cache) -> None:
    assert cache.it.add("default", sha_of("a"), [data_of("b")]) is None
    assert cache.files() == []


def test_a_download_that_breaks_leaves_nothing(cache: Cache) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a" * 10
        raise StorageUnavailable("the cable was cut")

    with pytest.raises(StorageUnavailable, match="cable"):
        cache.it.add("default", sha_of("a"), chunks())
    assert cache.files() == []


def test_a_full_disk_says_so(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkstemp(*_: object, **__: object) -> object:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.mkstemp", mkstemp)
    with pytest.raises(StorageUnavailable, match=r"this machine's disk.*Free some disk space"):
        cache.add("a")


def test_a_damaged_file_is_not_found_and_removed(cache: Cache) -> None:
    path = cache.add("a")
    path.chmod(0o600)
    path.write_bytes(b"short")
    assert cache.it.find("default", sha_of("a")) is None
    assert cache.files() == []


def test_what_killed_processes_left_is_removed_a_day_later(cache: Cache, folder: Path) -> None:
    downloads = folder / "cache" / ".downloads"
    for name, age in (("old", 90_000), ("young", 60)):
        (downloads / name).write_bytes(b"half")
        os.utime(downloads / name, (time.time() - age,) * 2)
    cache.open()
    assert [path.name for path in cache.files()] == ["young"]


def test_processes_share_the_folder(folder: Path) -> None:
    def use(seed: int) -> None:
        mine = Cache(folder / "cache", n_files=2)
        for i in range(12):
            name = "abcdef"[(seed + i) % 6]
            try:
                path = mine.it.find("default", sha_of(name)) or mine.add(name)
                assert path.read_bytes() == data_of(name)
            except (FileNotFoundError, ArtifactMissing):
                removed.append(name)  # `mine.add` made it an old file: another may take it

    removed: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert len(removed) < 24, "hardly ever in the moment before it is read"
