"""One request and its answer: what comes in is bounded, what goes out has the usual headers.

`service.front` makes one for each request, whatever serves it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from service import hosts
from service.http.errors import Problem
from service.http.layers import metrics, request_id, security_headers
from service.http.layers.bodies import BodyLimits, too_slow
from service.http.layers.deadlines import Deadlines
from service.http.paths import path_of

Header = tuple[bytes, bytes]
Answer = tuple[bytes, list[Header]]
"""The body of a success, and its headers without the length."""

_ID_HEADER: Final = request_id.HEADER.lower().encode()


class Exchange:
    """One request on its way, and its answer on the way back."""

    __slots__ = (
        "_deadlines",
        "_has_left",
        "_is_read",
        "_limits",
        "_n_bytes",
        "_receive",
        "_send",
        "_waited",
        "began",
        "headers",
        "id",
        "is_answered",
        "more_headers",
        "path",
        "scope",
        "seconds",
        "status",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        limits: BodyLimits,
        deadlines: Deadlines,
    ) -> None:
        self.began = time.perf_counter()
        self.scope = scope
        self.path = path_of(scope)
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        """The request's; of one that came twice, the first."""
        self.id = request_id.accept_or_make(self.header(_ID_HEADER))
        self.status: int | None = None
        """Of the answer, once it has begun."""
        self.seconds: float | None = None
        """How long it took to begin."""
        self.is_answered = False
        """Whether the answer is out, to its end."""
        self.more_headers: Callable[[], Sequence[Header]] | None = None
        """Further headers of the answer, unless it has its own."""
        self._receive = receive
        self._send = send
        self._limits = limits
        self._deadlines = deadlines
        self._n_bytes = 0
        self._waited = 0.0
        self._is_read = False
        self._has_left = False

    def header(self, name: bytes) -> str | None:
        """A header of the request."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def announced(self) -> int:
        """The bytes that the body is said to have; 0 if nothing is said."""
        length = self.headers.get(b"content-length", b"")
        return int(length[:20]) if length.isdigit() else 0

    def check_size(self, n_bytes: int) -> None:
        """Raise Problem 413 if the body may not have so many bytes."""
        self._limits.check(n_bytes, path=self.path, content_type=self.header(b"content-type"))

    async def receive(self) -> Message:
        """The next piece of the body. Raises Problem if it is too large or comes too slowly.

        Bytes are counted as they arrive, so a chunked body without a Content-Length is limited too.
        Only the time spent waiting for the client counts, not that in which nobody reads.
        """
        if self._is_read:  # from here on a caller waits for the client to leave
            return await self._receive()
        began = time.perf_counter()
        left = self._limits.seconds_left(n_bytes=self._n_bytes, waited=self._waited)
        try:
            message = await self._deadlines.wait(self._receive, left)
        except TimeoutError:
            raise too_slow() from None
        self._waited += time.perf_counter() - began
        self._has_left = message["type"] == "http.disconnect"
        self._n_bytes += len(message.get("body", b""))
        self._is_read = not message.get("more_body", False)
        self.check_size(self._n_bytes)
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._has_left:  # nobody receives it
                self.status = metrics.CLIENT_LEFT
            else:
                self.seconds = time.perf_counter() - self.began
            message["headers"] = self._completed(message["headers"])
        elif not message.get("more_body", False):
            self.is_answered = True
        await self._send(message)

    async def answer(self, answer: Answer) -> None:
        """Send a success."""
        body, headers = answer
        headers.append((b"content-length", b"%d" % len(body)))
        await self.send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(self, problem: Problem) -> None:
        """Send a refusal, in the shape that belongs to the path."""
        await problem.response(self.path)(self.scope, self.receive, self.send)

    def _completed(self, headers: Sequence[Header]) -> list[Header]:
        own = list(headers)
        if self.more_headers is not None:
            known = {name for name, _ in own}
            own += [header for header in self.more_headers() if header[0] not in known]
        own = security_headers.added_to(own, over_https=self._is_over_https())
        own.append((_ID_HEADER, self.id.encode()))
        return own

    def _is_over_https(self) -> bool:
        """Whether browsers may be told to ask this host by https alone. Never of this machine's own
        names, which other servers on it share."""
        if self.scope.get("scheme") != "https":
            return False
        host = hosts.read(self.header(b"host") or "")
        return host is not None and not host.is_loopback
