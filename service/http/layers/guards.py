"""Guard every request: give it an id and a log line, bound its size and its slowness."""

import asyncio
import logging
import re
import time
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import hosts
from service.http.errors import Problem, internal_problem
from service.http.json_body import is_json
from service.http.layers import request_id, security_headers
from store.access.secrets import without_keys

CLIENT_CLOSED_REQUEST: Final = 499
"""The status in the log of a client that left before its answer; nobody receives it."""

_ID_HEADER: Final = request_id.HEADER.lower().encode()
_JSON_ADVICE: Final = (
    "Send embeddings as base64 float32 rather than as lists; to train on them, upload an .npz file "
    "to POST /datasets; to predict, send them in several requests."
)
_UPLOAD_ADVICE: Final = "Save the embeddings as float16, which halves them, or send fewer rows."

logger = logging.getLogger(__name__)


class RequestLog:
    """Gives each request an id and one log line, and each answer the headers that all have.

    A bug becomes a 500 problem.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        own_id = request_id.accept_or_make(Headers(scope=scope).get(request_id.HEADER))
        request_id.bind(own_id)
        began = time.perf_counter()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = security_headers.added_to(
                    message["headers"], over_https=_is_over_https(scope)
                )
                headers.append((_ID_HEADER, own_id.encode()))
                message["headers"] = headers
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = status or CLIENT_CLOSED_REQUEST
        except Exception:
            logger.exception("request.crashed request_id=%s", own_id)
            if status is not None:
                raise  # half an answer is out: only breaking the connection tells the client
            await internal_problem().response()(scope, receive, send_with_id)
        finally:
            logger.info(
                "request.finished method=%s path=%s status=%s seconds=%.4f request_id=%s",
                scope["method"],
                quote(without_keys(scope["path"][:200]), safe="/@:"),
                status,
                time.perf_counter() - began,
                own_id,
            )


class BodyLimit:
    """Refuses bodies that are too large (413) or arrive too slowly (408), whatever reads them.

    Bytes are counted as they arrive, so a chunked body without a Content-Length is limited too. The
    time spent waiting for the client is bounded by `seconds` plus what the bytes received so far
    may take at `bytes_per_second`; time in which nobody reads does not count. `upload_paths` is a
    pattern of the paths that take uploads.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_json_bytes: int,
        max_upload_bytes: int,
        upload_paths: str,
        seconds: float,
        bytes_per_second: float,
    ) -> None:
        self.app = app
        self.max_json_bytes = max_json_bytes
        self.max_upload_bytes = max_upload_bytes
        self.upload_paths = re.compile(upload_paths)
        self.seconds = seconds
        self.bytes_per_second = bytes_per_second

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, passing its body on through the limits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_upload = self._is_upload(scope, headers)
        limit = self.max_upload_bytes if is_upload else self.max_json_bytes
        advice = _UPLOAD_ADVICE if is_upload else _JSON_ADVICE
        announced = headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
            await _too_large(limit, advice).response()(scope, receive, send)
            return
        clock = asyncio.get_running_loop().time
        n_bytes = 0
        waited = 0.0
        is_complete = False

        async def limited_receive() -> Message:
            nonlocal n_bytes, waited, is_complete
            if is_complete:  # from here on a caller waits for the client to leave
                return await receive()
            began = clock()
            try:
                async with asyncio.timeout(self.seconds + n_bytes / self.bytes_per_second - waited):
                    message = await receive()
            except TimeoutError:
                raise _too_slow() from None
            waited += clock() - began
            n_bytes += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            if n_bytes > limit:
                raise _too_large(limit, advice)
            return message

        await self.app(scope, limited_receive, send)

    def _is_upload(self, scope: Scope, headers: Headers) -> bool:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        is_theirs = self.upload_paths.fullmatch(path) is not None
        return is_theirs and not is_json(headers.get("content-type"))


def _too_large(limit: int, advice: str) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        f"The body is larger than the {limit:,} bytes that this request may have. {advice}",
        headers={"Connection": "close"},
    )


def _too_slow() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        "body_too_slow",
        "The body arrived too slowly and was not read to its end. Send it again.",
        headers={"Connection": "close"},
    )


def _is_over_https(scope: Scope) -> bool:
    """Whether browsers may be told to ask this host by https alone. Never of this machine's own
    names, which other servers on it share."""
    if scope.get("scheme") != "https":
        return False
    host = hosts.read(Headers(scope=scope).get("host", ""))
    return host is not None and not host.is_loopback
