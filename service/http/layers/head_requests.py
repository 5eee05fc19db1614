"""Answer HEAD as GET, without the body."""

from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """Lets the routes answer a HEAD as if it were a GET, and sends the head of their answer.

    A route that takes HEAD itself is left alone: tus asks for an upload's offset that way.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or _has_own_route(scope):
            await self.app(scope, receive, send)
            return
        is_answered = False

        async def send_head(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                is_answered = True

        async def receive_until_answered() -> Message:
            # An event stream ends when its reader has gone, and here nobody reads.
            return {"type": "http.disconnect"} if is_answered else await receive()

        got = {**scope, "method": "GET"}
        try:
            await self.app(got, receive_until_answered, send_head)
        finally:
            if "route" in got:
                scope["route"] = got["route"]  # for the metrics


def _has_own_route(scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in scope["app"].routes)
