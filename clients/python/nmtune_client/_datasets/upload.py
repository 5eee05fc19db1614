"""Upload a file in parts, and resume an earlier upload of the same file; no I/O on the network.

The file is known by its sha256, and the server lists how far it has come: this machine keeps
nothing, and another one can resume.
"""

import hashlib
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from nmtune_client._datasets import upload_calls as calls
from nmtune_client._datasets.files import Reading, media_type
from nmtune_client._datasets.upload_bar import Observer
from nmtune_client._datasets.upload_calls import UploadState
from nmtune_client._datasets.values import Dataset
from nmtune_client._http.errors import (
    APIConnectionError,
    APIStatusError,
    NMTuneError,
    NotFoundError,
    ServerError,
)
from nmtune_client._http.wire import Call

RESUMABLE_BYTES = 32 << 20
"""From this size on a file goes up in parts."""

_RETRIED_CODES = {"offset_mismatch", "checksum_mismatch"}
_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""Before a part is tried again that failed for good: a server may be being restarted."""

T = TypeVar("T")
Steps: TypeAlias = Generator[Call[Any] | float, Any, T]
"""Gives calls to be sent, whose values it wants back, and seconds to wait."""


@dataclass(frozen=True)
class Done(Generic[T]):
    """What the steps came to."""

    value: T


def steps(
    path: Path,
    *,
    name: str | None,
    reading: Reading,
    keep_seconds: int | None,
    observer: Observer,
    parent_id: str | None = None,
    note: str | None = None,
) -> Steps[Dataset]:
    """The calls that upload the file at `path` and make its dataset, or add it to `parent_id`.

    ValueError if the file changes meanwhile.
    """
    return in_parts(
        path,
        kind=media_type(path, unlabelled=bool(reading.unlabelled)),
        finish=lambda upload_id: calls.create_dataset(
            upload_id,
            name=name,
            reading=reading,
            keep_seconds=keep_seconds,
            parent_id=parent_id,
            note=note,
        ),
        observer=observer,
    )


def in_parts(
    path: Path, *, kind: str, finish: Callable[[str], Call[T]], observer: Observer
) -> Steps[T]:
    """The calls that upload the file at `path`, and then `finish` with the upload's id.

    ValueError if the file changes meanwhile.
    """
    size_bytes, sha256 = _measure(path)
    for is_last in (False, True):
        found: list[UploadState] = yield calls.find(sha256)
        same = [upload for upload in found if upload.size_bytes == size_bytes]
        if same:
            upload = max(same, key=lambda one: one.received_bytes)
        else:
            upload = yield calls.begin(path, kind=kind, size_bytes=size_bytes, sha256=sha256)
        observer.begin(upload.received_bytes, size_bytes)
        try:
            yield from _send(path, upload, observer)
            made: T = yield finish(upload.id)
            break
        except NotFoundError:
            if is_last:  # else another client, which sent the same file, was done with it
                raise
        except APIStatusError as error:
            if error.code == "checksum_mismatch":  # of the whole file: nothing can mend it
                yield calls.delete(upload.id)
            raise
    with suppress(NMTuneError):  # else it expires
        yield calls.delete(upload.id)
    return made


def _send(
    path: Path, upload: UploadState, observer: Observer
) -> Generator[Call[Any] | float, Any, None]:
    """The calls that send what is missing."""
    n_vain = 0
    while upload.received_bytes < upload.size_bytes:
        try:
            received: int = yield calls.append(upload, _part(path, upload))
        except (APIConnectionError, APIStatusError) as error:
            if not _is_passing(error) or n_vain == len(_PAUSES_SECONDS):
                raise
            if not isinstance(error, APIStatusError) or error.code != "offset_mismatch":
                yield _PAUSES_SECONDS[n_vain]
            n_vain += 1
            # The part may be there: its answer was lost, or another client sent it.
            before = upload.received_bytes
            try:
                upload = yield calls.get(upload.id)
            except (APIConnectionError, ServerError):
                continue
            n_vain = 0 if upload.received_bytes > before else n_vain
        else:
            n_vain = 0
            upload = replace(upload, received_bytes=received)
        observer.update(upload.received_bytes)
    observer.complete()


def advance(upload: Steps[T], outcome: Any) -> Call[Any] | float | Done[T]:
    """Tell the steps what came of the last one; the next one, or what they made at the end."""
    try:
        if isinstance(outcome, NMTuneError):
            return upload.throw(outcome)
        return upload.send(outcome)
    except StopIteration as stop:
        return Done(stop.value)


def _measure(path: Path) -> tuple[int, str]:
    """Size and sha256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest()


def _part(path: Path, upload: UploadState) -> bytes:
    """What of the file follows on what the server has."""
    with path.open("rb") as file:
        file.seek(upload.received_bytes)
        data = file.read(min(upload.part_bytes, upload.size_bytes - upload.received_bytes))
    if not data:
        raise ValueError(f"{path} was shortened while it was being sent")
    return data


def _is_passing(error: NMTuneError) -> bool:
    if isinstance(error, APIStatusError):
        return error.code in _RETRIED_CODES or error.status in {408, 502, 503, 504}
    return True
