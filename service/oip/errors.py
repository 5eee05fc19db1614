"""Give errors under `/v2` the shape that the Open Inference Protocol wants."""

from typing import Any, Final

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.errors import MEDIA_TYPE
from service.oip.schemas import OipError

PREFIX: Final = "/v2"


class ProtocolErrors:
    """The layer that turns each problem of a path under `/v2` into `{"error": "..."}`.

    It lies around all other layers, so that the protocol's clients can read why a request is
    refused, whether by a route, a guard or a bug. The status, the request id and the other headers
    stay.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not _is_ours(scope):
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        parts: list[bytes] = []

        async def translating_send(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if Headers(raw=message["headers"]).get("content-type") == MEDIA_TYPE:
                    start = message
                    return
            elif start is not None and message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if message.get("more_body", False):
                    return
                body = b"".join(parts)
                headers = MutableHeaders(raw=start["headers"])
                headers["content-type"] = "application/json"
                if body:
                    body = translated(body)
                    headers["content-length"] = str(len(body))
                else:  # an answer to HEAD
                    del headers["content-length"]
                await send(start)
                message = {"type": "http.response.body", "body": body}
            await send(message)

        await self.app(scope, receive, translating_send)


def is_protocol(path: str) -> bool:
    """Whether the path belongs to the protocol."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def _is_ours(scope: Scope) -> bool:
    return is_protocol(scope["path"].removeprefix(scope.get("root_path", "")))


def translated(problem: bytes) -> bytes:
    """The body of a problem in the protocol's shape."""
    found: dict[str, Any] = orjson.loads(problem)
    return orjson.dumps(OipError(error=found["detail"]).model_dump())
