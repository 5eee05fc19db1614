"""The arguments that both clients give to httpx, and its answers and errors as ours; no I/O."""

import logging
import os
import re
import reprlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from nmtune_client._http.errors import (
    APIConnectionError,
    APITimeoutError,
    BadResponseError,
    ConnectionSetupError,
)
from nmtune_client._http.proxy import Proxy, proxy_for, shown
from nmtune_client._http.retry import RetryPolicy
from nmtune_client._http.wire import Answer, Call, result
from nmtune_client._version import __version__

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE = "NMTUNE_URL"

_CONNECT_SECONDS = 5.0
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server's address, and how patient one is with it."""

    base_url: str
    timeout: float
    retry: RetryPolicy
    proxy: Proxy | None

    @classmethod
    def at(cls, base_url: str | None, *, timeout: float, retry: RetryPolicy | None) -> Self:
        """The server at the URL, or at the environment's as it is now.

        TypeError if it is no string, ConnectionSetupError if it is no URL, or if the environment's
        proxy cannot be used.
        """
        if base_url is not None and not isinstance(base_url, str):
            raise TypeError(
                f"base_url must be the server's address, such as {DEFAULT_URL!r}, "
                f"got {reprlib.repr(base_url)}"
            )
        url = base_url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        checked = _checked_url(url, source=None if base_url else URL_VARIABLE)
        return cls(
            base_url=checked,
            proxy=proxy_for(checked),
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
            # of the environment it takes what is said here, where what is wrong can be named
            "trust_env": False,
            "proxy": self.proxy.url if self.proxy else None,
            "verify": _trusted_certificates(self.base_url, self.proxy),
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
        if call.once:
            return None
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
        address = shown(self.base_url)
        what = f"{call.method} {address}{call.path}"
        if self.proxy:
            address += f" through {self.proxy}"
        try:
            yield
        except httpx.ConnectTimeout as error:
            raise APITimeoutError(
                f"{address} did not accept a connection in {_CONNECT_SECONDS:g} s"
            ) from error
        except httpx.TimeoutException as error:
            raise APITimeoutError(f"{what}: the server took too long to answer") from error
        except (httpx.ConnectError, httpx.ProxyError, UnicodeError) as error:
            raise APIConnectionError(
                f"cannot reach {address} ({error}); {self._way_out(error)}"
            ) from error
        except httpx.TransportError as error:
            raise APIConnectionError(f"{what}: the connection broke ({error})") from error
        except httpx.DecodingError as error:
            raise BadResponseError(f"{what}: the answer cannot be decoded ({error})") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise APIConnectionError(f"{what}: {error}") from error
        except RuntimeError as error:
            if "closed" not in str(error):
                raise
            raise APIConnectionError(f"{what}: this client was closed; make a new one") from error

    def _way_out(self, error: Exception) -> str:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return "if your own authority signed its certificate, name its file in SSL_CERT_FILE"
        if self.proxy:
            host = urlsplit(self.base_url).hostname
            return f"correct or unset {self.proxy.variable}, or set NO_PROXY={host}"
        return f"start a server with `nmtune-server up`, or name another in {URL_VARIABLE}"


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


def _checked_url(url: str, *, source: str | None) -> str:
    """The base URL without a closing slash; ConnectionSetupError if it is not a URL."""
    try:
        parts = urlsplit(url)
        # .port raises for one that is no number
        is_address = bool(httpx.URL(url).host) and parts.port != 0 and not re.search(r"\s", url)
        is_address = is_address and parts.scheme in {"http", "https"}
    except (ValueError, httpx.InvalidURL):
        is_address = False
    if not is_address:
        wrong = f"not the address of a server, e.g. {DEFAULT_URL}"
    elif parts.query or parts.fragment:
        wrong = "not a base URL, which has no query and no fragment"
    else:
        return parts.geturl().rstrip("/")
    named = f"{source} is {shown(url)!r}, which" if source else repr(shown(url))
    raise ConnectionSetupError(f"{named} is {wrong}")


def _trusted_certificates(url: str, proxy: Proxy | None) -> ssl.SSLContext:
    """httpx's own for https; for http none: they take 20 ms to load, for nothing."""
    if not url.startswith("https:") and not (proxy and proxy.url.startswith("https:")):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # of ssl too
        variable = next((one for one in _CERTIFICATES if os.environ.get(one)), None)
        if variable is None:
            raise ConnectionSetupError(
                f"the trusted certificates cannot be read: {error}"
            ) from error
        raise ConnectionSetupError(
            f"{variable} is {os.environ[variable]!r}, which cannot be read as certificates "
            f"({error.strerror or error}): correct or unset it"
        ) from error
