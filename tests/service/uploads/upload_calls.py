"""Send resumable uploads, request by request."""

import hashlib
from base64 import b64encode
from typing import Any

import httpx

from tests.service.in_process import InProcess

TUS = {"Tus-Resumable": "1.0.0"}
PART = {**TUS, "Content-Type": "application/offset+octet-stream"}
PART_BYTES = 2048


def described(**values: str) -> str:
    return ",".join(
        f"{name} {b64encode(value.encode()).decode()}" for name, value in values.items()
    )


def begin(client: InProcess, size_bytes: int, **metadata: str) -> str:
    """The path of a new upload."""
    headers = {**TUS, "Upload-Length": str(size_bytes), "Upload-Metadata": described(**metadata)}
    response = client.post("/uploads", headers=headers)
    assert response.status_code == 201, response.text
    assert response.headers["tus-resumable"] == "1.0.0"
    path: str = response.headers["location"]
    assert path == f"/uploads/{response.json()['id']}"
    return path


def append(
    client: InProcess, path: str, data: bytes, *, at: int, checksum: str | None = None
) -> httpx.Response:
    headers = {**PART, "Upload-Offset": str(at)}
    if checksum is not None:
        headers["Upload-Checksum"] = checksum
    return client("PATCH", path, headers=headers, content=data)


def sha1_of(data: bytes) -> str:
    return f"sha1 {b64encode(hashlib.sha1(data).digest()).decode()}"  # noqa: S324  tus' own


def offset(client: InProcess, path: str) -> int:
    response = client("HEAD", path, headers=TUS)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    return int(response.headers["upload-offset"])


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def finish(client: InProcess, path: str, **params: Any) -> httpx.Response:
    return client.post("/datasets", params={"upload": id_of(path), **params})
