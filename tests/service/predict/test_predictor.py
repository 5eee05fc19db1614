"""The cache of loaded heads: each is loaded once, and the memory it takes is bounded."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nmtune.errors import HeadFormatError
from service.predict.loaded_heads import HeadCache, LoadedHead
from tests.service.in_process import train

Rows = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def heads(rows: Rows) -> dict[str, bytes]:
    """Three different heads of one size."""
    return {name: train(rows, seed=seed) for seed, name in enumerate("abc")}


class Shelf:
    """Where a cache loads from; it counts how often."""

    def __init__(self, heads: dict[str, bytes]) -> None:
        self.heads = heads
        self.loads: Counter[str] = Counter()

    def get(self, cache: HeadCache, name: str) -> LoadedHead:
        def load() -> bytes:
            self.loads[name] += 1
            return self.heads[name]

        return cache.get(name, load)


def test_a_head_is_loaded_once(heads: dict[str, bytes]) -> None:
    shelf, cache = Shelf(heads), HeadCache(max_bytes=10**9)
    assert shelf.get(cache, "a") is shelf.get(cache, "a")
    assert shelf.loads == {"a": 1}


def test_threads_that_want_one_head_at_once_load_it_once(heads: dict[str, bytes]) -> None:
    cache = HeadCache(max_bytes=10**9)
    n_threads = 16
    loads: list[int] = []
    all_here = threading.Barrier(n_threads)
    may_load = threading.Event()

    def get(_: int) -> LoadedHead:
        def load() -> bytes:
            loads.append(1)
            assert may_load.wait(60)
            return heads["a"]

        all_here.wait()
        return cache.get("a", load)

    with ThreadPoolExecutor(n_threads) as threads:
        found = [threads.submit(get, i) for i in range(n_threads)]
        while not loads:  # the loader has begun; the others meet it or its result
            pass
        may_load.set()
        assert len({id(future.result(60)) for future in found}) == 1
    assert len(loads) == 1


def test_the_least_recently_used_head_goes_when_there_is_no_room(
    heads: dict[str, bytes],
) -> None:
    size = HeadCache(max_bytes=0).get("a", lambda: heads["a"]).n_bytes
    shelf, cache = Shelf(heads), HeadCache(max_bytes=2 * size)
    for name in ("a", "b", "a", "c"):  # b is the one not used for longest
        shelf.get(cache, name)
    assert cache.n_bytes == 2 * size
    shelf.get(cache, "a")
    assert shelf.loads == {"a": 1, "b": 1, "c": 1}
    shelf.get(cache, "b")
    assert shelf.loads["b"] == 2


def test_a_head_beyond_the_whole_room_is_kept_alone(
    heads: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    size = HeadCache(max_bytes=0).get("a", lambda: heads["a"]).n_bytes
    shelf, cache = Shelf(heads), HeadCache(max_bytes=size - 1)
    for name in ("a", "a", "b", "b"):
        assert shelf.get(cache, name).n_columns == 3
    assert shelf.loads == {"a": 1, "b": 1}
    assert cache.n_bytes == size
    assert "head_cache.too_small" in caplog.text


def test_a_failed_load_is_not_remembered(heads: dict[str, bytes]) -> None:
    shelf, cache = Shelf({"a": b"not a head"}), HeadCache(max_bytes=10**9)
    with pytest.raises(HeadFormatError):
        shelf.get(cache, "a")
    shelf.heads = heads
    assert shelf.get(cache, "a").n_columns == 3


def test_everyone_who_waits_for_a_load_hears_of_its_failure() -> None:
    cache = HeadCache(max_bytes=10**9)
    loading, may_fail = threading.Event(), threading.Event()

    def load() -> bytes:
        loading.set()
        assert may_fail.wait(60)
        raise OSError("the disk is gone")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.get, "a", load)
        assert loading.wait(60)
        second = threads.submit(cache.get, "a", load)
        may_fail.set()
        for future in (first, second):
            with pytest.raises(OSError, match="disk"):
                future.result(60)
