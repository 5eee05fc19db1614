"""Guarded sockets: the address that is checked is the address that is connected to.

This one check covers odd spellings, names that resolve differently a moment later, and mixed
answers. The deadline of a request bounds each of its waits.
"""

import contextlib
import contextvars
import logging
import socket
import ssl
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import httpcore2

from outbound.addresses import is_public
from outbound.errors import AddressForbidden, LookupFailed, NoSuchHost, NotHttp

CONNECT_SECONDS: Final = 5.0

_HTTP: Final = b"HTTP/"
_NO_SUCH_NAME: Final = {
    getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
} - {None}

Resolve = Callable[[str, int], list[str]]

logger = logging.getLogger(__name__)

_ends_at: contextvars.ContextVar[float] = contextvars.ContextVar("ends_at", default=float("inf"))


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Bound all reads and writes of this thread within the block by so many seconds."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def seconds_left(timeout: float | None = None) -> float:
    """The seconds left until the deadline, at most `timeout`. Raises ReadTimeout if none are."""
    left = _ends_at.get() - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the time for this request has run out")
    return left if timeout is None else min(left, timeout)


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, each once, in the resolver's order. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class GuardedBackend(httpcore2.NetworkBackend):
    """Connects to public addresses, and to the hosts and ports that the operator allows."""

    def __init__(
        self, allowed: Iterable[tuple[str, int]] = (), *, resolve: Resolve = resolve
    ) -> None:
        self._allowed = frozenset(allowed)
        self._resolve = resolve
        self._plain: httpcore2.NetworkBackend = httpcore2.SyncBackend()
        self._open: weakref.WeakSet[_BoundedStream] = weakref.WeakSet()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """A connection to a checked address of `host`. Raises OutboundError."""
        stream = self._plain.connect_tcp(
            self.check(host, port)[0],
            port,
            seconds_left(CONNECT_SECONDS if timeout is None else timeout),
            local_address,
            socket_options,
        )
        return _BoundedStream(stream, self._open)

    def check(self, host: str, port: int) -> list[str]:
        """The addresses of a host to which requests may go.

        One forbidden address forbids the host: its owner chooses which one comes first. Raises
        NoSuchHost, LookupFailed, AddressForbidden.
        """
        addresses = self._addresses(host, port)
        is_allowed = (host.lower(), port) in self._allowed
        if not is_allowed and not (addresses and all(map(is_public, addresses))):
            logger.warning("outbound.forbidden host=%s port=%d addresses=%s", host, port, addresses)
            raise AddressForbidden(host, port)
        return addresses

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            return self._resolve(host, port)
        except OSError as error:
            if error.errno not in _NO_SUCH_NAME:  # such as no name server that answers
                reason = error.strerror or "no reason was given"
                raise LookupFailed(host, port, reason) from error
            raise NoSuchHost(host, port) from error
        except UnicodeError as error:
            raise NoSuchHost(host, port) from error

    def abort(self) -> None:
        """End every connection now; threads that wait on one get an error at once."""
        for stream in list(self._open):
            stream.abort()

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        """Always refused."""
        raise AddressForbidden(path, 0, "is no network address")


class _BoundedStream(httpcore2.NetworkStream):
    """A connection whose reads and writes keep their request's deadline.

    With only a timeout for each read, a server could send a byte now and then forever.
    """

    def __init__(
        self, stream: httpcore2.NetworkStream, all_open: "weakref.WeakSet[_BoundedStream]"
    ) -> None:
        self._stream = stream
        self._all_open = all_open
        self._was_heard = False
        all_open.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Raise NotHttp if the first bytes are not HTTP: the parser would wait for more."""
        data = self._stream.read(max_bytes, seconds_left(timeout))
        if data and not self._was_heard and not data.startswith(_HTTP[: len(data)]):
            host, port = self.get_extra_info("server_addr")[:2]
            raise NotHttp(host, port)
        self._was_heard = True
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, seconds_left(timeout))

    def close(self) -> None:
        self._stream.close()

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = seconds_left(timeout)
        secured = self._stream.start_tls(ssl_context, server_hostname, left)
        return _BoundedStream(secured, self._all_open)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
