"""The requests of an upload in parts (tus 1.0), and how their answers are read; no I/O."""

import base64
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from nmtune_client._datasets.files import Reading
from nmtune_client._datasets.revision_calls import APPEND
from nmtune_client._datasets.values import Dataset
from nmtune_client._http.wire import Answer, Call, Route

_BEGIN = Route("POST", "/uploads")
_LIST = Route("GET", "/uploads")
_GET = Route("GET", "/uploads/{upload_id}")
_APPEND = Route("PATCH", "/uploads/{upload_id}")
_DELETE = Route("DELETE", "/uploads/{upload_id}")
_CREATE_DATASET = Route("POST", "/datasets")

_TUS = {"Tus-Resumable": "1.0.0"}
# The server answers once it has read and checked each row.
_DATASET_READ_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class UploadState:
    """How far an upload has come."""

    id: str
    size_bytes: int
    received_bytes: int
    part_bytes: int
    sha256: str | None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Out of the server's answer."""
        return cls(
            id=data["id"],
            size_bytes=data["size_bytes"],
            received_bytes=data["received_bytes"],
            part_bytes=data["part_bytes"],
            sha256=data["sha256"],
        )


def begin(path: Path, *, kind: str, size_bytes: int, sha256: str) -> Call[UploadState]:
    """Announce a file of that media type."""
    known = {"filename": path.name, "filetype": kind, "sha256": sha256}
    pairs = [f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in known.items()]
    headers = {"Upload-Length": str(size_bytes), "Upload-Metadata": ",".join(pairs)}
    return Call(route=_BEGIN, parse=_state, headers=_TUS | headers)


def find(sha256: str) -> Call[list[UploadState]]:
    """The uploads of the file with this hash that the server still has."""
    return Call(
        route=_LIST,
        parse=lambda answer: [UploadState.from_json(item) for item in answer.json()["items"]],
        params={"sha256": sha256},
    )


def get(upload_id: str) -> Call[UploadState]:
    """How far an upload has come."""
    return Call(route=_GET, ids={"upload_id": upload_id}, parse=_state)


def append(upload: UploadState, data: bytes) -> Call[int]:
    """Send what follows; the offset behind it."""
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return Call(
        route=_APPEND,
        ids={"upload_id": upload.id},
        parse=lambda answer: int(answer.headers["upload-offset"]),
        headers=_TUS
        | {
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(upload.received_bytes),
            "Upload-Checksum": f"sha256 {checksum}",
        },
        content=data,
    )


def delete(upload_id: str) -> Call[None]:
    """Forget an upload and its bytes."""
    return Call(
        route=_DELETE, ids={"upload_id": upload_id}, parse=lambda _: None, headers=dict(_TUS)
    )


def create_dataset(
    upload_id: str,
    *,
    name: str | None,
    reading: Reading,
    keep_seconds: int | None,
    parent_id: str | None = None,
    note: str | None = None,
) -> Call[Dataset]:
    """Make the dataset of a complete upload: the same one, however often it is asked for.

    parent_id: the dataset to whose rows those of the upload are added.
    """
    given = {"upload": upload_id, "name": name, "keep_seconds": keep_seconds, "note": note}
    params = {key: str(value) for key, value in given.items() if value is not None}
    params |= reading.params()
    # By what is asked and not by chance: also a client that died in between asks the same again.
    asked = sorted(params.items()) + ([] if parent_id is None else [("parent", parent_id)])
    key = uuid.uuid5(uuid.NAMESPACE_URL, repr(asked)).hex
    return Call(
        route=_CREATE_DATASET if parent_id is None else APPEND,
        ids={} if parent_id is None else {"dataset_id": parent_id},
        parse=lambda answer: Dataset.from_json(answer.json()),
        params=params,
        headers={"Idempotency-Key": key},
        extra_read_seconds=_DATASET_READ_SECONDS,
    )


def _state(answer: Answer) -> UploadState:
    return UploadState.from_json(answer.json())
