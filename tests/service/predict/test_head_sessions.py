"""Heads as files that several processes map: the same answers, and nothing left behind."""

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nmtune.heads.head import Head
from service.predict import head_sessions
from service.predict.head_sessions import MappedSessions, OwnSessions, sessions_of
from service.predict.loaded_heads import HeadCache, LoadedHead

SHA256 = "ab" * 32


@pytest.fixture
def head(trained: bytes) -> Head:
    return Head.from_bytes(trained)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "heads"
    root.mkdir()
    yield root
    gc.collect()


def folders(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_dir())


def test_mapped_sessions_answer_bit_for_bit_as_a_processs_own(head: Head, root: Path) -> None:
    own = LoadedHead(head, OwnSessions(head, n_threads=1))
    mapped = LoadedHead(head, MappedSessions(head, SHA256, root=root, n_threads=1))
    for n in (1, 2, 33):
        x = np.random.default_rng(n).standard_normal((n, head.n_columns)).astype(np.float32)
        for ours, theirs in zip(own.session.run(x), mapped.session.run(x), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(own.transform(x), mapped.transform(x))
    assert own.n_bytes == mapped.n_bytes
    assert own.session.n_products == mapped.session.n_products


def test_the_files_are_written_once_and_go_with_the_last_who_has_them(
    head: Head, root: Path
) -> None:
    one = MappedSessions(head, SHA256, root=root, n_threads=1)
    written = (root / SHA256 / "predict.onnx").stat().st_ino
    two = MappedSessions(head, SHA256, root=root, n_threads=1)
    assert (root / SHA256 / "predict.onnx").stat().st_ino == written
    assert folders(root) == [SHA256]
    del one
    gc.collect()
    assert folders(root) == [SHA256]
    two.tuned()
    del two
    gc.collect()
    assert folders(root) == []


def test_of_two_who_write_at_once_one_is_kept(head: Head, root: Path) -> None:
    with (
        head_sessions._written(root, head) as first,
        head_sessions._written(root, head) as second,
    ):
        kept = (first / "predict.onnx").stat().st_ino
        held = [head_sessions._held(root, root / SHA256, made) for made in (first, second)]
    assert folders(root) == [SHA256]
    assert (root / SHA256 / "predict.onnx").stat().st_ino == kept
    for descriptor in held:
        assert descriptor is not None
        os.close(descriptor)


def test_a_head_dropped_from_the_cache_takes_its_files_along(trained: bytes, root: Path) -> None:
    cache = HeadCache(max_bytes=0, folder=root)
    cache.get("aa", lambda: trained)
    assert folders(root) == ["aa"]
    cache.get("bb", lambda: trained)
    gc.collect()
    assert folders(root) == ["bb"]


def test_without_room_for_files_a_process_has_its_own(
    head: Head, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = sessions_of(head, SHA256, root=tmp_path / "gone", n_threads=1)
    assert isinstance(found, OwnSessions)
    assert f"head_cache.not_mapped sha256={SHA256}" in caplog.text
