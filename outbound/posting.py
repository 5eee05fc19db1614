"""Post a small body to a stranger's URL: bounded in time and bytes, without redirects or proxies.

Each post has a connection of its own, to the very address that was checked.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpcore2

from outbound import errors
from outbound.receiver_url import ReceiverUrl
from outbound.sockets import CONNECT_SECONDS, GuardedBackend, deadline

SECONDS: Final = 15.0
"""For the whole: connecting, sending and reading the answer."""
KEPT_BYTES: Final = 1024
"""How much of an answer is kept."""
MOST_ANSWER_BYTES: Final = 64 * 1024
"""How much of an answer is read; one that is longer has failed."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    excerpt: bytes
    """Its first bytes."""


class NoAnswer(Exception):  # noqa: N818  as its neighbours
    """No whole answer came; `code` says why. `answer` has what had come by then."""

    def __init__(self, code: str, answer: Answer | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.answer = answer


class Poster:
    """Posts through the guard; safe among threads. `close` ends the posts under way."""

    def __init__(
        self,
        backend: GuardedBackend,
        *,
        ssl_context: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self._backend = backend
        self._seconds = seconds
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl_context,
            max_keepalive_connections=0,
            network_backend=backend,
        )

    def post(self, url: ReceiverUrl, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer, whatever its status. Raises NoAnswer."""
        read: list[Answer] = []
        try:
            with deadline(self._seconds):
                return self._post(url, body, headers, read)
        except errors.OutboundError as error:
            raise NoAnswer(_code_of_guard(error)) from error
        except httpcore2.ConnectTimeout as error:
            raise NoAnswer("connect_timed_out") from error
        except httpcore2.TimeoutException as error:
            raise NoAnswer("timed_out", read[-1] if read else None) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise NoAnswer(_code_of_connection(error), read[-1] if read else None) from error

    def _post(
        self, url: ReceiverUrl, body: bytes, headers: Mapping[str, str], read: list[Answer]
    ) -> Answer:
        host = f"[{url.host}]" if ":" in url.host else url.host
        sent = {"Accept-Encoding": "identity", "Connection": "close", **headers}
        with self._pool.stream(
            "POST",
            httpcore2.URL(
                scheme=url.scheme, host=host.encode(), port=url.port, target=url.target.encode()
            ),
            headers=[*sent.items()],
            content=body,
            extensions={"timeout": {"connect": CONNECT_SECONDS, "pool": self._seconds}},
        ) as response:
            return _read(response, read)

    def close(self) -> None:
        """End the posts under way and close all connections."""
        self._backend.abort()
        self._pool.close()


def _read(response: httpcore2.Response, read: list[Answer]) -> Answer:
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
    }
    kept, n_bytes = b"", 0
    read.append(Answer(response.status, headers, kept))
    for chunk in response.iter_stream():
        kept = (kept + chunk)[:KEPT_BYTES]
        n_bytes += len(chunk)
        read.append(Answer(response.status, headers, kept))
        if n_bytes > MOST_ANSWER_BYTES:
            raise NoAnswer("answer_too_large", read[-1])
    return read[-1]


def _code_of_guard(error: errors.OutboundError) -> str:
    match error:
        case errors.NoSuchHost():
            return "no_such_host"
        case errors.LookupFailed():
            return "lookup_failed"
        case errors.NotHttp():
            return "not_http"
    return "url_not_allowed"


def _code_of_connection(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "tls_failed"
        if isinstance(cause, ConnectionRefusedError):
            return "connection_refused"
        cause = cause.__cause__ or cause.__context__
    return "connection_broken"
