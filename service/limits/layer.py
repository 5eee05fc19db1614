"""Refuse who asks too often, before anything of the request is read."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.errors import Problem
from service.http.identity import KEY, Identity
from service.limits.classes import PREDICT_PATH, class_of
from service.limits.limiter import Limiter

ALLOWANCE: Final = "nmtune.allowance"
"""Where the tenant's Allowance is in the scope of a request."""


class LimitsLayer:
    """Takes each request out of its key's bucket, and tells on the answer what is left.

    A prediction takes one row here, and the others once they are counted
    (`service.limits.predictions`). POST /predict does all that by itself (`PredictDoor`).
    """

    def __init__(self, app: ASGIApp, *, limiter: Limiter) -> None:
        self.app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        identity = scope.get(KEY)
        if not isinstance(identity, Identity):  # no request, or nobody: others refuse it
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        one = class_of(scope["method"], path)
        if one is None or (path == PREDICT_PATH and scope["method"] == "POST"):
            await self.app(scope, receive, send)
            return
        allowance = self._limiter.known(identity) or await self._limiter.of(identity)
        scope[ALLOWANCE] = allowance
        try:
            await allowance.take(identity.bucket, one)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        if one not in allowance.buckets:
            await self.app(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = allowance.headers(identity.bucket, one)
                known = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in told if header[0] not in known),
                ]
            await send(message)

        await self.app(scope, receive, send_with_limits)
