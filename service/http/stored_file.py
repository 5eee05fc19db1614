"""Answer with a stored file, whole or in part, each byte checked before it is sent.

The bytes are checked before the answer begins, and each block again as it goes out: if the file
changes in that moment, the connection breaks, and no wrong bytes are sent.
"""

import base64
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import iterate_in_threadpool
from starlette.types import Send

from service.http.errors import Problem
from store.bytes.checked_file import CheckedFile
from store.bytes.port import Artifacts
from store.errors import ArtifactCorrupt

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A stored file that a row names, as clients download it."""

    tenant_id: str
    sha256: str
    size_bytes: int
    media_type: str
    filename: str


def answer(file: StoredFile, request: Request, artifacts: Artifacts) -> Response:
    """What the request asks for: the whole file, a part, 304, or only the headers. Blocking.

    Raises ArtifactMissing, ArtifactCorrupt, and Problem 416 for a part outside the file.
    """
    tag = f'"{file.sha256}"'
    digest = base64.b64encode(bytes.fromhex(file.sha256)).decode()
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = request.headers.get("if-none-match")
    if known is not None and (tag in known or known.strip() == "*"):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    part = _part(request, tag, file.size_bytes)
    start, stop = part or (0, file.size_bytes)
    headers |= {
        "Content-Disposition": f'attachment; filename="{file.filename}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "Accept-Ranges": "bytes",
        "Content-Type": file.media_type,
        "Content-Length": str(stop - start),
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size_bytes}"
    status = HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT
    opened = artifacts.open_checked(file.tenant_id, file.sha256, start=start, stop=stop)
    if request.method == "HEAD":
        opened.close()
        return Response(status_code=status, headers=headers)
    return _Sending(opened, start, stop, status_code=status, headers=headers)


class _Sending(StreamingResponse):
    """The bytes from `start` to before `stop`, a block at a time."""

    def __init__(
        self,
        file: CheckedFile,
        start: int,
        stop: int,
        *,
        status_code: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__((), status_code=status_code, headers=headers)
        self._file = file
        self._blocks: Iterator[bytes] = file.chunks(start, stop)

    async def stream_response(self, send: Send) -> None:
        """Send the blocks that pass their check; if one fails, the connection breaks off."""
        try:
            begun = False
            async for block in iterate_in_threadpool(self._blocks):
                if not begun:
                    await self._begin(send)
                    begun = True
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ArtifactCorrupt as error:
            if not begun:
                raise
            logger.error("file.broken_off reason=%s", error)
        finally:
            self._file.close()

    async def _begin(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )


def _part(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """The start and stop that Range asks for; None for the whole file. Raises Problem 416."""
    asked, only_if = request.headers.get("range"), request.headers.get("if-range")
    if asked is None or only_if not in (None, tag):
        return None
    found = _RANGE.fullmatch(asked.strip())
    first, last = (found[1], found[2]) if found else ("", "")
    if first:
        start, stop = int(first), min(int(last or size) + 1, size)
    else:
        start, stop = max(size - int(last or 0), 0), size
    if start >= stop:
        raise Problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "range_not_satisfiable",
            f"The file has {size:,} bytes: ask for one range within them, such as bytes=0-999.",
            field="Range",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, stop
