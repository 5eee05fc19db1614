"""Read HTTP/1.1 with bounds on the size and the time of a request's head.

uvicorn's protocol stores a head of any size, waits for its end for ever, and refuses in plain text
what it cannot read. Here a head that is too large, too slow or unreadable gets the one problem body
with a request id, and takes no memory. `service.http.layers.bodies` bounds bodies.
"""

import asyncio
import itertools
from typing import Any, Final

import httptools
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from service.http.errors import Problem
from service.http.layers import metrics, request_id
from service.listen import refusals
from service.listen.joined_writes import JoinedWritesProtocol
from service.listen.shares import Share

MOST_HEADER_BYTES: Final = 64 * 1024
"""The most bytes of all headers of a request, and of the framing of a chunked body."""
MOST_TARGET_BYTES: Final = 65_535
"""The longest target of a request; the parser of URLs takes no more."""
MOST_PIPELINED: Final = 16
"""Requests that may wait on one connection for the answers of earlier ones."""
LINGER_SECONDS: Final = 2.0
"""How long input is discarded before the connection closes: closing it at once would take back the
answer that says why."""

_FORWARDED: Final = b"x-forwarded-"
"""Only a request with such headers needs to be asked whether a trusted proxy sent it."""

_SLICE: Final = 64 * 1024
"""The parser gets no more at once, so that it holds at most two of these for one head."""


class Refused(Exception):  # noqa: N818  it is not our error
    """Raised for the parser to stop; the problem says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Connections(ServerState):
    """The connections of one server, and which of them are idle."""

    def __init__(self) -> None:
        super().__init__()
        self.share: Share | None = None
        """Where other processes see how many there are, if others accept from the same socket."""
        self._idle: dict[BoundedProtocol, None] = {}  # the longest idle first

    @property
    def n_open(self) -> int:
        return len(self.connections)

    def note_open(self) -> None:
        """Tell the other processes how many there are."""
        if self.share is not None and not self.share.is_dead():
            self.share.note(self.n_open)

    def rests(self, connection: "BoundedProtocol") -> None:
        """The connection's last request is answered, or it has sent none yet."""
        self._idle[connection] = None

    def works(self, connection: "BoundedProtocol") -> None:
        """The connection has a request, or is closed."""
        self._idle.pop(connection, None)

    def close_idle(self, n: int, reason: str) -> int:
        """Close up to `n` of the longest idle connections; returns how many."""
        found = list(itertools.islice(self._idle, n))
        for connection in found:
            del self._idle[connection]
            self.connections.discard(connection)
            connection.let_go()
        metrics.CLOSED_CONNECTIONS.labels(reason).inc(len(found))
        return len(found)


