"""Uploads that end early: a full disk, a client that leaves, a cancelled request."""

import asyncio
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from fastapi import FastAPI

from service.ingest.dataset import prepared
from store.store import Store
from tests.service.datasets.dataset_calls import NPZ, stored
from tests.service.in_process import InProcess, assert_problem
from tests.support.files.arrays import clouds, npz


def _columns_first() -> bytes:
    arrays = clouds()
    return npz(arrays | {"train_x": np.asfortranarray(arrays["train_x"])})


@pytest.mark.parametrize("function", ["mkdtemp", "TemporaryFile"])
def test_a_full_disk_is_no_bug_and_leaves_nothing(
    client: InProcess,
    leftovers: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, function, full)
    response = client.post("/datasets", content=_columns_first(), headers=NPZ)
    assert_problem(response, 503, "storage_full")
    assert leftovers() == []


def test_a_client_that_leaves_in_the_middle_leaves_nothing(
    app: FastAPI, store: Store, content: bytes, leftovers: Callable[[], list[str]]
) -> None:
    during: list[list[str]] = []

    async def leave() -> None:
        messages = [
            {"type": "http.request", "body": content[:200], "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> dict[str, Any]:
            during.append(leftovers())
            return messages.pop(0)

        async def send(message: dict[str, Any]) -> None:
            raise AssertionError(f"nobody is there to be sent {message}")

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/datasets",
            "raw_path": b"/datasets",
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/x-npz")],
            "server": ("test", 80),
            "client": ("test", 1),
        }
        await app(scope, receive, send)  # type: ignore[arg-type]  # plain dictionaries

    asyncio.run(leave())
    assert len(during[-1]) == 1
    assert leftovers() == []
    assert stored(store) == []


def test_a_cancelled_request_leaves_nothing(
    client: InProcess, content: bytes, leftovers: Callable[[], list[str]]
) -> None:
    async def cancel() -> None:
        waiting = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield content[:200]
            waiting.set()
            await asyncio.Event().wait()

        async def upload() -> None:
            await client.send("POST", "/datasets", content=endless(), headers=NPZ)

        # A cancelled group cancels every further wait too, those of the clearing up included.
        async with anyio.create_task_group() as group:
            group.start_soon(upload)
            await waiting.wait()
            assert len(leftovers()) == 1
            group.cancel_scope.cancel()

    asyncio.run(cancel())
    assert leftovers() == []


def test_what_a_killed_process_left_is_removed_by_a_later_upload(tmp_path: Path) -> None:
    old, young = tmp_path / "tmp/ingest-old", tmp_path / "tmp/ingest-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "upload").write_bytes(b"x")
    os.utime(old, (0, 0))
    with prepared.workspace(tmp_path) as workdir:
        assert workdir.stat().st_mode & 0o777 == 0o700
        assert not old.exists()
        assert young.exists()
    assert not workdir.exists()
