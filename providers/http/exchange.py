"""One request and its answer: JSON posted, bounded in bytes and time, without redirects."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpcore2
import orjson

from outbound import errors as outbound_errors
from outbound import sockets
from outbound.errors import OutboundError
from outbound.sockets import GuardedBackend
from providers.errors import (
    AddressForbidden,
    InvalidProvider,
    NothingThere,
    ProviderError,
    ProviderUnavailable,
    WrongAnswer,
)

MOST_ANSWER_BYTES: Final = 64 << 20
MOST_CONNECTIONS: Final = 32
IDLE_SECONDS: Final = 30.0

_NO_TLS: Final = {
    *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"),
    *("UNSUPPORTED_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "BAD_PACKET_LENGTH"),
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; names of headers are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON. NaN, which JSON forbids, is read, so that its place can be named.

        Raises WrongAnswer.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            if b"NaN" in self.body or b"Infinity" in self.body:
                try:
                    return json.loads(self.body)
                except (ValueError, RecursionError):
                    pass
            raise WrongAnswer("The provider's answer is not valid JSON.") from error


class Exchange:
    """A pool of connections through the guard; safe among threads.

    Proxies of the environment are not used: behind a proxy the address could not be checked.
    """

    def __init__(self, backend: GuardedBackend, *, most_bytes: int = MOST_ANSWER_BYTES) -> None:
        self._most_bytes = most_bytes
        self._backend = backend
        self._pool = httpcore2.ConnectionPool(
            max_connections=MOST_CONNECTIONS,
            max_keepalive_connections=MOST_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=backend,
        )

    def post(self, url: str, body: object, *, headers: Mapping[str, str], seconds: float) -> Answer:
        """Post JSON and read the whole answer within `seconds`.

        Raises ProviderUnavailable if no whole answer comes, WrongAnswer if it is too large, and
        AddressForbidden.
        """
        sent = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # a small gzip can be a large answer
            "Content-Type": "application/json",
            "User-Agent": "nmtune",
            **headers,
        }
        try:
            with (
                sockets.deadline(seconds),
                self._pool.stream(
                    "POST",
                    url,
                    headers=list(sent.items()),
                    content=orjson.dumps(body),
                    extensions={"timeout": {"pool": seconds, "connect": sockets.CONNECT_SECONDS}},
                ) as response,
            ):
                received = self._read(response)
        except OutboundError as error:
            raise _of_guard(error) from error
        except httpcore2.ConnectTimeout as error:
            raise ProviderUnavailable(f"Nothing answers at {_place(url)}.") from error
        except httpcore2.TimeoutException as error:
            message = f"The provider did not answer within {seconds:.0f} seconds."
            raise ProviderUnavailable(message) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise _of_connection(error, _place(url)) from error
        return received

    def _read(self, response: httpcore2.Response) -> Answer:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }
        if headers.get("content-encoding", "identity") != "identity":
            raise WrongAnswer("The provider compressed its answer although the request forbade it.")
        body = bytearray()
        for chunk in response.iter_stream():
            body += chunk
            if len(body) > self._most_bytes:
                message = f"The provider's answer is larger than {self._most_bytes >> 20} MiB."
                raise WrongAnswer(message)
        return Answer(response.status, bytes(body), headers)

    def close(self) -> None:
        """Close all connections, including those in use."""
        self._backend.abort()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _of_guard(error: OutboundError) -> ProviderError:
    """What the guard at the socket refused, in the words of providers."""
    host, port = error.host, error.port
    match error:
        case outbound_errors.NoSuchHost():
            return NothingThere(
                f"There is no host {host}. Is base_url spelled correctly?", field="base_url"
            )
        case outbound_errors.NotHttp():
            return NothingThere(
                f"The server at {host}:{port} does not speak HTTP. Should base_url begin with "
                "https://, or name another port?",
                field="base_url",
            )
        case outbound_errors.LookupFailed():
            return ProviderUnavailable(f"The name {host} cannot be looked up now: {error.reason}.")
    return AddressForbidden(
        f"The host {host} is in a private network, which requests must not reach. The "
        f"operator can allow it by adding {host}:{port} to NMTUNE_PROVIDER_ALLOW_HOSTS."
    )


def _of_connection(error: Exception, place: str) -> InvalidProvider | ProviderUnavailable:
    """The error of a failed connection: lasting faults are told from passing ones."""
    causes = _causes(error)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        reason = next(one for one in causes if isinstance(one, ssl.SSLCertVerificationError))
        return InvalidProvider(
            f"The certificate of {place} is not valid: {reason.verify_message}.",
            field="base_url",
        )
    if any(isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS for cause in causes):
        return NothingThere(
            f"The server at {place} does not speak TLS. Should base_url begin with http://, or "
            "name another port?",
            field="base_url",
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return ProviderUnavailable(
            f"Nothing listens at {place} (connection refused). Is the server running?"
        )
    return ProviderUnavailable(f"The connection to {place} broke.")


def _causes(error: BaseException) -> list[BaseException]:
    """The error and its causes."""
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def _place(url: str) -> str:
    return urlsplit(url).netloc
