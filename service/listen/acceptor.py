"""Accept connections, and keep file descriptors free for work.

Left to itself a server accepts connections until no descriptor is left; then its loop cuts off new
ones silently, and requests that need a file fail. Here a new connection beyond the bound closes the
one that has been idle longest, or has begun TLS and not finished it; if all are busy, it gets a
503.
"""

import asyncio
import errno
import logging
import resource
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.http.errors import Problem
from service.http.layers import metrics, request_id
from service.listen import refusals
from service.listen.protocol import BoundedProtocol, Connections
from service.listen.shares import YIELD_SECONDS, Share
from service.listen.tls import FAREWELL_SECONDS, FIRST_BYTE, Certificate

logger = logging.getLogger(__name__)

FEWEST_KEPT_FREE: Final = 48
"""Descriptors kept for files, database, workers and pipes; a quarter of all if that is more."""
FEWEST_CONNECTIONS: Final = 8
CLOSED_AT_ONCE: Final = 8
"""Idle connections closed when the system has no descriptor left."""
PAUSE_SECONDS: Final = 0.2
"""The pause before the next try then; clients meanwhile wait in the system's queue."""
LOG_SECONDS: Final = 10.0
"""A crowd writes one line to the log in each span of this length."""

_TAKEN_AT_ONCE: Final = 32
_LAST_TAKEN: Final = 4096
_NOTHING_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def most_connections(bound: int) -> int:
    """How many connections may be open by `bound` and by the limit on open files as it is now."""
    n_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if n_files == resource.RLIM_INFINITY:
        return bound
    n_kept = max(FEWEST_KEPT_FREE, n_files // 4)
    return min(bound, max(FEWEST_CONNECTIONS, n_files - n_kept))


class Acceptor:
    """Accepts the connections of one listening socket."""

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], BoundedProtocol],
        connections: Connections,
        *,
        max_connections: int,
        certificate: Certificate | None,
        handshake_seconds: float,
        share: Share | None = None,
    ) -> None:
        """Set its bounds.

        certificate: with one, connections speak TLS, and must do so within handshake_seconds.
        share: of the connections, if other processes accept from the same socket.
        """
        self._listener = listener
        self._make_protocol = make_protocol
        self._connections = connections
        self._max_connections = max_connections
        self._certificate = certificate
        self._handshake_seconds = handshake_seconds
        self._share = share
        self._loop = asyncio.get_running_loop()
        self._begun: dict[asyncio.Task[None], None] = {}  # the oldest first
        self._pause: asyncio.TimerHandle | None = None
        self._is_stopped = False
        self._logged_at: dict[str, float] = {}

    def start(self) -> None:
        """Listen from now on."""
        self._pause = None
        if not self._is_stopped:
            self._listener.setblocking(False)
            if self._share is not None:
                self._share.note(self._n_open())
            self._loop.add_reader(self._listener, self._on_readable)

    def stop(self) -> None:
        """Accept those who are connected already, then no more: new ones are refused."""
        self._is_stopped = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._take(_LAST_TAKEN)
        self._listener.close()
        if self._share is not None:
            self._share.note_dead()

    def _on_readable(self) -> None:
        """Take new connections, or leave them for a moment to processes that have fewer."""
        if self._share is None:
            self._take(_TAKEN_AT_ONCE)
        elif self._share.is_least():
            self._take(1)
        else:
            self._loop.remove_reader(self._listener)
            self._pause = self._loop.call_later(YIELD_SECONDS, self._take_anyway)

    def _take_anyway(self) -> None:
        self._pause = None
        self._take(1)
        if self._pause is None:  # else an error paused it, and it starts again later
            self.start()

    def _take(self, n: int) -> None:
        for _ in range(n):
            is_crowded = self._n_open() >= most_connections(self._max_connections)
            if is_crowded and self._begun and self._certificate is None:
                return  # those just accepted are idle at the next turn of the loop
            try:
                taken, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._on_error(error)
                return
            if is_crowded and not self._makes_room():
                self._refuse_as_full(taken)
                continue
            if is_crowded:
                self._log("connections.crowded open=%d", self._n_open())
            self._begin(taken)

    @property
    def is_busy(self) -> bool:
        """Whether it has taken connections that are not yet served."""
        return bool(self._begun)

    def _n_open(self) -> int:
        return self._connections.n_open + len(self._begun)

    def _makes_room(self) -> bool:
        """Close the connection that has been idle longest, or the oldest unfinished handshake."""
        if self._connections.close_idle(1, "idle"):
            return True
        oldest = next(iter(self._begun), None)
        if oldest is None:
            return False
        del self._begun[oldest]
        oldest.cancel()
        metrics.CLOSED_CONNECTIONS.labels("tls").inc()
        return True

    def _begin(self, taken: socket.socket) -> None:
        taken.setblocking(False)
        task = self._loop.create_task(self._connect(taken))
        self._begun[task] = None
        task.add_done_callback(partial(self._on_connected, taken))
        if self._share is not None:
            self._share.note(self._n_open())

    def _on_connected(self, taken: socket.socket, task: asyncio.Task[None]) -> None:
        self._begun.pop(task, None)
        if task.cancelled():  # maybe before it did anything
            taken.close()

    async def _connect(self, taken: socket.socket) -> None:
        try:
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._certificate is None:
                await self._loop.connect_accepted_socket(self._make_protocol, taken)
            else:
                async with asyncio.timeout(self._handshake_seconds):
                    await self._connect_by_tls(taken, self._certificate)
        except OSError:  # it has left already, was too slow, or speaks no TLS that we do
            taken.close()
            if self._certificate is not None:
                metrics.CLOSED_CONNECTIONS.labels("tls").inc()

    async def _connect_by_tls(self, taken: socket.socket, certificate: Certificate) -> None:
        first = await self._first_byte(taken)
        if first == FIRST_BYTE:
            await self._loop.connect_accepted_socket(
                self._make_protocol,
                taken,
                ssl=certificate.context(),
                ssl_shutdown_timeout=FAREWELL_SECONDS,
            )
        elif first:
            metrics.CLOSED_CONNECTIONS.labels("tls").inc()
            self._refuse(taken, refusals.no_tls())
        else:
            taken.close()

    async def _first_byte(self, taken: socket.socket) -> bytes:
        """The first byte that comes, left where it is; none if the connection ends before."""
        can_read = asyncio.Event()
        self._loop.add_reader(taken, can_read.set)
        try:
            await can_read.wait()
        finally:
            self._loop.remove_reader(taken)
        return taken.recv(1, socket.MSG_PEEK)

    def _refuse_as_full(self, taken: socket.socket) -> None:
        metrics.CLOSED_CONNECTIONS.labels("full").inc()
        self._log("connections.full open=%d", self._n_open())
        if self._certificate is None:
            self._refuse(taken, refusals.too_many_connections())
        else:
            taken.close()  # words would need a handshake first

    def _refuse(self, taken: socket.socket, problem: Problem) -> None:
        """Answer in plain HTTP, if that needs no waiting."""
        own_id = request_id.accept_or_make(None)
        refusals.note(problem, own_id)
        words = refusals.as_bytes(problem, own_id, status_line=STATUS_LINE[problem.status_code])
        taken.setblocking(False)
        with taken:
            try:
                taken.send(words)
                taken.shutdown(socket.SHUT_WR)
                taken.recv(1 << 16)  # closing with a request unread would take the answer back
            except OSError:
                return

    def _on_error(self, error: OSError) -> None:
        """Try again a little later; the error may also be about the client's network."""
        if error.errno in _NOTHING_LEFT:
            metrics.ACCEPT_ERRORS.inc()
            n_closed = self._connections.close_idle(CLOSED_AT_ONCE, "no_descriptor")
            self._log(
                "connections.no_descriptor error=%s closed_idle=%d open=%d",
                errno.errorcode[error.errno],
                n_closed,
                self._n_open(),
            )
        else:
            self._log("connections.accept_failed error=%s", error)
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(PAUSE_SECONDS, self.start)

    def _log(self, message: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._logged_at.get(message, float("-inf")) > LOG_SECONDS:
            self._logged_at[message] = now
            logger.warning(message, *values)
