"""Home of what both clients say to httpx, and make of its answers and errors; no I/O."""

import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from nmtune_client._errors import APIConnectionError, APITimeoutError, BadResponseError
from nmtune_client._retry import RetryPolicy
from nmtune_client._version import __version__
from nmtune_client._wire import Answer, Call, result

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE = "NMTUNE_URL"

_CONNECT_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server's address, and how patient one is with it."""

    base_url: str
    timeout: float
    retry: RetryPolicy

    @classmethod
    def at(cls, base_url: str | None, *, timeout: float, retry: RetryPolicy | None) -> Self:
        """The server at the URL, or at the environment's as it is now; ValueError if it is none."""
        url = base_url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        return cls(
            base_url=_checked_url(url),
            timeout=timeout,
            retry=retry if retry is not None else RetryPolicy(),
        )

    def client_arguments(self) -> dict[str, Any]:
        """What httpx's client, of either colour, is made with."""
        return {
            "headers": {
                "User-Agent": f"nmtune-client/{__version__}",
                "Accept": "application/json",
            },
            # a proxy of the environment cannot reach a server on this very machine
            "trust_env": not _is_loopback(self.base_url),
            "verify": _trusted_certificates(self.base_url),
        }

    def request_arguments(self, call: Call[T]) -> dict[str, Any]:
        """The arguments of httpx's `request`, all but the bytes of a file."""
        headers = dict(call.headers)
        if call.file is not None:
            headers["Content-Length"] = str(call.file.stat().st_size)
        return {
            "method": call.method,
            "url": self.base_url + call.path,
            "params": dict(call.params),
            "headers": headers,
            "timeout": httpx.Timeout(
                self.timeout,
                connect=_CONNECT_SECONDS,
                read=self.timeout + call.extra_read_seconds,
                # an upload may take as long as it likes
                write=self.timeout if call.file is None else None,
            ),
        }

    def stream_arguments(self, call: Call[None], *, read_seconds: float) -> dict[str, Any]:
        """The arguments of httpx's `stream`; `read_seconds` is the longest silence allowed."""
        timeout = httpx.Timeout(self.timeout, connect=_CONNECT_SECONDS, read=read_seconds)
        return self.request_arguments(call) | {"timeout": timeout}

    def delay(
        self, call: Call[T], outcome: Answer | APIConnectionError, *, tries: int
    ) -> float | None:
        """Seconds until the next try after `tries` in vain; None if the outcome stands."""
        if isinstance(outcome, Answer):
            delay = self.retry.delay(tries, status=outcome.status, headers=outcome.headers)
        else:
            delay = self.retry.delay(tries)
        if delay is not None:
            logger.info(
                "request.retry method=%s path=%s tries=%d delay_seconds=%.2f reason=%s",
                call.method,
                call.path,
                tries,
                delay,
                outcome.status if isinstance(outcome, Answer) else outcome,
            )
        return delay

    @contextmanager
    def translated(self, call: Call[T]) -> Iterator[None]:
        """Turn httpx's errors into this package's own."""
        what = f"{call.method} {self.base_url}{call.path}"
        try:
            yield
        except httpx.ConnectTimeout as error:
            raise APITimeoutError(
                f"{self.base_url} did not accept a connection in {_CONNECT_SECONDS:g} s"
            ) from error
        except httpx.TimeoutException as error:
            raise APITimeoutError(f"{what}: the server took too long to answer") from error
        except httpx.ConnectError as error:
            raise APIConnectionError(
                f"cannot reach {self.base_url} ({error}); start a server with "
                f"`nmtune-server up`, or name another by {URL_VARIABLE}"
            ) from error
        except httpx.TransportError as error:
            raise APIConnectionError(f"{what}: the connection broke ({error})") from error
        except httpx.DecodingError as error:
            raise BadResponseError(f"{what}: the answer cannot be decoded ({error})") from error


def answer_of(response: httpx.Response) -> Answer:
    """httpx's answer, which was read to its end, as ours."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content)


def value_of(call: Call[T], outcome: Answer | APIConnectionError, *, tries: int) -> T:
    """What the outcome of the last try means: a value, or an error, raised."""
    if isinstance(outcome, APIConnectionError):
        raise outcome
    return result(call, outcome, tries=tries)


def check_stream(call: Call[None], response: httpx.Response) -> None:
    """BadResponseError unless a successful answer is an event stream."""
    kind = response.headers.get("content-type", "")
    if not kind.startswith("text/event-stream"):
        raise BadResponseError(f"{call.path} answered {kind!r}, not an event stream")


def _checked_url(url: str) -> str:
    """The base URL without a closing slash; ValueError if it is none."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a server, e.g. {DEFAULT_URL}")
    if parts.query or parts.fragment:
        raise ValueError(f"{url!r}: a base URL has no query and no fragment")
    return parts.geturl().rstrip("/")


def _trusted_certificates(url: str) -> ssl.SSLContext:
    """httpx's own for https; for http none: they take 20 ms to load, for nothing."""
    if url.startswith("https:"):
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
