"""Read and write the headers of tus 1.0: version, metadata, offsets and checksums.

https://tus.io/protocols/resumable-upload, with the extensions creation, checksum, expiration and
termination.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service.http.errors import Problem, problem_of
from store.errors import OffsetMismatch
from store.uploads import Upload

VERSION: Final = "1.0.0"
VERSION_HEADER: Final = "Tus-Resumable"
EXTENSIONS: Final = "creation,checksum,expiration,termination"
ALGORITHMS: Final = ("sha256", "sha1")
PART_TYPE: Final = "application/offset+octet-stream"
CHECKSUM_MISMATCH: Final = 460
"""The status that tus gives to a part that does not match its checksum."""
MAX_METADATA_CHARACTERS: Final = 2048

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_FREE_METHODS: Final = frozenset({"GET", "OPTIONS"})


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a sender says about a file; None where it says nothing."""

    file_name: str | None = None
    media_type: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """The checksum that the bytes of one part must match."""

    algorithm: str
    digest: bytes

    def new(self) -> "hashlib._Hash":
        return hashlib.new(self.algorithm, usedforsecurity=False)


class TusRoute(APIRoute):
    """A route of tus: it requires the version, and names it on every answer."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, wrapped in these two."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                # GET is not part of tus: curl may ask without the header.
                version = request.headers.get(VERSION_HEADER)
                if request.method not in _FREE_METHODS and version != VERSION:
                    raise _wrong_version()
                response = await handler(request)
            except Exception as error:
                problem = problem_of(error)
                if problem is None:
                    raise
                problem.headers = {**(problem.headers or {}), VERSION_HEADER: VERSION}
                if isinstance(error, OffsetMismatch):
                    problem.headers["Upload-Offset"] = str(error.received_bytes)
                raise problem from error
            response.headers[VERSION_HEADER] = VERSION
            return response

        return handle


def read_metadata(header: str) -> Metadata:
    """The known keys of `Upload-Metadata`. Raises Problem."""
    if len(header) > MAX_METADATA_CHARACTERS:
        raise _bad(f"has more than {MAX_METADATA_CHARACTERS} characters", field="Upload-Metadata")
    if not (header.isascii() and header.isprintable()):
        raise _bad("may have only printable ASCII characters", field="Upload-Metadata")
    values: dict[str, str] = {}
    for pair in filter(None, (pair.strip() for pair in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            values[key.lower()] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise _bad(
                "must be pairs of a key and a value in base64 (of UTF-8), with a space between the "
                "two and commas between the pairs",
                field="Upload-Metadata",
            ) from None
    sha256 = values.get("sha256")
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise _bad(
            "has a sha256 that is not 64 lower-case hexadecimal digits", field="Upload-Metadata"
        )
    return Metadata(
        file_name=values.get("filename") or values.get("name"),
        media_type=(values.get("filetype") or values.get("type") or "").strip().lower() or None,
        sha256=sha256,
    )


def read_checksum(header: str | None) -> Checksum | None:
    """The checksum in `Upload-Checksum`, None without one. Raises Problem."""
    if header is None:
        return None
    algorithm, _, value = header.strip().partition(" ")
    known = ", ".join(ALGORITHMS)
    if algorithm not in ALGORITHMS:
        raise _bad(f"must name one of {known}, then the checksum in base64", "Upload-Checksum")
    try:
        digest = base64.b64decode(value.strip(), validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise _bad(f"must hold a {algorithm} in base64", "Upload-Checksum")
    return Checksum(algorithm=algorithm, digest=digest)


def read_number(value: str | None, *, field: str) -> int:
    """A count of bytes in a header. Raises Problem."""
    if value is None or not _NUMBER.fullmatch(value):
        raise _bad("is required and must be a number of bytes", field)
    return int(value)


def headers_of(upload: Upload) -> dict[str, str]:
    """The headers of each answer about an upload."""
    return {
        "Upload-Offset": str(upload.received_bytes),
        "Upload-Expires": format_datetime(upload.expires_at, usegmt=True),
        "Cache-Control": "no-store",
    }


def _wrong_version() -> Problem:
    return Problem(
        412,
        "unsupported_tus_version",
        f"Send the header {VERSION_HEADER}: {VERSION}, the version of tus that this server "
        f"supports.",
        headers={"Tus-Version": VERSION},
    )


def _bad(what: str, field: str) -> Problem:
    return Problem(400, "invalid_upload_header", f"{field} {what}.", field=field)