class BoundedProtocol(JoinedWritesProtocol):
    """One connection."""

    server_state: Connections

    header_seconds = 10.0
    """How long a new connection may be silent, and how long a head may take."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.url, self.headers = b"", []  # uvicorn has none before the first request
        self._behind_proxy = self._direct = self.app
        if isinstance(self.app, ProxyHeadersMiddleware):
            self._direct = self.app.app
        self._in_head = False
        self._in_body = False
        self._spans_slices = False  # the head came in more than one piece
        self._is_fresh = False  # the piece being read began where a request begins
        self._n_slice = 0
        self._n_framing = 0  # bytes since the parser last had something to show for them
        self._refused = False
        self._last_words = b""
        self._deadline: asyncio.TimerHandle | None = None

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a connection, which must soon say something."""
        super().connection_made(transport)
        metrics.CONNECTIONS.inc()
        self.server_state.note_open()
        self.server_state.rests(self)
        self._set_deadline()

    def let_go(self) -> None:
        """Close at once, for another one needs its place: the farewell of TLS would wait for the
        peer's."""
        if self.scheme == "https":
            self.transport.abort()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._clear_deadline()
        metrics.CONNECTIONS.dec()
        self.server_state.works(self)
        super().connection_lost(exc)
        self.server_state.note_open()

    def data_received(self, data: bytes) -> None:
        """Read what came, in pieces that the parser may hold."""
        self._unset_keepalive_if_required()
        if len(data) <= _SLICE:
            self._read(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), _SLICE):
            self._read(view[start : start + _SLICE])

    def _read(self, data: bytes | memoryview) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._n_slice = len(data)
        self._spans_slices = self._in_head
        self._is_fresh = not (self._in_head or self._in_body)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # It is answered like any other request; the parser reads nothing after it.
            self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.problem if isinstance(cause, Refused) else refusals.unreadable())
            return
        self._n_framing += self._n_slice
        self._check_framing()
        if self._deadline is None and (self._in_head or self._has_answered()):
            self._set_deadline()

    def _check_framing(self) -> None:
        if self._in_head:
            if len(self.url) > MOST_TARGET_BYTES:
                self._refuse(refusals.target_too_long())
            elif self._n_framing - len(self.url) > MOST_HEADER_BYTES:
                self._refuse(refusals.headers_too_large())
        elif self._in_body and self._n_framing > MOST_HEADER_BYTES:
            self._refuse(refusals.unreadable())  # endless chunk extensions or trailers

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True
        # Only bytes that surely belong to the head count: not what the same piece held before it.
        self._n_framing = 0 if self._is_fresh else -self._n_slice
        self._is_fresh = False

    def on_headers_complete(self) -> None:
        """A head has ended: serve its request. Raises Refused."""
        self._in_head = False
        self._check_head()
        is_forwarded = any(name.startswith(_FORWARDED) for name, _ in self.headers)
        self.app = self._behind_proxy if is_forwarded else self._direct
        self._clear_deadline()
        self.server_state.works(self)
        super().on_headers_complete()
        self._in_body = True
        self._n_framing = -self._n_slice
        self.headers = []  # trailers go here, too late to be headers of a request

    def _check_head(self) -> None:
        if self._spans_slices:
            n_bytes = sum(len(name) + len(value) + 4 for name, value in self.headers)
            if n_bytes > MOST_HEADER_BYTES:
                raise Refused(refusals.headers_too_large())
        if len(self.url) > MOST_TARGET_BYTES:
            raise Refused(refusals.target_too_long())
        if len(self.pipeline) >= MOST_PIPELINED:
            raise Refused(refusals.too_many_pipelined())
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and [coding.strip().lower() for coding in codings] != [b"chunked"]:
            raise Refused(refusals.unknown_coding())
        if not self.url.startswith(b"/"):
            self._take_host_of_target()

    def _take_host_of_target(self) -> None:
        """Count the host of `GET http://host/path` as a second `Host`, unless it is the same."""
        scheme, separator, rest = self.url.partition(b"://")
        if separator and scheme.lower() in {b"http", b"https"}:
            host = rest.partition(b"/")[0].partition(b"?")[0].partition(b"#")[0]
            if (b"host", host) not in self.headers:
                self.headers.append((b"host", host))

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._n_framing = -self._n_slice
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request has come to its end."""
        self._in_body = False
        super().on_message_complete()
        if self.cycle.response_complete:  # it was answered before its end: now it rests
            self._clear_deadline()
            self._keep_alive()

    # Answers.

    def on_response_complete(self) -> None:
        """An answer is out: go on with the next request, or say why there is none."""
        if self._refused and not self.pipeline:
            self._end()
            return
        if not self.pipeline:
            self.server_state.rests(self)
        super().on_response_complete()

    def _has_answered(self) -> bool:
        return bool(getattr(self.cycle, "response_complete", True))  # no cycle, no request yet

    def _keep_alive(self) -> None:
        if not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    # Deadlines.

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self._on_deadline)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        if self._refused or self.transport.is_closing():
            return
        if self.flow.read_paused:  # it is we who do not listen
            self._set_deadline()
        elif self._in_head:
            self._refuse(refusals.headers_too_slow())
        elif self._has_answered():  # silent from the beginning, or in a body that nobody reads
            metrics.CLOSED_CONNECTIONS.labels("silent").inc()
            self.transport.close()

    # Refusals.

    def _refuse(self, problem: Problem) -> None:
        """Answer what came before, then this problem, and close."""
        self._refused = True
        self._clear_deadline()
        given = next((v for n, v in self.headers if n == b"x-request-id"), b"")
        own_id = request_id.accept_or_make(given.decode("latin-1"))
        refusals.note(problem, own_id)
        self._last_words = refusals.as_bytes(
            problem,
            own_id,
            status_line=STATUS_LINE[problem.status_code],
            more_headers=self.server_state.default_headers,
            target=self.url,
        )
        if self._has_answered():
            self._end()
        elif self._in_body:
            self._give_up_body()

    def _give_up_body(self) -> None:
        """Stop serving the request whose body cannot be read on."""
        if self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()  # not begun: earlier ones are answered first
        elif self.cycle.response_started:
            self.transport.abort()  # half an answer is out: only this tells the client
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._end()

    def _end(self) -> None:
        if self.transport.is_closing():
            return
        self.server_state.rests(self)
        self.transport.write(self._last_words)
        if self.transport.can_write_eof():  # TLS has no half that ends
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
