"""The home of errors under `/v2`: the Open Inference Protocol has a shape of its own for them."""

from typing import Any, Final

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import MEDIA_TYPE
from service.schemas.oip import OipError

PREFIX: Final = "/v2"


class ProtocolErrors:
    """The layer that turns each problem of a path under `/v2` into `{"error": "..."}`.

    It lies around all others, so that whatever refuses a request, a guard or a bug included, its
    clients can read why. The status, the request id and the other headers stay.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not _is_protocol(scope):
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
                body = _translated(b"".join(parts))
                headers = MutableHeaders(raw=start["headers"])
                headers["content-type"] = "application/json"
                headers["content-length"] = str(len(body))
                await send(start)
                message = {"type": "http.response.body", "body": body}
            await send(message)

        await self.app(scope, receive, translating_send)


def _is_protocol(scope: Scope) -> bool:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def _translated(problem: bytes) -> bytes:
    found: dict[str, Any] = orjson.loads(problem)
    return orjson.dumps(OipError(error=found["detail"]).model_dump())
